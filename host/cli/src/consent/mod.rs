//! Consent: what a person lets agents do that did not come with idumb, asked once.
//!
//! Invariant: only a person consents, by a flag, at the terminal, or in a file of their own; no
//! file of a project does, and nobody is asked again for what was given.

mod kept;
mod screen;

use std::path::Path;

use anyhow::Result;
use idumb_core::{
    AgentBinding, Bounds, Capability, Consent, Digest, Given, PathGlob, Plan, Role, RunId,
    beyond_consent,
};
use idumb_plan::CommandSource;
use jiff::Timestamp;

pub(crate) use kept::{Grants, Kept};
pub(crate) use screen::command_lines;

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
    /// The native commands that criteria have the host run.
    pub(crate) commands: Vec<(&'a str, &'a CommandSource)>,
}

/// Where one agent, or one command, stands.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The agent; of a command, its name, and the digest of its definition.
    pub(crate) agent: AgentBinding,
    /// What is run, if it is a command.
    pub(crate) command: Option<CommandSource>,
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
    /// The name under which it is kept: no agent's has a space.
    fn kept_name(&self) -> String {
        match &self.command {
            Some(_) => format!("command {}", self.agent.name),
            None => self.agent.name.clone(),
        }
    }

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
            agent: self.kept_name(),
            digest: self.agent.digest,
            project: Some(project.to_owned()),
            run: run.cloned(),
            reads: self.asked.reads.clone(),
            writes: self.asked.writes.clone(),
            given: Some(Timestamp::now()),
        }
    }

    fn consent(&self, given: Given) -> Consent {
        let (agent, most) = (self.kept_name(), self.asked.clone());
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
        if asked.is_empty() && self.commands.is_empty() {
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
        let agents = asked.into_iter().map(|(agent, asked)| (agent, asked, None));
        let commands = self.commands.iter().map(|(name, source)| {
            (binding_of(name, source), Bounds::default(), Some((*source).clone()))
        });
        let all = agents.chain(commands);
        Ok(all.map(|(agent, asked, command)| self.standing(agent, asked, command, &kept)).collect())
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

    fn standing(
        &self,
        agent: AgentBinding,
        asked: Bounds,
        command: Option<CommandSource>,
        kept: &[Kept],
    ) -> Standing {
        let for_run = |kept: &&Kept| match &kept.run {
            Some(run) => Some(run) == self.run && kept.holds_in(self.root),
            None => kept.holds_in(self.project),
        };
        let held: Vec<&Kept> = kept.iter().filter(for_run).collect();
        let mut given: Vec<Consent> = held.iter().map(|kept| kept.consent()).collect();
        given.retain(|consent| consent.digest == agent.digest);
        let (needs, new, before) = (false, Vec::new(), None);
        let mut standing = Standing { agent, command, asked, given, needs, new, before };
        let name = standing.kept_name();
        let namesakes = held.into_iter().filter(|kept| kept.agent == name);
        let namesakes: Vec<&Kept> = namesakes.filter(|kept| kept.run.is_none()).collect();
        standing.before = namesakes.last().map(|kept| (*kept).clone());
        let flag = |flag: &&GrantArg| flag.agent == standing.agent.name;
        if self.flags.iter().any(|given| flag(&given)) {
            standing.given.push(standing.consent(Given::Flag));
        }
        let digest = standing.agent.digest;
        let lacks = beyond_consent(&standing.given, digest, &standing.asked);
        if lacks.is_some_and(|lacks| lacks.is_empty()) {
            return standing;
        }
        if standing.command.is_some() {
            // Another definition is another program: nothing is carried over.
            standing.needs = true;
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
        // Its own consents do not cover this: told is of which other file the rest was.
        match namesakes.iter().rev().find(|kept| kept.digest != digest) {
            Some(other) if standing.new.is_empty() => {
                let digest = other.digest;
                standing.given.push(standing.consent(Given::Before { digest }));
            }
            _ => standing.needs = true,
        }
        standing
    }

    /// A flag must name an agent or a command that takes part, and what it is.
    fn check_flags(&self) -> Result<()> {
        for flag in self.flags {
            let name = printable(&flag.agent);
            let agent = self.roster.binding(&flag.agent).map(|agent| agent.digest);
            let command = self.commands.iter().find(|(name, _)| *name == flag.agent);
            let found: Vec<Digest> =
                agent.into_iter().chain(command.map(|(_, source)| source.digest())).collect();
            let Some(first) = found.first() else {
                let all = self.roster.bindings();
                let names = all.iter().map(|agent| agent.name.as_str());
                let names = names.chain(self.commands.iter().map(|(name, _)| *name));
                let message =
                    format!("--grant {name}: no agent or command of that name takes part");
                let help = idumb_plan::meant(&flag.agent, names, "there are");
                return Err(Fault::usage(message).hint(help).into());
            };
            if let Some(wanted) = flag.digest.filter(|wanted| !found.contains(wanted)) {
                let message = format!(
                    "--grant {name} is for {wanted}, but `{name}` as it is now has the digest {first}"
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

/// A command as something that needs consent: its digest is that of its definition.
fn binding_of(name: &str, source: &CommandSource) -> AgentBinding {
    AgentBinding {
        name: name.to_owned(),
        role: Role::Validator,
        digest: source.digest(),
        source: "idumb.toml".to_owned(),
        third_party: true,
        ceiling: None,
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
