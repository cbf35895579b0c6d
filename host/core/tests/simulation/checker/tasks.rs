//! What must hold of each task: one lease at a time, one verdict for one candidate, no more
//! attempts than somebody allowed.
//!
//! Invariant: as the checker's.

use std::collections::BTreeSet;

use idumb_core::{
    Aftermath, AgentBinding, Blocker, CheckpointAt, Digest, Event, EvidenceId, Examination, Grants,
    Interruption, Judgement, Mode, Observed, Parking, Resort, Role, Rule, RuleDecision, Stamped,
    TaskId, Trouble, Verdict,
};

use super::clocks::Job;
use super::{At, Checker, Control};
use crate::world::{Look, World};

impl Checker {
    /// Whether it is one of these events.
    pub(super) fn task_event(&mut self, stamped: &Stamped, world: &World) -> bool {
        match &stamped.event {
            Event::LeaseGranted { .. } => self.lease_granted(&stamped.event),
            Event::AttemptStarted { task, epoch } => {
                self.account(task, &[At::Leased], Some(*epoch)).at = At::Running;
                let limit = self.limit(task);
                let asks = self.asks(task);
                let live = self.live.get_mut(&Job::Task(task.clone())).expect("nobody builds");
                live.begin(limit, stamped.up, asks);
            }
            Event::AttemptSealed { task, epoch, sealed, .. } => {
                let candidate = &world.candidates[&sealed.change_set];
                let of = (&candidate.task, candidate.epoch);
                assert_eq!(of, (task, *epoch), "another's candidate");
                self.check_in_time(task, stamped.up);
                let account = self.account(task, &[At::Leased, At::Running], Some(*epoch));
                account.at = At::Sealed;
                account.deaths = 0;
                account.change_set = Some(sealed.change_set);
                account.held = false;
                self.ends(task);
            }
            Event::ValidationStarted { task, epoch, change_set, grants, .. } => {
                self.goes();
                self.check_rights(task, grants, self.config.checker(Role::Validator));
                let checked_after = self.history.len();
                let account = self.account(task, &[At::Sealed], None);
                assert!(*epoch > account.epoch, "an epoch is used twice");
                account.checked_after = checked_after;
                assert_eq!(account.change_set, Some(*change_set));
                (account.epoch, account.at, account.held) = (*epoch, At::Validating, false);
            }
            Event::ValidationInterrupted { task, epoch } => {
                self.check_cut_short(task, stamped.up);
                self.account(task, &[At::Validating], Some(*epoch)).at = At::Sealed;
                self.ends(task);
            }
            Event::CandidateExamined { task, epoch, change_set, examination, .. } => {
                self.examined(task, *epoch, *change_set, examination, world);
            }
            Event::CandidateJudged { task, epoch, change_set, examination, judgement, .. } => {
                self.judged(task, *epoch, *change_set, examination, judgement, world)
            }
            Event::JudgementOutdated { task, by, .. } => {
                assert!(self.history.contains(by), "{by} changed nothing");
                self.account(task, &[At::Validating, At::Accepted], None).at = At::Sealed;
                self.seen.insert("a verdict that was outdated");
                self.ends(task);
            }
            Event::LeaseRenewed { task, epoch } => {
                assert!(self.taking_up, "nobody took it up");
                let account = self.account(task, &[At::Validating, At::Integrating], None);
                assert!(*epoch > account.epoch);
                account.epoch = *epoch;
                if account.at == At::Validating {
                    account.at = At::Sealed;
                }
            }
            Event::IntegrationStarted { task, epoch, change_set } => {
                self.goes();
                let mut others = self.accounts.values();
                assert!(!others.any(|other| other.at == At::Integrating), "one at a time");
                assert!(!world.is_half(), "the base is between two states");
                self.check_nothing_unchecked(task, *change_set, world);
                let account = self.account(task, &[At::Accepted], Some(*epoch));
                assert_eq!(account.change_set, Some(*change_set));
                account.at = At::Integrating;
            }
            Event::TaskSucceeded { task, epoch, .. } => self.succeeded(task, *epoch, world),
            Event::StaleAnswer { .. } => {
                assert!(!self.current_answer, "a current answer is called stale");
            }
            _ => return false,
        }
        true
    }

    fn lease_granted(&mut self, event: &Event) {
        let Event::LeaseGranted { task, attempt, epoch, grants, .. } = event else {
            unreachable!("a lease is granted");
        };
        self.goes();
        assert!(self.batch.contains(task), "{task} is not in the batch");
        assert!(!self.completed.contains(task), "{task} is done");
        self.check_ready(task);
        let definition = self.task(task);
        self.check_rights(task, grants, self.config.agent(&definition.agent));
        let governance = self.config.governance();
        assert_eq!(governance.refuses(&definition.grants()), None, "{task}");
        let agents = self.config.agent(&definition.agent);
        let pair = agents.zip(self.config.checker(Role::Validator));
        let same = pair.and_then(|(builder, judge)| governance.refuses_pair(builder, judge));
        assert_eq!(same, None, "{task}");
        let before = definition.checkpoint.filter(|stop| stop.at == CheckpointAt::Before);
        let passed = self.accounts[task].passed;
        assert!(before.is_none() || passed, "{task}: its checkpoint was not passed");
        let stop = self.plan.tasks.iter().find(|other| self.stops_after(other));
        assert_eq!(stop.map(|other| &other.id), None, "{task} starts behind a checkpoint");
        assert!(!self.live.contains_key(&Job::Task(task.clone())), "{task} lives twice");
        let built_after = self.history.len();
        let account = self.account(task, &[At::Idle], None);
        assert!(*epoch > account.epoch && *attempt == account.attempt + 1);
        account.built_after = built_after;
        (account.epoch, account.attempt, account.at) = (*epoch, *attempt, At::Leased);
    }

    fn check_rights(&self, task: &TaskId, grants: &Grants, agent: Option<&AgentBinding>) {
        assert_eq!(self.links, 3, "{task}: nobody delegated that");
        assert_eq!(self.refusals, 0, "{task}: it was refused");
        assert_eq!(grants.never, self.config.governance().never(), "{task}: what nobody gets");
        let ceiling = agent.and_then(AgentBinding::bounds);
        assert_eq!(grants.ceiling, ceiling, "{task}: what its agent declares");
    }

    pub(super) fn check_ready(&self, task: &TaskId) {
        for other in &self.task(task).depends_on {
            assert_eq!(self.at(other), At::Succeeded, "{task} needs {other}");
        }
    }

    /// An attempt or a validation has ended.
    fn ends(&mut self, task: &TaskId) {
        // What comes of it now comes too late.
        self.current_answer = false;
        self.live.remove(&Job::Task(task.clone()));
    }

    fn examined(
        &mut self,
        task: &TaskId,
        epoch: u32,
        change_set: Digest,
        examination: &Examination,
        world: &World,
    ) {
        let accept = &self.task(task).accept;
        assert!(accept.iter().any(|one| one.is_judged()), "{task}: nobody has to judge");
        let all = accept.iter().all(|one| one.is_judged());
        let unseen = self.accounts[task].at == At::Sealed;
        let expected = if unseen { [At::Sealed] } else { [At::Validating] };
        if unseen {
            assert!(all, "{task}: what can be checked was not");
            assert_eq!(self.control, Control::Active);
            assert_eq!(*examination, Examination::default(), "nobody looked at it");
            let now = self.history.len();
            self.account(task, &expected, Some(epoch)).checked_after = 0;
            self.check_nothing_unchecked(task, change_set, world);
            self.account(task, &expected, Some(epoch)).checked_after = now;
        } else {
            let trial = &world.trials[&examination.evidence[0].id];
            assert_eq!((trial.epoch, trial.change_set), (epoch, change_set), "a stale verdict");
            assert!(trial.good, "what can be checked does not hold");
            self.check_fresh(task, change_set, &trial.looks, world);
        }
        let account = self.account(task, &expected, Some(epoch));
        assert_eq!(account.change_set, Some(change_set));
        account.at = At::Judging;
        self.ends(task);
    }

    fn judged(
        &mut self,
        task: &TaskId,
        epoch: u32,
        change_set: Digest,
        examination: &Examination,
        judgement: &Judgement,
        world: &World,
    ) {
        let passed = judgement.verdict == Verdict::Pass;
        let person = self.answered.take().filter(|(of, _)| of == task).map(|(_, prompt)| prompt);
        let of_people = self.task(task).accept.iter().filter(|one| one.is_judged()).count();
        let checked = self.task(task).accept.len() - of_people;
        let mut evidence = examination.evidence.iter().map(|evidence| &evidence.id);
        let trial = evidence.find_map(|id| Some((id, world.trials.get(id)?)));
        assert!(trial.is_some() || checked == 0, "{task}: who looked at it?");
        if let Some((_, trial)) = trial {
            let of = (trial.epoch, trial.change_set);
            assert_eq!(of, (epoch, change_set), "a stale verdict");
            if person.is_none() {
                self.check_fresh(task, change_set, &trial.looks, world);
            }
        }
        let good = trial.is_none_or(|(_, trial)| trial.good);
        let holds = self.accounts[task].held;
        assert_eq!(passed, good && (of_people == 0 || holds), "{task}: {examination:?}");
        if passed {
            self.check_findings(task, examination, person);
        }
        let expected = if person.is_some() { [At::Judging] } else { [At::Validating] };
        let account = self.account(task, &expected, Some(epoch));
        assert_eq!(account.change_set, Some(change_set));
        if passed {
            account.at = At::Accepted;
            let none = EvidenceId::new("nobody").expect("an identifier");
            let id = trial.map_or(none, |(id, _)| id.clone());
            self.verdicts.insert(change_set, id);
        }
        self.ends(task);
    }

    /// Nobody changed what the builder and the validator saw while they looked.
    fn check_fresh(&self, task: &TaskId, candidate: Digest, looks: &[Look], world: &World) {
        self.check_in_time(task, self.last_up);
        let account = &self.accounts[task];
        let of_builder = (account.built_after, world.candidates[&candidate].looks.as_slice());
        for (after, looks) in [of_builder, (account.checked_after, looks)] {
            for later in &self.integrated[after..] {
                for (path, _) in &world.candidates[later].writes {
                    let stale = looks.iter().any(|look| look.is_changed_by(path));
                    assert!(!stale, "{task}: what was seen of {path} was changed since");
                }
            }
        }
    }

    /// What was done after the validator began looks at nothing that the candidate changes: nobody
    /// checked that on it.
    fn check_nothing_unchecked(&self, task: &TaskId, candidate: Digest, world: &World) {
        let later = &self.history[self.accounts[task].checked_after..];
        // What another plan left out, or undid, is promised no more.
        let done = later.iter().filter(|later| self.completed.contains(later));
        for later in done.filter_map(|later| self.plan.task(later)) {
            let looks_at = later.accept.iter().filter(|criterion| !criterion.is_judged());
            for glob in looks_at.flat_map(|criterion| &criterion.looks_at) {
                let mut writes = world.candidates[&candidate].writes.iter();
                let broken = writes.find(|(path, _)| glob.matches(path));
                assert!(broken.is_none(), "{task}: {} looks at {broken:?}", later.id);
            }
        }
    }

    /// Each criterion has one finding that rests on what the host saw, and what only a
    /// person can judge on that person's answer.
    fn check_findings(&self, task: &TaskId, examination: &Examination, person: Option<u32>) {
        for criterion in &self.task(task).accept {
            let about = |finding: &&idumb_core::Finding| finding.criterion == criterion.id;
            let findings: Vec<_> = examination.findings.iter().filter(about).collect();
            assert_eq!(findings.len(), 1, "{}", criterion.id);
            let seen = &findings[0].evidence;
            assert!(!seen.is_empty(), "{} rests on nothing", criterion.id);
            for id in seen {
                let known = examination.evidence.iter().find(|evidence| evidence.id == *id);
                let observed = &known.expect("the host saw that").observed;
                let answer =
                    person.map(|prompt| Observed::Answer { prompt, choice: "holds".to_owned() });
                assert!(!criterion.is_judged() || answer.as_ref() == Some(observed));
            }
        }
    }

    fn succeeded(&mut self, task: &TaskId, epoch: u32, world: &World) {
        let account = self.account(task, &[At::Integrating], Some(epoch));
        account.at = At::Succeeded;
        let change_set = account.change_set.expect("a candidate");
        assert!(world.applied.contains(&change_set), "{task} is called done and is not");
        assert!(!self.completed.contains(task), "{task} is done twice");
        self.completed.push(task.clone());
        self.history.push(task.clone());
        self.integrated.push(change_set);
        let times = world.applied.iter().filter(|other| **other == change_set).count();
        assert_eq!(times, 1, "{task} is integrated twice");
        self.ends(task);
    }

    /// Whether it is one of these events.
    pub(super) fn task_trouble(&mut self, stamped: &Stamped, world: &World) -> bool {
        match &stamped.event {
            Event::AttemptFailed { .. } => self.attempt_failed(stamped, world),
            Event::AttemptInterrupted { task, epoch, cause, .. } => {
                match cause {
                    Interruption::HostDied => assert!(self.taking_up, "nobody died"),
                    Interruption::Pause | Interruption::Cancel => {
                        let given_up = self.control == Control::Cancelling;
                        let cancels = *cause == Interruption::Cancel;
                        assert!(given_up || !cancels, "nobody gave it up");
                        self.check_cut_short(task, stamped.up);
                    }
                }
                let account = self.account(task, &[At::Leased, At::Running], Some(*epoch));
                if account.at == At::Running && *cause == Interruption::HostDied {
                    account.deaths += 1;
                }
                account.at = At::Idle;
                self.ends(task);
            }
            Event::BackOffEnded { task } => {
                let taking_up = self.taking_up;
                let account = self.account(task, &[At::BackOff], None);
                assert!(taking_up || stamped.up >= account.delayed_until, "too early");
                account.at = At::Idle;
                assert!(taking_up || self.control == Control::Active);
            }
            Event::TaskParked { task, parking } => {
                let max = self.config.max_deaths.max(1);
                assert!(self.taking_up, "nobody died");
                let account = self.account(task, &[At::Idle], None);
                let times = account.deaths;
                assert!(times >= max, "{task} is parked too early");
                assert_eq!(*parking, Parking::HostDied { times });
                (account.at, account.parking) = (At::Parked(*parking), Some(*parking));
                self.seen.insert("a task while which the host kept dying");
            }
            Event::RuleApplied { task, rule, blocker, decision } => {
                self.rule_applied(task, rule, *blocker, *decision, stamped.up);
            }
            Event::TaskFailed { task, .. } => self.task_failed(task),
            Event::TaskSkipped { task, because } => self.task_skipped(task, because.as_ref()),
            Event::TaskReopened { task } => {
                assert!(self.taking_up, "nobody decided to try it again");
                let failed = matches!(self.before, Control::Failed | Control::Refused);
                let rested = failed || matches!(self.before, Control::Paused(_));
                let account = self.accounts.get_mut(task).expect("a task");
                let again = match account.at {
                    At::Parked(_) => rested,
                    At::Failed | At::Skipped => failed,
                    _ => false,
                };
                assert!(again, "{task} is {:?}, and it was {:?}", account.at, self.before);
                self.failed.retain(|other| other != task);
                let (passed, change_set) = (account.passed, None);
                *account = super::Account { passed, change_set, ..account.anew() };
            }
            _ => return false,
        }
        true
    }

    fn attempt_failed(&mut self, stamped: &Stamped, world: &World) {
        let Event::AttemptFailed { task, epoch, trouble, then, .. } = &stamped.event else {
            unreachable!("an attempt failed");
        };
        if matches!(trouble, Trouble::Timeout { .. }) {
            self.check_timed_out(&Job::Task(task.clone()), stamped.up);
        }
        let expected = self.aftermath(task, trouble);
        assert_eq!(*then, expected, "{task}: {trouble}");
        let under_way =
            [At::Leased, At::Running, At::Validating, At::Judging, At::Accepted, At::Integrating];
        let account = self.account(task, &under_way, Some(*epoch));
        if account.at == At::Integrating {
            assert!(matches!(trouble, Trouble::Conflict { .. }), "the base may be half changed");
        }
        account.deaths = 0;
        if let Some(change_set) = account.change_set.take() {
            assert!(!world.begun.contains(&change_set), "{task}: half of it is in the base");
        }
        account.trouble = Some(trouble.clone());
        match (trouble, then) {
            (_, Aftermath::Ready) => {}
            (Trouble::Conflict { .. }, _) => account.conflicts += 1,
            _ => account.failures += 1,
        }
        account.at = match then {
            Aftermath::Rerun | Aftermath::Ready => At::Idle,
            Aftermath::BackOff { delay_ms } => {
                account.delayed_until = stamped.up + delay_ms;
                At::BackOff
            }
            Aftermath::Park(parking) => {
                account.parking = Some(*parking);
                At::Parked(*parking)
            }
        };
        self.must_rest |= *then == Aftermath::Ready;
        self.ends(task);
    }

    /// What must follow such a trouble.
    fn aftermath(&self, task: &TaskId, trouble: &Trouble) -> Aftermath {
        let account = &self.accounts[task];
        let auto = self.config.mode == Mode::Auto;
        let hosts = matches!(trouble, Trouble::Unavailable { .. } | Trouble::Error { .. });
        let decided = auto && self.rule(Blocker::Error, task).is_some();
        match trouble {
            Trouble::Conflict { .. } if account.conflicts < 16 => Aftermath::Rerun,
            Trouble::Conflict { .. } => Aftermath::Park(Parking::Exhausted),
            _ if hosts && decided => Aftermath::Park(Parking::Exhausted),
            _ if hosts => Aftermath::Ready,
            Trouble::Failure(failure) if !failure.retryable => {
                Aftermath::Park(Parking::NotRetryable)
            }
            _ if account.failures < self.task(task).retries => {
                let (run, failures) = (&self.config.run, account.failures + 1);
                let delay_ms = self.config.backoff.delay_ms(run, task, failures);
                Aftermath::BackOff { delay_ms }
            }
            _ => Aftermath::Park(Parking::Exhausted),
        }
    }

    fn rule(&self, blocker: Blocker, task: &TaskId) -> Option<&Rule> {
        self.config.rules.iter().find(|rule| rule.decides(blocker, task))
    }

    fn blocker(&self, task: &TaskId) -> Blocker {
        let account = &self.accounts[task];
        match account.at {
            At::Judging => Blocker::Judged,
            At::Parked(Parking::HostDied { .. }) => Blocker::Trap,
            _ => account.trouble.as_ref().map_or(Blocker::Trap, Trouble::blocker),
        }
    }

    fn rule_applied(
        &mut self,
        task: &TaskId,
        name: &str,
        blocker: Blocker,
        decision: RuleDecision,
        up: u64,
    ) {
        self.goes();
        assert_eq!(self.config.mode, Mode::Auto, "people decide");
        assert_eq!(blocker, self.blocker(task), "{task}");
        let rule = self.rule(blocker, task).expect("a rule").clone();
        assert_eq!(rule.name, name, "the first that fits decides");
        let account = self.accounts.get_mut(task).expect("a task");
        if account.at != At::Judging {
            assert!(matches!(account.at, At::Parked(_)), "{task} is {:?}", account.at);
            let no_use = account.at == At::Parked(Parking::NotRetryable);
            let again = account.granted < rule.retry && !no_use;
            assert_eq!(again, matches!(decision, RuleDecision::Retry { .. }), "{task}");
        }
        match decision {
            RuleDecision::Retry { delay_ms } => {
                let mut backoff = self.config.backoff;
                backoff.initial_ms = rule.backoff_ms.unwrap_or(backoff.initial_ms);
                account.granted += 1;
                // Somebody decided to try it again: what was counted before is dealt with.
                account.deaths = 0;
                let expected = backoff.delay_ms(&self.config.run, task, account.granted);
                assert_eq!(delay_ms, expected, "{task}");
                (account.at, account.delayed_until) = (At::BackOff, up + delay_ms);
            }
            RuleDecision::Resort { then } => {
                assert_eq!(then, rule.then);
                match then {
                    Resort::Skip => self.may_skip = Some(task.clone()),
                    Resort::Fail => self.may_fail = Some(task.clone()),
                    Resort::Pause => {
                        assert_ne!(account.at, At::Judging, "a person is asked instead");
                        self.must_rest = true;
                    }
                }
            }
        }
    }

    fn task_failed(&mut self, task: &TaskId) {
        let decided = self.may_fail.take().is_some_and(|other| other == *task);
        let no_use = self.at(task) == At::Parked(Parking::NotRetryable);
        let ruled = self.rule(self.blocker(task), task).is_some();
        let hopeless = no_use && !ruled && self.config.mode == Mode::Auto;
        assert!(decided || hopeless, "{task} is given up, and nobody said so");
        self.set(task, At::Failed);
        self.failed.push(task.clone());
    }

    fn task_skipped(&mut self, task: &TaskId, because: Option<&TaskId>) {
        match because {
            None => {
                let decided = self.may_skip.take().is_some_and(|other| other == *task);
                assert!(decided, "{task} is left out, and nobody said so");
            }
            Some(other) => {
                assert_eq!(self.at(other), At::Skipped);
                let mut needs: BTreeSet<&TaskId> = self.task(task).depends_on.iter().collect();
                while let Some(next) = needs.iter().find_map(|id| {
                    let further = self.task(id).depends_on.iter();
                    further.into_iter().find(|other| !needs.contains(other))
                }) {
                    needs.insert(next);
                }
                assert!(needs.contains(other), "{task} does not depend on {other}");
                self.account(task, &[At::Idle], None);
            }
        }
        self.set(task, At::Skipped);
    }
}
