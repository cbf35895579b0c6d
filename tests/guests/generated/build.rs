//! Makes components and modules by chance, and leaves them in `OUT_DIR`.
//!
//! Invariant: the same bytes from any build, so that a number names one.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use arbitrary::Unstructured;
use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    MemoryType, TypeSection, ValType,
};
use wasm_smith::{Component, Config, MemoryOffsetChoices, Module};

/// How many there are of each kind.
const COUNT: u64 = 160;

/// One after the other, each behind its length.
#[derive(Default)]
struct Series(Vec<u8>);

impl Series {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend((bytes.len() as u32).to_le_bytes());
        self.0.extend(bytes);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let shape = shape();
    let (mut components, mut modules, mut codes) =
        (Series::default(), Series::default(), Series::default());
    for number in 0..COUNT {
        components.push(&made(number, |any| Component::new(config(number), any))?.to_bytes());
        let lone = Config { max_imports: 0, min_funcs: 1, min_types: 1, ..config(number) };
        modules.push(&made(number, |any| Module::new(lone.clone(), any))?.to_bytes());
        let shaped = Config { module_shape: Some(shape.clone()), ..config(number) };
        codes.push(&made(number, |any| Module::new(shaped.clone(), any))?.to_bytes());
    }
    let out = env::var("OUT_DIR")?;
    for (name, series) in [("components", components), ("modules", modules), ("codes", codes)] {
        fs::write(Path::new(&out).join(name), series.0)?;
    }
    Ok(())
}

/// What is made of a number's bytes, or of those of another number if nothing can be.
fn made<T>(
    number: u64,
    make: impl Fn(&mut Unstructured<'_>) -> arbitrary::Result<T>,
) -> arbitrary::Result<T> {
    let mut last = Err(arbitrary::Error::NotEnoughData);
    for attempt in 0..100 {
        last = make(&mut Unstructured::new(&chance(number + attempt * COUNT)));
        if last.is_ok() {
            break;
        }
    }
    last
}

/// A module that imports and exports what the small agent's `main` does. That it is so is shown
/// by its tests: the engine takes an agent with another module of this shape.
fn shape() -> Vec<u8> {
    const I: ValType = ValType::I32;
    const IMPORTS: [(&str, &str, &[ValType], &[ValType]); 10] = [
        ("libc", "realloc", &[I; 4], &[I]),
        ("host", "log", &[I; 3], &[]),
        ("host", "observe", &[I; 3], &[]),
        ("host", "directories", &[I], &[]),
        ("host", "create", &[I; 4], &[]),
        ("host", "unlink", &[I; 4], &[]),
        ("host", "open", &[I; 7], &[]),
        ("host", "write", &[I, I, I, ValType::I64, I], &[]),
        ("host", "random", &[], &[ValType::I64]),
        ("host", "drop", &[I], &[]),
    ];
    const EXPORTS: [(&str, &[ValType]); 4] =
        [("build", &[I]), ("validate", &[I]), ("verify", &[I; 15]), ("check-integration", &[I])];
    let (mut types, mut imports) = (TypeSection::new(), ImportSection::new());
    let (mut functions, mut exports) = (FunctionSection::new(), ExportSection::new());
    let mut code = CodeSection::new();
    let memory = MemoryType {
        minimum: 1,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    };
    imports.import("libc", "memory", memory);
    for (from, name, takes, gives) in IMPORTS {
        imports.import(from, name, EntityType::Function(types.len()));
        types.ty().function(takes.to_vec(), gives.to_vec());
    }
    for (name, takes) in EXPORTS {
        // Types and functions have the same numbers: one of each for each.
        exports.export(name, ExportKind::Func, types.len());
        functions.function(types.len());
        types.ty().function(takes.to_vec(), [I]);
        let mut body = Function::new([]);
        body.instructions().unreachable().end();
        code.function(&body);
    }
    let mut module = wasm_encoder::Module::new();
    module.section(&types).section(&imports).section(&functions).section(&exports).section(&code);
    module.finish()
}

/// What the engine takes, mostly: of a proposal that it does not know it refuses the first word.
fn config(number: u64) -> Config {
    let every = number % 8 == 7;
    Config {
        allow_start_export: true,
        custom_page_sizes_enabled: every,
        exceptions_enabled: every,
        gc_enabled: every,
        max_instructions: 200,
        // Else nearly all of them end at an address outside of it.
        memory_offset_choices: MemoryOffsetChoices(100, 1, 0),
        memory64_enabled: every,
        // References to what is the host's are of that proposal too.
        reference_types_enabled: every,
        shared_everything_threads_enabled: every,
        threads_enabled: every,
        ..Config::default()
    }
}

/// The bytes that a number stands for (SplitMix64).
fn chance(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0xd134_2543_de82_ef95);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)).to_le_bytes()
    };
    (0..256 + 8 * (number % 64)).flat_map(|_| next()).collect()
}
