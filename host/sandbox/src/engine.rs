//! The engine, the linkers, and what a component must be to run here.
//!
//! Invariant: what is linked for a role is exactly its world; a component that wants more
//! is refused before anything of it runs.

use std::hash::{Hash as _, Hasher};
use std::sync::Arc;
use std::time::Duration;

use idumb_core::{Digest, Role, duration_text};
use wasmtime::Engine;
use wasmtime::component::types::{ComponentExtern, ComponentItem};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::random::WasiRandom;

use crate::Limits;
use crate::agent::Agent;
use crate::cache::{Cache, Code};
use crate::command::Command;
use crate::compile::Compiler;
use crate::contract;
use crate::files::FileSystem;
use crate::guest::Guest;
use crate::seat::Seated;
use crate::settings::{self, TICK};
use crate::shares::Shares;

/// Room for so many calls is made even if fewer go on at once: what the largest component
/// takes that can be prepared.
const LEAST_SHARES: u32 = 16;

/// The contract's package and version, as components name it.
const CONTRACT: &str = "idumb:agent/";
const VERSION: &str = "0.1";

/// Why a component cannot be an agent of the role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Larger than the limit.
    #[error(
        "the component has {size} bytes; the limit is {limit}: have its author make it smaller"
    )]
    TooLarge {
        /// Its size.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Not a component, or one that this engine cannot compile.
    #[error("not a WebAssembly component that runs here: {0}")]
    Invalid(String),
    /// It asks for what its role does not get.
    #[error(
        "it imports `{import}`, which role {role} does not get (it gets {offered}): rebuild it \
         without that, or take another agent"
    )]
    Import {
        /// What it asks for.
        import: String,
        /// The role it was to take.
        role: Role,
        /// What there is.
        offered: String,
    },
    /// It was built for another version of the contract.
    #[error(
        "it was built for `{found}`; this host speaks idumb:agent {VERSION}: rebuild the agent for that"
    )]
    Version {
        /// What it names.
        found: String,
    },
    /// It lacks the function of the role.
    #[error(
        "it does not export `{expected}`, which role {role} needs (it exports {found}): take an \
         agent that was built for that role"
    )]
    Export {
        /// The function's name.
        expected: &'static str,
        /// The role it was to take.
        role: Role,
        /// What it exports.
        found: String,
    },
    /// It is no command.
    #[error("it does not export wasi:cli/run 0.2, which a command does (it exports {found})")]
    NoCommand {
        /// What it exports.
        found: String,
    },
    /// Compiling it takes too long.
    #[error(
        "compiling it takes longer than {}: have its author make it smaller, or raise \
         `compile_time` in the [limits] of idumb.toml",
        duration_text(millis(limit))
    )]
    TooSlow {
        /// What is allowed.
        limit: Duration,
    },
    /// Compiling it takes too much memory.
    #[error(
        "compiling it takes more than {} MiB of memory: have its author make it smaller, or \
         raise `compile_memory` in the [limits] of idumb.toml",
        limit >> 20
    )]
    TooMuchMemory {
        /// What is allowed, in bytes.
        limit: u64,
    },
    /// The process that compiles ended without an answer.
    #[error("the compiler ended without an answer: {0}")]
    Compiler(String),
    /// The function of the role has another type.
    #[error(
        "its export `{export}` is not what the contract says: {why}: rebuild it for \
         idumb:agent {VERSION}"
    )]
    Type {
        /// The function's name.
        export: &'static str,
        /// The difference.
        why: String,
    },
}

/// The engine that all agents of a process share.
#[derive(Clone)]
pub struct Sandbox {
    engine: Engine,
    shares: Shares,
    options: Arc<Options>,
}

/// How a [`Sandbox`] is to be.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What every agent may use.
    pub limits: Limits,
    /// How many calls go on at once, at most; more wait for their turn.
    pub calls: u32,
    /// Where compiled components are kept, and looked for first.
    pub cache: Option<Cache>,
    /// Who compiles.
    pub compiler: Compiler,
    /// Have each call ask the system for its memory, as where there is no room for it in advance:
    /// for comparisons.
    pub on_demand: bool,
}

impl Sandbox {
    /// Starts an engine that compiles by itself and keeps nothing of it.
    ///
    /// # Errors
    /// As [`Sandbox::with`].
    pub fn new(limits: Limits) -> Result<Self, Refused> {
        Self::with(Options { limits, ..Options::default() })
    }

    /// Starts an engine.
    ///
    /// # Errors
    /// If this machine cannot run WebAssembly, with the engine's reason.
    pub fn with(options: Options) -> Result<Self, Refused> {
        let calls = options.calls.max(LEAST_SHARES);
        let Limits { memory, table_elements, .. } = options.limits;
        let started = match options.on_demand {
            true => settings::start_on_demand().map(|engine| (engine, false)),
            false => settings::start(calls, memory, table_elements),
        };
        let (engine, pooled) = started.map_err(|error| Refused::Invalid(whole(&error)))?;
        let weak = engine.weak();
        // The thread ends when the engine is gone.
        std::thread::spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the clock of the epochs: that time passed is the event"
                )]
                std::thread::sleep(TICK);
            }
        });
        let shares = if pooled { Shares::of(calls) } else { Shares::without_end() };
        Ok(Self { engine, shares, options: Arc::new(options) })
    }

    /// Whether calls take their memory from room that was made in advance.
    pub fn is_pooled(&self) -> bool {
        self.shares.are_counted()
    }

    /// Checks that `component` can take `role`, and compiles it if it is in no cache.
    ///
    /// # Errors
    /// [`Refused`] says what was expected, what was found, and what to do.
    pub fn prepare(&self, role: Role, component: &[u8]) -> Result<Agent, Refused> {
        let digest = Digest::of(component);
        let (compiled, cached) = self.compiled(digest, component)?;
        // All that follows is the same, wherever the code came from.
        let linker = linker(&self.engine, role).map_err(|error| Refused::Invalid(whole(&error)))?;
        check_imports(&self.engine, &compiled, role)?;
        let export = check_export(&self.engine, &compiled, role)?;
        let pre = linker
            .instantiate_pre(&compiled)
            .map_err(|error| Refused::Type { export, why: whole(&error) })?;
        let share = self.shares.for_each_call(&compiled);
        Ok(Agent::new(role, digest, pre, share, self.options.limits, cached))
    }

    /// Checks that `component` is a WASI 0.2 command, and compiles it if it is in no cache.
    ///
    /// # Errors
    /// As [`Sandbox::prepare`].
    pub fn prepare_command(&self, component: &[u8]) -> Result<Command, Refused> {
        let (compiled, _) = self.compiled(Digest::of(component), component)?;
        let share = self.shares.for_each_call(&compiled);
        Command::new(&self.engine, &compiled, share, self.options.limits)
    }

    /// The compiled component, and whether it was cached.
    fn compiled(&self, digest: Digest, component: &[u8]) -> Result<(Component, bool), Refused> {
        let (size, limit) = (component.len(), self.options.limits.component_bytes);
        if size > limit {
            return Err(Refused::TooLarge { size, limit });
        }
        let kept = self.options.cache.as_ref().map(|cache| (cache, key(&self.engine, digest)));
        if let Some((cache, key)) = kept
            && let Some(loaded) =
                cache.load(key).and_then(|code| code.into_component(&self.engine).ok())
        {
            return Ok((loaded, true));
        }
        let code = self.options.compiler.compile(&self.engine, component)?;
        if let Some((cache, key)) = kept {
            cache.keep(key, &code);
        }
        // A component that wants more than any call may have is noticed here.
        let loaded = Code::of_the_compiler(code).into_component(&self.engine);
        loaded.map(|component| (component, false)).map_err(|error| Refused::Invalid(whole(&error)))
    }
}

/// What a compiled component depends on: the component, the engine with its settings and the
/// machine it compiles for, and this program.
pub(crate) fn key(engine: &Engine, component: Digest) -> Digest {
    let mut parts = Parts(Vec::new());
    (env!("CARGO_PKG_VERSION"), component.to_hex()).hash(&mut parts);
    engine.precompile_compatibility_hash().hash(&mut parts);
    Digest::of(&parts.0)
}

/// Gathers what is hashed, so that a digest can be made of all of it.
struct Parts(Vec<u8>);

impl Hasher for Parts {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        // Nothing asks for it: the parts themselves are used.
        0
    }
}

fn millis(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An engine's error with its causes, in one line.
pub(crate) fn whole(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

/// The one function that a role's world exports.
pub(crate) fn export_name(role: Role) -> &'static str {
    match role {
        Role::Builder => "build",
        Role::Validator => "validate",
        Role::Verifier => "verify",
        Role::IntegrationChecker => "check-integration",
    }
}

/// The interfaces of the contract that a role may import.
fn contract_imports(role: Role) -> &'static [&'static str] {
    match role {
        Role::Builder => &["types", "report", "evidence", "decisions", "commands"],
        Role::Validator => &["types", "report", "evidence", "decisions", "change-set", "commands"],
        Role::Verifier | Role::IntegrationChecker => {
            &["types", "report", "evidence", "decisions", "change-set"]
        }
    }
}

/// The packages of WASI 0.2 that every role may import.
const WASI: &[&str] =
    &["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];

fn check_imports(engine: &Engine, component: &Component, role: Role) -> Result<(), Refused> {
    for (import, _) in component.component_type().imports(engine) {
        let (name, version) = import.split_once('@').unwrap_or((import, ""));
        if let Some(interface) = name.strip_prefix(CONTRACT) {
            if !version.starts_with("0.1.") {
                return Err(Refused::Version { found: import.to_owned() });
            }
            if contract_imports(role).contains(&interface) {
                continue;
            }
        } else if WASI.iter().any(|package| name.starts_with(package))
            && version.starts_with("0.2.")
        {
            continue;
        }
        let contract = contract_imports(role).join(", ");
        return Err(Refused::Import {
            import: import.to_owned(),
            role,
            offered: format!(
                "{CONTRACT}{{{contract}}}@{VERSION} and wasi 0.2 cli, clocks, filesystem, io, random"
            ),
        });
    }
    Ok(())
}

fn check_export(
    engine: &Engine,
    component: &Component,
    role: Role,
) -> Result<&'static str, Refused> {
    let expected = export_name(role);
    let ty = component.component_type();
    let is_it = |(name, item): (&str, ComponentExtern<'_>)| {
        name == expected && matches!(item.ty, ComponentItem::ComponentFunc(_))
    };
    if ty.exports(engine).any(is_it) {
        return Ok(expected);
    }
    let found = exports(engine, component).join(", ");
    Err(Refused::Export { expected, role, found })
}

/// The names of what a component exports; "nothing" if that is so.
pub(crate) fn exports(engine: &Engine, component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let names: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
    if names.is_empty() { vec!["nothing".to_owned()] } else { names }
}

/// Links what the role's world imports, and nothing else.
fn linker(engine: &Engine, role: Role) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::<Guest>::new(engine);
    let l = &mut linker;
    link_wasi(l)?;
    contract::types::add_to_linker::<Guest, HasSelf<Guest>>(l, |guest| guest)?;
    contract::report::add_to_linker::<Guest, HasSelf<Guest>>(l, |guest| guest)?;
    contract::evidence::add_to_linker::<Guest, HasSelf<Guest>>(l, |guest| guest)?;
    contract::decisions::add_to_linker::<Guest, HasSelf<Guest>>(l, |guest| guest)?;
    if role != Role::Builder {
        contract::change_set::add_to_linker::<Guest, HasSelf<Guest>>(l, |guest| guest)?;
    }
    if matches!(role, Role::Builder | Role::Validator) {
        contract::commands::add_to_linker::<Guest, HasSelf<Guest>>(l, |guest| guest)?;
    }
    Ok(linker)
}

/// Links what every guest may import of WASI 0.2: all but sockets, with our own files.
pub(crate) fn link_wasi<T: Seated + 'static>(l: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi_io::add_to_linker_async(l)?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(l, T::clocks)?;
    clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(l, T::clocks)?;
    random::random::add_to_linker::<T, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<T, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    cli::exit::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::environment::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    filesystem::types::add_to_linker::<T, FileSystem>(l, T::file_host)?;
    filesystem::preopens::add_to_linker::<T, FileSystem>(l, T::file_host)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn component() -> Vec<u8> {
        let text = r#"(component
            (core module $m (func (export "f") (result i32) i32.const 7))
            (core instance $i (instantiate $m))
            (func $f (result u32) (canon lift (core func $i "f")))
            (export "build" (func $f)))"#;
        wat::parse_str(text).unwrap()
    }

    fn sandbox() -> (TempDir, Cache, Sandbox) {
        let folder = TempDir::new().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let sandbox =
            Sandbox::with(Options { cache: Some(cache.clone()), ..Options::default() }).unwrap();
        (folder, cache, sandbox)
    }

    /// An engine that compiles otherwise.
    fn other_engine() -> Engine {
        let mut config = settings::code();
        config.epoch_interruption(false);
        Engine::new(&config).unwrap()
    }

    #[test]
    fn a_key_names_component_and_engine() {
        let (_folder, _, sandbox) = sandbox();
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        assert_eq!(key(&sandbox.engine, one), key(&Engine::new(&settings::code()).unwrap(), one));
        assert_ne!(key(&sandbox.engine, one), key(&sandbox.engine, two));
        assert_ne!(key(&sandbox.engine, one), key(&other_engine(), one));
    }

    #[test]
    fn code_for_another_engine_is_compiled_again_and_replaced() {
        let (_folder, cache, sandbox) = sandbox();
        let bytes = component();
        let other = other_engine().precompile_component(&bytes).unwrap();
        // Under the key of this engine, as a collision or a mistake of ours would put it.
        cache.keep(key(&sandbox.engine, Digest::of(&bytes)), &other);
        assert!(!sandbox.prepare(Role::Builder, &bytes).unwrap().is_cached());
        assert!(sandbox.prepare(Role::Builder, &bytes).unwrap().is_cached());
    }

    #[test]
    fn what_is_no_code_is_compiled_again_and_replaced() {
        for other in [b"".as_slice(), b"\x7fELF", &[0; 4096]] {
            let (_folder, cache, sandbox) = sandbox();
            let bytes = component();
            cache.keep(key(&sandbox.engine, Digest::of(&bytes)), other);
            assert!(!sandbox.prepare(Role::Builder, &bytes).unwrap().is_cached());
            assert!(sandbox.prepare(Role::Builder, &bytes).unwrap().is_cached());
        }
    }
}
