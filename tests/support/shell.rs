//! The commands that a page shows, and whether they do what it says.
//!
//! Invariant: a line that starts with `$ ` in a block marked `console` or `sh` is run, or is
//! checked to be the one that `.ci/run` runs; there is no third kind. What a page shows below a
//! command, that command must have printed, in this order: each is how a line begins, and `[..]` stands for anything.
//!
//! The commands of a block must end with status 0, or with the one that the block's mark names,
//! such as `console exit=14`: then it is the last command that must. A block marked
//! `file=PATH` is what a reader puts into that file.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::support::{idumb, plant, root, told, tree};

/// Something that a reader of a page does.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Puts a text into a file.
    File { path: String, text: String },
    /// Runs commands.
    Block(Block),
}

/// A block of commands.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) line: usize,
    pub(crate) exit: i32,
    pub(crate) commands: Vec<Shown>,
}

/// A command, and what the page shows of what it prints.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) command: String,
    pub(crate) printed: Vec<String>,
}

/// What a reader of the page does, in order.
pub(crate) fn pieces(page: &str) -> Vec<Piece> {
    enum Inside {
        Nothing,
        Commands,
        File,
        Else,
    }
    let (mut found, mut inside) = (Vec::new(), Inside::Nothing);
    for (index, line) in page.lines().enumerate() {
        if let Some(mark) = line.trim_start().strip_prefix("```") {
            let words: Vec<&str> = mark.split_whitespace().collect();
            let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
            inside = match (&inside, words.first()) {
                (Inside::Nothing, _) if value("file=").is_some() => {
                    let path = value("file=").unwrap().to_owned();
                    found.push(Piece::File { path, text: String::new() });
                    Inside::File
                }
                (Inside::Nothing, Some(&("console" | "sh"))) => {
                    let exit = value("exit=").map_or(0, |exit| exit.parse().expect("exit=NUMBER"));
                    found.push(Piece::Block(Block { line: index + 1, exit, commands: vec![] }));
                    Inside::Commands
                }
                (Inside::Nothing, _) => Inside::Else,
                _ => Inside::Nothing,
            };
            continue;
        }
        match (&inside, found.last_mut()) {
            (Inside::File, Some(Piece::File { text, .. })) => {
                text.push_str(line);
                text.push('\n');
            }
            (Inside::Commands, Some(Piece::Block(block))) => match line.strip_prefix("$ ") {
                Some(command) => {
                    let command = command.to_owned();
                    block.commands.push(Shown { command, printed: Vec::new() });
                }
                None => {
                    let shown = block.commands.last_mut().expect("a command above what it prints");
                    shown.printed.push(line.to_owned());
                }
            },
            _ => {}
        }
    }
    found
}

/// Where the commands of a page run.
pub(crate) struct Shell {
    temporary: tempfile::TempDir,
    /// Relative to the copy.
    here: PathBuf,
    /// What the last command printed.
    last: String,
}

impl Shell {
    /// In a fresh copy of what the repository holds of examples, and of what agents are built with.
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        for folder in ["examples", "plugins/sdk", "wit"] {
            let mut files = tree(&root().join(folder));
            files.retain(|path, _| !path.contains("target/") && !path.contains(".idumb/state/"));
            plant(&files, &temporary.path().join("idumb").join(folder));
        }
        let root = temporary.path().join("idumb/Cargo.toml");
        fs::write(root, manifest()).expect("a manifest");
        Self { temporary, here: PathBuf::from("idumb"), last: String::new() }
    }

    /// In an empty folder beside that copy.
    pub(crate) fn beside() -> Self {
        let mut shell = Self::new();
        shell.here = PathBuf::from("work");
        fs::create_dir(shell.folder()).expect("a folder");
        shell
    }

    fn folder(&self) -> PathBuf {
        self.temporary.path().join(&self.here)
    }

    /// Does what a reader does; what is wrong with it.
    pub(crate) fn follow(&mut self, piece: &Piece) -> Result<(), String> {
        match piece {
            Piece::File { path, text } => {
                let path = self.folder().join(path);
                fs::create_dir_all(path.parent().expect("a folder")).map_err(|e| e.to_string())?;
                fs::write(path, text).map_err(|error| error.to_string())
            }
            Piece::Block(block) => {
                let last = block.commands.len().saturating_sub(1);
                for (index, shown) in block.commands.iter().enumerate() {
                    let expected = if index == last { block.exit } else { 0 };
                    self.command(shown, expected)
                        .map_err(|why| format!("block at line {}: {why}", block.line))?;
                }
                Ok(())
            }
        }
    }

    fn command(&mut self, shown: &Shown, expected: i32) -> Result<(), String> {
        let command = &shown.command;
        self.last.clear();
        match self.run(command) {
            Ok(exit) if exit == expected => {}
            Ok(exit) => {
                let printed = &self.last;
                return Err(format!("`{command}`: exit status {exit}, not {expected}: {printed}"));
            }
            Err(why) => return Err(format!("`{command}`: {why}")),
        }
        let mut lines = self.last.lines();
        for wanted in &shown.printed {
            if !lines.any(|line| fits(line, wanted)) {
                return Err(format!(
                    "`{command}` did not print {wanted:?}, or not there: {}",
                    self.last
                ));
            }
        }
        Ok(())
    }

    /// Runs one command; its exit status.
    pub(crate) fn run(&mut self, command: &str) -> Result<i32, String> {
        let words = words(command)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["cargo", "build", args @ ..] => self.build(args),
            ["rustup" | "bash", ..] | ["cargo", "test", ..] => {
                let ci = fs::read_to_string(root().join(".ci/run")).expect(".ci/run");
                let same = ci.lines().any(|line| line.trim().starts_with(command));
                if same { Ok(0) } else { Err("`.ci/run` does not run this".to_owned()) }
            }
            ["cargo", "run", "--release", "--", args @ ..] | ["idumb", args @ ..] => {
                let mut process = idumb(&self.folder(), self.temporary.path());
                process.env("IDUMB_CONFIG_DIR", self.temporary.path().join("settings"));
                self.ended(process.args(args))
            }
            ["cd", folder] => {
                let plain = |part: Component<'_>| {
                    matches!(part, Component::Normal(_) | Component::ParentDir)
                };
                assert!(Path::new(folder).components().all(plain), "cd {folder}");
                self.here.push(folder);
                let there = self.folder().is_dir();
                if there { Ok(0) } else { Err("there is no such folder".to_owned()) }
            }
            ["cat", file] => {
                let text = fs::read_to_string(self.folder().join(file));
                self.last = text.map_err(|error| error.to_string())?;
                Ok(0)
            }
            ["mkdir", folder] => {
                let made = fs::create_dir_all(self.folder().join(folder));
                made.map(|()| 0).map_err(|error| error.to_string())
            }
            ["cp", from, to] => {
                let (from, to) = (self.folder().join(from), self.folder().join(to));
                fs::copy(from, to).map(|_| 0).map_err(|error| error.to_string())
            }
            _ => Err("a command that no test knows".to_owned()),
        }
    }

    fn ended(&mut self, process: &mut Command) -> Result<i32, String> {
        let output = process.output().map_err(|error| error.to_string())?;
        self.last = told(&output);
        output.status.code().ok_or_else(|| "it was killed".to_owned())
    }

    /// A component, built as its author does, but for where and as which profile: as the test
    /// agents were, so that what they have in common is not compiled again.
    fn build(&mut self, args: &[&str]) -> Result<i32, String> {
        let guests = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("guests");
        let mut process = Command::new("cargo");
        process.env("CARGO_TARGET_DIR", &guests);
        // As the profile of that name in the repository's manifest says.
        for (key, value) in [
            ("INHERITS", "release"),
            ("OPT_LEVEL", "s"),
            ("LTO", "fat"),
            ("CODEGEN_UNITS", "1"),
            ("PANIC", "abort"),
            ("STRIP", "true"),
        ] {
            process.env(format!("CARGO_PROFILE_GUEST_{key}"), value);
        }
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            process.env_remove(variable);
        }
        let as_guest = args.iter().flat_map(|arg| match *arg {
            "--release" => vec!["--profile", "guest"],
            arg => vec![arg],
        });
        process.current_dir(self.folder()).arg("build").args(as_guest);
        let manifest = args.iter().skip_while(|arg| **arg != "--manifest-path").nth(1);
        let manifest = manifest.ok_or("cargo build --manifest-path …")?;
        let lock = self.folder().join(manifest).with_file_name("Cargo.lock");
        if !lock.exists() {
            // The versions that the repository has, so that nothing is downloaded.
            fs::copy(root().join("Cargo.lock"), lock).map_err(|error| error.to_string())?;
        }
        let exit = self.ended(&mut process)?;
        // Where a reader finds it.
        let built = guests.join("wasm32-wasip2/guest");
        let there = self.folder().join("target/wasm32-wasip2/release");
        fs::create_dir_all(&there).map_err(|error| error.to_string())?;
        for (name, entry) in tree(&built).into_iter().filter(|(name, _)| name.ends_with(".wasm")) {
            if !name.contains('/') {
                plant(&[(name, entry)].into_iter().collect(), &there);
            }
        }
        Ok(exit)
    }
}

/// The repository's manifest, for what is in the copy.
fn manifest() -> String {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let mut manifest: toml::Table = text.parse().expect("a manifest");
    let workspace = manifest["workspace"].as_table_mut().expect("a workspace");
    workspace.insert("members".to_owned(), vec!["plugins/sdk"].into());
    workspace.remove("default-members");
    manifest.to_string()
}

/// The words of a command; in quotes they may have spaces in them. No other thing of a shell's.
fn words(command: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match (c, quote) {
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('|' | '>' | '<' | '&' | ';' | '`' | '$' | '*', None) => {
                return Err(format!("no shell here: {command}"));
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Whether a line begins as the wanted one does, in which `[..]` stands for anything.
fn fits(line: &str, wanted: &str) -> bool {
    let mut parts = wanted.trim_end().split("[..]");
    let first = parts.next().unwrap_or_default();
    let Some(rest) = line.strip_prefix(first) else { return false };
    if first.is_empty() && wanted.is_empty() {
        return line.is_empty();
    }
    parts.try_fold(rest, |rest, part| rest.find(part).map(|at| &rest[at + part.len()..])).is_some()
}
