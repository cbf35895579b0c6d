//! How results are to be printed.
//!
//! Invariant: every command takes it but those whose output is for a shell, or not their own.

use clap::{Args, ValueEnum};

use super::{Command, GrantsCommand, PlanCommand};

#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Output {
    /// How to print: `text` for people; for programs `json`, one value, or `jsonl`, an object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON value, when it is done
    Json,
    /// One JSON object a line, as it happens
    Jsonl,
}

impl Command {
    /// How its results are to be printed.
    pub(crate) fn format(&self) -> Format {
        let output = match self {
            Self::ExecutePhase(args) => args.output,
            Self::Check(args) => args.output,
            Self::Plan(PlanCommand::Import(args)) => args.output,
            Self::PlanPhase(args) => args.output,
            Self::VerifyWork(args) => args.output,
            Self::Status(args) => args.output,
            Self::Pause(args) => args.output,
            Self::Cancel(args) => args.output,
            Self::Answer(args) => args.output,
            Self::Log(args) => args.output,
            Self::Debug(args) => args.output,
            Self::Diff(args) => args.output,
            Self::Replay(args) => args.output,
            Self::Grants(GrantsCommand::List { output }) => *output,
            Self::Grants(GrantsCommand::Revoke(args)) => args.output,
            Self::Init(args) => args.output,
            Self::Doctor(args) => args.output,
            // A schema is JSON, and what the others print is for shells, or the command's own.
            Self::Schema { .. }
            | Self::Completions { .. }
            | Self::Man { .. }
            | Self::Sandbox(_) => Output::default(),
        };
        output.format
    }
}
