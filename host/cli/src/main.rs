//! `idumb`: runs other people's agents on your code, safely.
//!
//! Invariant: results go to standard output, everything else to standard error; every way
//! out has its exit status, as `idumb --help` lists them.

mod apart;
mod approve;
mod args;
mod check;
mod clock;
mod columns;
mod command;
mod compiled;
mod consent;
mod control;
mod debug;
mod desk;
mod diff;
mod doctor;
mod drift;
mod driver;
mod dry_run;
mod established;
mod execute;
mod fail_point;
mod fault;
mod grants;
mod home;
mod import;
mod init;
mod look;
mod native;
mod output;
mod plan_phase;
mod printed;
mod project;
mod prompt;
mod record;
mod report;
mod roster;
mod scratch;
mod settings;
mod steer;
mod text;
mod verify_work;
mod workshop;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};

use crate::args::{Cli, Command, Format, SandboxCommand};
use crate::fault::{Fault, INTERNAL};
use crate::report::Paint;

fn main() -> ExitCode {
    let clock = clock::Clock::start();
    #[cfg(debug_assertions)]
    idumb_overlay::on_integration_step(|| fail_point::fail_point("integrate.step"));
    // Not one of the commands of people: it has no words of its own, and reads no arguments.
    if std::env::args_os().nth(1).is_some_and(|first| first == compiled::COMPILE) {
        return match idumb_sandbox::compile() {
            Ok(status) => ExitCode::from(status),
            Err(error) => {
                tell(&format!("{error}"));
                ExitCode::from(INTERNAL)
            }
        };
    }
    if std::env::args_os().nth(1).is_some_and(|first| first == native::INNER) {
        return idumb_exec::inner();
    }
    let cli = Cli::parse();
    let format = cli.command.format();
    let project = cli.project.as_deref();
    let result = match &cli.command {
        Command::ExecutePhase(args) => execute::execute_phase(project, args, clock),
        Command::Check(args) => check::check(project, args),
        Command::VerifyWork(args) => verify_work::verify(project, args),
        Command::Status(args) => look::status(project, args),
        Command::Pause(args) => steer::pause(project, args),
        Command::Cancel(args) => steer::cancel(project, args, clock),
        Command::Answer(args) => steer::answer(project, args, clock),
        Command::Log(args) => look::log(project, args),
        Command::Debug(args) => debug::debug(project, args),
        Command::Diff(args) => diff::diff(project, args),
        Command::Replay(args) => look::replay(project, args),
        Command::Plan(args::PlanCommand::Import(args)) => import::import(project, args),
        Command::PlanPhase(args) => plan_phase::plan(project, args),
        Command::Grants(args) => grants::grants(args),
        Command::Init(args) => init::init(project, args),
        Command::Doctor(args) => doctor::doctor(project, args),
        Command::Schema { of } => schema(*of),
        Command::Completions { shell } => completions(*shell),
        Command::Man { folder } => manual(folder),
        Command::Sandbox(SandboxCommand::Run(args)) => command::run(project, args),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => ExitCode::from(told(&error, format)),
    }
}

/// Prints a JSON Schema.
fn schema(of: args::SchemaArg) -> anyhow::Result<u8> {
    let of = match of {
        args::SchemaArg::Plan => idumb_plan::Schema::Plan,
        args::SchemaArg::Config => idumb_plan::Schema::Config,
        args::SchemaArg::Rules => idumb_plan::Schema::Rules,
        args::SchemaArg::Settings => idumb_plan::Schema::Settings,
        args::SchemaArg::Events => idumb_plan::Schema::Events,
    };
    let text = serde_json::to_string_pretty(&idumb_plan::schema(of))?;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(fault::DONE)
}

/// Prints a shell's completions.
fn completions(shell: clap_complete::Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "idumb", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(fault::DONE)
}

/// Writes a page for idumb, and one for each command.
fn manual(folder: &std::path::Path) -> anyhow::Result<u8> {
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("writing the manual into {}", folder.display()))?;
    Ok(fault::DONE)
}

/// Tells what went wrong; answers the exit status.
fn told(error: &anyhow::Error, format: Format) -> u8 {
    let reader_left = |cause: &(dyn std::error::Error + 'static)| {
        let cause = cause.downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(reader_left) {
        // `idumb log | head` has what it wanted.
        return fault::DONE;
    }
    let fault = error.downcast_ref::<Fault>();
    let exit = fault.map_or(INTERNAL, |fault| fault.exit);
    let io = |cause: &(dyn std::error::Error + 'static)| cause.is::<std::io::Error>();
    let hints = match fault {
        Some(fault) => fault.hints.clone(),
        None if error.chain().any(io) => vec!["see to what it names, then run it again".to_owned()],
        None => Vec::new(),
    };
    let code = fault.and_then(|fault| fault.code);
    if format != Format::Text {
        report::error_line(code, &fault::told(error), &hints);
        return exit;
    }
    let paint = Paint::for_stream(&std::io::stderr());
    let code = code.map_or(String::new(), |code| format!("[{code}]"));
    let head = paint.bad(&format!("error{code}"));
    let mut text = format!("{head}: {}\n", fault::told(error).trim_end());
    for hint in hints {
        text.push_str(&format!("  {}: {hint}\n", paint.strong("what to do")));
    }
    // With standard error gone there is nobody to tell.
    let text = columns::wrapped(&text, columns::of(&std::io::stderr()));
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    exit
}

/// A word to the person at the terminal, on standard error.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
