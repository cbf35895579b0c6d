//! Every command line in README.md does what the page says.
//!
//! Invariant: a line that starts with `$ ` in a block marked `console` or `sh` is run, or
//! is checked to be the one that `.ci/run` runs; there is no third kind.
//!
//! Commands of one block run in order, in one fresh copy of what the repository holds.
//! They must end with status 0, or with the one that the block's mark names, such as
//! `console exit=14`: then it is the last command that must.

mod support;

use std::fs;
use std::path::{Component, Path, PathBuf};

use support::{idumb, plant, root, told, tree};

/// A block of the page.
#[derive(Debug)]
struct Block {
    line: usize,
    exit: i32,
    commands: Vec<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    // Whether the line is in a block, and in one of commands.
    let (mut inside, mut commands) = (false, false);
    for (index, line) in page.lines().enumerate() {
        if let Some(mark) = line.trim_start().strip_prefix("```") {
            inside = !inside;
            let mut words = mark.split_whitespace();
            commands = inside && matches!(words.next(), Some("console" | "sh"));
            if commands {
                let exit = words.find_map(|word| word.strip_prefix("exit="));
                let exit = exit.map_or(0, |exit| exit.parse().expect("exit=NUMBER"));
                found.push(Block { line: index + 1, exit, commands: Vec::new() });
            }
        } else if commands && let Some(command) = line.strip_prefix("$ ") {
            found.last_mut().expect("a block").commands.push(command.to_owned());
        }
    }
    found
}

/// Where the commands of a block run.
struct Shell {
    temporary: tempfile::TempDir,
    /// Relative to the copy.
    here: PathBuf,
    /// What the last run of the binary printed.
    last: String,
}

impl Shell {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let mut examples = tree(&root().join("examples"));
        examples.retain(|path, _| !path.contains("/target/") && !path.contains("/.idumb/state/"));
        plant(&examples, &temporary.path().join("idumb/examples"));
        Self { temporary, here: PathBuf::from("idumb"), last: String::new() }
    }

    fn folder(&self) -> PathBuf {
        self.temporary.path().join(&self.here)
    }

    /// Runs one command; its exit status.
    fn run(&mut self, command: &str) -> Result<i32, String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert!(
            !command.contains(['"', '\'', '|', '>', '&', ';', '`']),
            "no shell here: {command}"
        );
        match words.as_slice() {
            ["rustup" | "bash", ..] | ["cargo", "test", ..] => {
                let ci = fs::read_to_string(root().join(".ci/run")).expect(".ci/run");
                let same = ci.lines().any(|line| line.trim().starts_with(command));
                if same { Ok(0) } else { Err("`.ci/run` does not run this".to_owned()) }
            }
            ["cargo", "run", "--release", "--", args @ ..] | ["idumb", args @ ..] => {
                let mut process = idumb(&self.folder(), self.temporary.path());
                let output = process.args(args).output().map_err(|error| error.to_string())?;
                self.last = told(&output);
                output.status.code().ok_or_else(|| "it was killed".to_owned())
            }
            ["cd", folder] => {
                let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
                assert!(Path::new(folder).components().all(plain), "cd {folder}");
                self.here.push(folder);
                let there = self.folder().is_dir();
                if there { Ok(0) } else { Err("there is no such folder".to_owned()) }
            }
            ["cat", file] => {
                let text = fs::read_to_string(self.folder().join(file));
                text.map(|_| 0).map_err(|error| error.to_string())
            }
            _ => Err("unknown command in README".to_owned()),
        }
    }
}

#[test]
fn every_command_in_the_readme_works() {
    let page = fs::read_to_string(root().join("README.md"))
        .expect("README.md, whose commands are to be run, cannot be read");
    let blocks = blocks(&page);
    let commands: usize = blocks.iter().map(|block| block.commands.len()).sum();
    assert!(commands >= 3, "README.md shows no commands: is every block marked `console`?");
    let mut troubles = Vec::new();
    for block in &blocks {
        let mut shell = Shell::new();
        let last = block.commands.len().saturating_sub(1);
        for (index, command) in block.commands.iter().enumerate() {
            let expected = if index == last { block.exit } else { 0 };
            let trouble = match shell.run(command) {
                Ok(exit) if exit == expected => continue,
                Ok(exit) => format!("exit status {exit}, not {expected}: {}", shell.last),
                Err(why) => why,
            };
            troubles
                .push(format!("README.md, block at line {}: `{command}`: {trouble}", block.line));
            break;
        }
    }
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
}

#[test]
fn the_agent_in_the_readme_is_the_one_in_the_examples() {
    let page = fs::read_to_string(root().join("README.md")).expect("README.md");
    let example = root().join("examples/agents/hello-builder/src/lib.rs");
    let example = fs::read_to_string(example).expect("the example");
    let (_, code) = example.split_once("\n\n").expect("a line that says what it is");
    let block = format!("```rust\n{code}```\n");
    assert!(page.contains(&block), "README.md does not show this:\n{block}");
}

#[test]
fn blocks_are_found_by_their_marks() {
    let page =
        "```sh\n$ a b\nprinted\n$ c\n```\n```text\n$ no\n```\n```console exit=14\n$ d\n```\n";
    let found = blocks(page);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].commands, ["a b", "c"]);
    assert_eq!((found[1].exit, found[1].line), (14, 9));
}

#[test]
fn a_command_of_no_known_kind_is_an_error() {
    assert_eq!(Shell::new().run("curl example.org").unwrap_err(), "unknown command in README");
    assert!(Shell::new().run("cargo test --nowhere").is_err());
}
