//! Consent: what a person lets agents do that did not come with idumb, asked once.
//!
//! Invariant: only a person consents, by a flag, at the terminal, or in a file of their own; no
//! file of a project does, and nobody is asked again for what was given.

mod kept;
mod screen;

use std::path::Path;

use anyhow::Result;
use idumb_core::{
    AgentBinding, Bounds, Capability, Consent, Given, PathGlob, Plan, Role, RunId, beyond_consent,
};
use jiff::Timestamp;

pub(crate) use kept::{Grants, Kept};

use crate::args::GrantArg;
use crate::established::Established;
use crate::fault::{Fault, REFUSED};
use crate::prompt;
use crate::roster::Roster;
use crate::text::printable;

/// What somebody is about to run.
pub(crate) struct Asking<'a> {
    /// The project that the person named.
    pub(crate) project: &'a Path,
    /// Where it runs: the project, or a copy of it.
    pub(crate) root: &'a Path,
    /// Which run it is; `None`: none yet, or one that nothing is kept for.
    pub(crate) run: Option<&'a RunId>,
    pub(crate) plan: &'a Plan,
    pub(crate) roster: &'a Roster,
    pub(crate) established: &'a Established,
    /// What the command line gives.
    pub(crate) flags: &'a [GrantArg],
    /// The roles that take part.
    pub(crate) roles: &'a [Role],
}

/// Where one agent stands.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) agent: AgentBinding,
    /// What it asks for.
    pub(crate) asked: Bounds,
    /// What it was given.
    pub(crate) given: Vec<Consent>,
    /// Whether a person must be asked.
    pub(crate) needs: bool,
    /// What nobody gave so far to an agent of that name, what is written first.
    pub(crate) new: Vec<(Capability, PathGlob)>,
    /// The latest that was given for good to an agent of that name.
    pub(crate) before: Option<Kept>,
}

impl Standing {
    /// Everything that it asks for, what is written first.
    fn all(&self) -> impl Iterator<Item = (Capability, &PathGlob)> {
        let writes = self.asked.writes.iter().map(|glob| (Capability::Write, glob));
        writes.chain(self.asked.reads.iter().map(|glob| (Capability::Read, glob)))
    }

    /// What it lacks, in a line.
    pub(crate) fn in_a_line(&self) -> String {
        screen::in_a_line(self)
    }

    /// What a run would do about it, in a line.
    pub(crate) fn outlook(&self) -> String {
        let Some(last) = self.given.last().filter(|_| !self.needs) else {
            return "not allowed yet: a run asks you, or wants --grant".to_owned();
        };
        match &last.given {
            Given::Always => "allowed by you in this project".to_owned(),
            Given::Run => "allowed by you for the run".to_owned(),
            Given::Flag | Given::Once => "allowed by --grant".to_owned(),
            Given::Before { digest } => {
                format!("another file than {}, which you allowed; asks no more", digest.short())
            }
        }
    }

    fn is_new(&self, capability: Capability, glob: &PathGlob) -> bool {
        self.new.iter().any(|(new, path)| *new == capability && path == glob)
    }

    fn kept(&self, asking: &Asking<'_>, run: Option<&RunId>) -> Kept {
        let project = if run.is_some() { asking.root } else { asking.project };
        Kept {
            agent: self.agent.name.clone(),
            digest: self.agent.digest,
            project: Some(project.to_owned()),
            run: run.cloned(),
            reads: self.asked.reads.clone(),
            writes: self.asked.writes.clone(),
            given: Some(Timestamp::now()),
        }
    }

    fn consent(&self, given: Given) -> Consent {
        let (agent, most) = (self.agent.name.clone(), self.asked.clone());
        Consent { agent, digest: self.agent.digest, most, given }
    }
}

impl<'a> Asking<'a> {
    /// Where each agent stands that needs consent at all.
    ///
    /// # Errors
    /// A flag that gives to nobody, or a file of consents that cannot be read.
    pub(crate) fn standings(&self) -> Result<Vec<Standing>> {
        self.check_flags()?;
        let agents = self.roster.bindings().into_iter();
        let agents = agents.filter(|agent| self.roles.contains(&agent.role));
        let asked: Vec<(AgentBinding, Bounds)> =
            agents.filter_map(|agent| Some((agent.clone(), self.asked(&agent)?))).collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let kept = match Grants::of(&[self.project, self.root]) {
            Ok(Some(grants)) => grants.all()?,
            Ok(None) => Vec::new(),
            Err(why) => {
                crate::tell(&format!("idumb: what you allowed before does not count: {why}"));
                Vec::new()
            }
        };
        Ok(asked.into_iter().map(|(agent, asked)| self.standing(agent, asked, &kept)).collect())
    }

    fn asked(&self, agent: &AgentBinding) -> Option<Bounds> {
        let mut asked = self.plan.asked_by(agent)?;
        if agent.role == Role::IntegrationChecker {
            for glob in self.established.grants(self.plan).reads {
                if !asked.reads.contains(&glob) {
                    asked.reads.push(glob);
                }
            }
        }
        Some(asked)
    }

    fn standing(&self, agent: AgentBinding, asked: Bounds, kept: &[Kept]) -> Standing {
        let for_run = |kept: &&Kept| match &kept.run {
            Some(run) => Some(run) == self.run && kept.holds_in(self.root),
            None => kept.holds_in(self.project),
        };
        let held: Vec<&Kept> = kept.iter().filter(for_run).collect();
        let mut given: Vec<Consent> = held.iter().map(|kept| kept.consent()).collect();
        given.retain(|consent| consent.digest == agent.digest);
        let namesakes = held.into_iter().filter(|kept| kept.agent == agent.name);
        let namesakes: Vec<&Kept> = namesakes.filter(|kept| kept.run.is_none()).collect();
        let before = namesakes.last().map(|kept| (*kept).clone());
        let mut standing = Standing { agent, asked, given, needs: false, new: Vec::new(), before };
        let flag = |flag: &&GrantArg| flag.agent == standing.agent.name;
        if self.flags.iter().any(|given| flag(&given)) {
            standing.given.push(standing.consent(Given::Flag));
        }
        let digest = standing.agent.digest;
        let lacks = beyond_consent(&standing.given, digest, &standing.asked);
        if lacks.is_some_and(|lacks| lacks.is_empty()) {
            return standing;
        }
        // What its namesakes were given, it has as well: an update that asks for no more.
        let as_own = |kept: &&Kept| Consent { digest, ..kept.consent() };
        let mut all: Vec<Consent> = namesakes.iter().map(as_own).collect();
        all.extend(standing.given.iter().cloned());
        let lacks = beyond_consent(&all, digest, &standing.asked);
        standing.new = match lacks {
            Some(lacks) => lacks.into_iter().map(|(how, glob)| (how, glob.clone())).collect(),
            None => standing.all().map(|(how, glob)| (how, glob.clone())).collect(),
        };
        match &standing.before {
            Some(before) if standing.new.is_empty() => {
                let digest = before.digest;
                standing.given.push(standing.consent(Given::Before { digest }));
            }
            _ => standing.needs = true,
        }
        standing
    }

    /// A flag must name an agent that takes part, and the component that it is.
    fn check_flags(&self) -> Result<()> {
        for flag in self.flags {
            let name = printable(&flag.agent);
            let Some(agent) = self.roster.binding(&flag.agent) else {
                let all = self.roster.bindings();
                let names = all.iter().map(|agent| agent.name.as_str());
                let message = format!("--grant {name}: no agent of that name takes part");
                let help = idumb_plan::meant(&flag.agent, names, "the agents are");
                return Err(Fault::usage(message).hint(help).into());
            };
            if let Some(wanted) = flag.digest.filter(|wanted| *wanted != agent.digest) {
                let found = agent.digest;
                let message = format!(
                    "--grant {name} is for {wanted}, but the file that `{name}` is now has the \
                     digest {found}"
                );
                return Err(Fault { exit: REFUSED, ..Fault::usage(message) }
                    .hint("look at what changed before you allow that one")
                    .into());
            }
        }
        Ok(())
    }

    /// The consents of a run; a person is asked for what is missing, if `may_ask`.
    ///
    /// # Errors
    /// Nobody gave what is missing: nothing may run.
    pub(crate) fn settle(&self, may_ask: bool) -> Result<Vec<Consent>> {
        let standings = self.standings()?;
        for standing in &standings {
            if let Some(Given::Before { digest }) = standing.given.last().map(|last| &last.given) {
                let (name, now) = (&standing.agent.name, standing.agent.digest.short());
                crate::tell(&format!(
                    "idumb: agent {name} is another file than the one you allowed (was {}, is \
                     {now}); it asks for no more",
                    digest.short()
                ));
            }
        }
        let (open, settled): (Vec<Standing>, Vec<Standing>) =
            standings.into_iter().partition(|standing| standing.needs);
        let mut consents: Vec<Consent> =
            settled.into_iter().flat_map(|standing| standing.given).collect();
        if open.is_empty() {
            return Ok(consents);
        }
        if !may_ask {
            return Err(self.unattended(&open).into());
        }
        let grants = Grants::of(&[self.project, self.root]).ok().flatten();
        let options = screen::options(self.run.is_some(), grants.is_some());
        let choice = prompt::ask_now(&screen::question(self, &open), &options);
        let given = match choice.as_deref() {
            Some("once") => Given::Once,
            Some("run") => Given::Run,
            Some("always") => Given::Always,
            _ => {
                let message = "you did not allow it, so nothing was run";
                return Err(Fault { exit: REFUSED, ..Fault::usage(message) }.into());
            }
        };
        if let (Given::Run | Given::Always, Some(grants)) = (&given, &grants) {
            let run = self.run.filter(|_| given == Given::Run);
            let kept: Vec<Kept> = open.iter().map(|standing| standing.kept(self, run)).collect();
            grants.change(|all| keep(all, kept))?;
        }
        consents.extend(open.iter().map(|standing| standing.consent(given.clone())));
        consents.extend(open.into_iter().flat_map(|standing| standing.given));
        Ok(consents)
    }

    fn unattended(&self, open: &[Standing]) -> Fault {
        let whats: Vec<String> = open.iter().map(screen::in_a_line).collect();
        let message = format!("you have not allowed what is needed: {}", whats.join("; "));
        let flags: Vec<String> = open
            .iter()
            .map(|standing| format!("--grant {}={}", standing.agent.name, standing.agent.digest))
            .collect();
        let number = self.plan.phase.number;
        Fault { exit: REFUSED, ..Fault::usage(message) }
            .hint(format!("see what they ask for and why: idumb execute-phase {number} --dry-run"))
            .hint(format!("allow it for this start: {}", flags.join(" ")))
            .hint("or start it in interactive mode at a terminal, to be asked once")
    }
}

/// Adds consents, and drops those that they make pointless.
fn keep(all: &mut Vec<Kept>, new: Vec<Kept>) {
    for new in new {
        let same = |old: &Kept| {
            old.agent == new.agent
                && old.project == new.project
                && match &new.run {
                    // A run that another one follows is not taken up again.
                    Some(_) => old.run.is_some(),
                    None => old.run.is_none() && old.digest == new.digest,
                }
        };
        all.retain(|old| !same(old));
        all.push(new);
    }
}
