//! The first validation point, and the chain of delegation.
//!
//! Invariant: nothing is started before every delegation that the plan needs was allowed.

use std::collections::BTreeMap;

use super::{Control, Run};
use crate::{
    Actor, AgentBinding, CriterionId, Epoch, ErrorCode, Event, Evidence, EvidenceId, Examination,
    Finding, Moment, Observed, Plan, Prerequisite, Refusal, Refused, Role, RunOutcome, Scope, Task,
    TaskId, Verdict, WorkflowStep, beyond_consent,
};

impl Run {
    pub(super) fn begin(&mut self, now: Moment, prerequisites: Vec<Prerequisite>) {
        let validated = self.state.step > Some(WorkflowStep::ValidatePlan);
        if validated || self.state.control != Control::Active {
            return;
        }
        self.awake = true;
        if !self.state.begun {
            self.start_run(now);
        }
        if self.state.step.is_none() {
            self.enter(now, WorkflowStep::ValidatePlan);
        }
        let unmet: Vec<String> = prerequisites
            .iter()
            .filter(|prerequisite| prerequisite.completed_by.is_none())
            .map(|prerequisite| prerequisite.phase.clone())
            .collect();
        let (examination, asked) = preconditions(&self.plan, &prerequisites);
        let met = examination.judge(&asked).verdict == Verdict::Pass;
        self.emit(now, Event::PlanValidated { prerequisites, examination, met });
        if !met {
            let reason = format!("phase {} is not completed", unmet.join(", phase "));
            let code = ErrorCode::E003;
            self.finish(now, RunOutcome::Failed { code, reason });
        } else if self.delegate(now) {
            self.enter(now, WorkflowStep::LoadExecutionState);
        }
    }

    fn start_run(&mut self, now: Moment) {
        let event = Event::RunStarted {
            phase: self.plan.phase.to_string(),
            goal: self.plan.goal.clone(),
            plan: self.plan.digest,
            tasks: u32::try_from(self.plan.tasks.len()).unwrap_or(u32::MAX),
            config: self.config.clone(),
        };
        self.emit(now, event);
    }

    /// Hands the plan's rights down to the executor, and has high-governance look at what
    /// each agent will be given; whether all of it is allowed.
    pub(super) fn delegate(&mut self, now: Moment) -> bool {
        let refused = self.refused();
        for (from, to) in Actor::CHAIN {
            if to == Actor::Executor && !refused.is_empty() {
                break;
            }
            let governed = self.config.governance().scope(&self.plan);
            let scope = match (to, governed) {
                (Actor::Executor, governed) => governed,
                (_, Scope::Plan { plan, .. }) => Scope::Plan {
                    plan,
                    never: Vec::new(),
                    most_reads: Vec::new(),
                    most_writes: Vec::new(),
                },
                (_, other) => other,
            };
            self.emit(now, Event::Delegated { from, to, scope });
        }
        let Some(first) = refused.first() else {
            return true;
        };
        let reason = match &first.task {
            Some(task) => format!("task {task}: {}", first.why),
            None => first.why.to_string(),
        };
        for refused in refused {
            self.emit(now, Event::DelegationRefused { refused });
        }
        self.finish(now, RunOutcome::Refused { reason });
        false
    }

    /// Every delegation that the policies forbid.
    fn refused(&self) -> Vec<Refused> {
        let governance = self.config.governance();
        let of_agents = self.config.agents.iter().filter_map(|agent| {
            let why = governance.refuses_role(agent)?;
            Some(Refused { to: Actor::of(agent.role), task: None, why })
        });
        let mut refused: Vec<Refused> = of_agents.collect();
        if self.config.policies.is_empty() && self.config.agents.is_empty() {
            return refused;
        }
        let validator = self.config.checker(Role::Validator);
        let agents: BTreeMap<&str, &AgentBinding> =
            self.config.agents.iter().map(|agent| (agent.name.as_str(), agent)).collect();
        for task in &self.plan.tasks {
            let pair = agents.get(task.agent.as_str()).zip(validator);
            let pair =
                pair.and_then(|(agent, validator)| governance.refuses_pair(agent, validator));
            let why = governance.refuses(&task.grants()).or(pair);
            let to = Actor::Builder;
            refused.extend(why.map(|why| Refused { to, task: Some(task.id.clone()), why }));
        }
        refused.extend(self.config.agents.iter().filter_map(|agent| self.unconsented(agent)));
        refused
    }

    /// The first thing that an agent would need a person's consent for, and that nobody gave.
    fn unconsented(&self, agent: &AgentBinding) -> Option<Refused> {
        let asked = self.plan.asked_by(agent)?;
        let name = agent.name.clone();
        let why = match beyond_consent(&self.config.consents, agent.digest, &asked) {
            None => Refusal::Unconsented { agent: name, digest: agent.digest },
            Some(more) => {
                let (capability, path) = more.first()?;
                let (capability, path) = (*capability, (*path).clone());
                Refusal::BeyondConsent { agent: name, capability, path }
            }
        };
        Some(Refused { to: Actor::of(agent.role), task: None, why })
    }

    /// Whether the grants that an agent is about to be given are within the executor's. The
    /// executor has what the plan's tasks ask for, without what policies take away.
    pub(super) fn is_within(&self, task: &Task, now_asked: &crate::Grants) -> Result<(), Refusal> {
        let executors = self.config.governance().narrowed(crate::Grants {
            reads: task.validation_grants().reads,
            writes: task.writes.clone(),
            ..crate::Grants::default()
        });
        if now_asked.within(&executors) {
            return Ok(());
        }
        let wide = |capability| {
            let mut asked = now_asked.of(capability);
            asked.find(|path| !executors.of(capability).any(|have| have.covers(path))).cloned()
        };
        let (capability, path) = match wide(crate::Capability::Write) {
            Some(path) => (crate::Capability::Write, path),
            None => {
                let path =
                    wide(crate::Capability::Read).or_else(|| executors.never.first().cloned());
                let Some(path) = path else { return Ok(()) };
                (crate::Capability::Read, path)
            }
        };
        Err(Refusal::Wider { capability, path, above: Actor::Executor })
    }

    pub(super) fn next_phase_epoch(&self) -> Epoch {
        self.state.phase_epoch + 1
    }

    pub(super) fn plan_task(&self, id: &TaskId) -> Option<&Task> {
        self.plan.tasks.get(self.state.graph.number(id)?)
    }
}

/// The seed's three checks of the first workflow step, each with what the host saw.
fn preconditions(plan: &Plan, prerequisites: &[Prerequisite]) -> (Examination, Vec<CriterionId>) {
    let mut examination = Examination::default();
    let mut asked = Vec::new();
    let mut check = |name: &str, holds: bool, observed: Vec<Observed>, note: &str| {
        let (Ok(criterion), evidence) = (CriterionId::new(name), &mut examination.evidence) else {
            return;
        };
        let mut named = Vec::new();
        for observed in observed {
            let Ok(id) = EvidenceId::new(format!("e{}", evidence.len() + 1)) else { continue };
            named.push(id.clone());
            evidence.push(Evidence { id, observed });
        }
        let verdict = if holds { Verdict::Pass } else { Verdict::Fail };
        let note = note.to_owned();
        examination.findings.push(Finding {
            criterion: criterion.clone(),
            verdict,
            evidence: named,
            note,
        });
        asked.push(criterion);
    };
    let tasks = plan.tasks.len() as u64;
    let seen = || Observed::Plan { digest: plan.digest, tasks };
    check("plan_file_exists", true, vec![seen()], "");
    check("plan_valid", true, vec![seen()], "");
    let runs: Vec<Observed> = prerequisites
        .iter()
        .map(|prerequisite| Observed::Run {
            phase: prerequisite.phase.clone(),
            run: prerequisite.completed_by.clone(),
        })
        .collect();
    let met = prerequisites.iter().all(|prerequisite| prerequisite.completed_by.is_some());
    if runs.is_empty() {
        check("prerequisites_met", true, vec![seen()], "the plan names none");
    } else {
        check("prerequisites_met", met, runs, "a phase that it needs was not completed");
    }
    (examination, asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capability, Digest, Grants, PathGlob, RunConfig, RunId};

    /// A plan with one task, which reads `in/**` and writes `out.txt`.
    fn run() -> Run {
        let task = serde_json::json!({
            "id": "A", "title": "", "description": "", "agent": "builder", "depends_on": [],
            "reads": ["in/**"], "writes": ["out.txt"], "artifacts": [], "timeout": null,
            "retries": 0, "steps": [], "options": {}, "accept": [],
        });
        let plan = serde_json::json!({
            "phase": {"number": 1, "name": "one"}, "goal": "", "depends_on": [],
            "supersedes": [], "tasks": [task], "links": [],
            "digest": Digest::of(b"plan").to_string(),
        });
        let config = RunConfig::new(RunId::new("phase-1-r1").unwrap());
        Run::new(serde_json::from_value(plan).unwrap(), config)
    }

    #[test]
    fn an_agent_gets_no_more_than_the_executor_has() {
        let run = run();
        let globs = |texts: &[&str]| -> Vec<PathGlob> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let within = |reads: &[&str], writes: &[&str]| {
            let asked = Grants { reads: globs(reads), writes: globs(writes), ..Grants::default() };
            run.is_within(&run.plan.tasks[0], &asked)
        };
        let wider = |capability, path: &str| {
            let (path, above) = (path.parse().unwrap(), Actor::Executor);
            Err(Refusal::Wider { capability, path, above })
        };
        assert_eq!(within(&["in/**", "out.txt"], &["out.txt"]), Ok(()));
        assert_eq!(within(&["in/a"], &[]), Ok(()));
        assert_eq!(within(&["in/a"], &["out.txt", "in/a"]), wider(Capability::Write, "in/a"));
        assert_eq!(within(&["in/a", "etc"], &["out.txt"]), wider(Capability::Read, "etc"));
        assert_eq!(within(&["etc"], &["usr"]), wider(Capability::Write, "usr"));
    }
}
