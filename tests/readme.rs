//! Every command line in README.md and in the guides does what the page says.
//!
//! Invariant: the commands of one block of README.md run in order, in one fresh copy of what the
//! repository holds; those of a guide all in one folder, from an empty one on.

#[path = "support/shell.rs"]
mod shell;
mod support;

use std::fs;

use shell::{Piece, Shell, pieces};
use support::root;

#[test]
fn every_command_in_the_readme_works() {
    let page = fs::read_to_string(root().join("README.md"))
        .expect("README.md, whose commands are to be run, cannot be read");
    let blocks = pieces(&page);
    let commands = |piece: &Piece| match piece {
        Piece::Block(block) => block.commands.len(),
        Piece::File { .. } => 0,
    };
    let commands: usize = blocks.iter().map(commands).sum();
    assert!(commands >= 3, "README.md shows no commands: is every block marked `console`?");
    let follow = |piece| Shell::new().follow(piece).err();
    let troubles: Vec<String> = blocks.iter().filter_map(follow).collect();
    assert!(troubles.is_empty(), "README.md: {}", troubles.join("\n"));
}

/// One test a guide, so that they run beside each other.
macro_rules! guides {
    ($($name:ident = $file:literal,)*) => {
        const GUIDES: &[&str] = &[$($file),*];

        $(
            #[test]
            fn $name() {
                let page = fs::read_to_string(root().join("docs/guides").join($file)).unwrap();
                let mut shell = Shell::beside();
                for piece in pieces(&page) {
                    if let Err(why) = shell.follow(&piece) {
                        panic!("docs/guides/{}: {why}", $file);
                    }
                }
            }
        )*
    };
}

guides! {
    write_a_plan = "write-a-plan.md",
    review_and_approve = "review-and-approve.md",
    recover_from_a_failure = "recover-from-a-failure.md",
    write_an_agent = "write-an-agent.md",
    run_in_ci = "run-in-ci.md",
    run_your_tests = "run-your-tests.md",
}

#[test]
fn every_guide_is_followed_and_listed() {
    let there = fs::read_dir(root().join("docs/guides")).expect("docs/guides");
    let mut there: Vec<String> =
        there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    there.sort();
    let mut known = GUIDES.to_vec();
    known.sort_unstable();
    assert_eq!(there, known, "docs/guides holds the left, this test follows the right");
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    for guide in GUIDES {
        assert!(
            page.contains(&format!("(docs/guides/{guide})")),
            "README.md does not name {guide}"
        );
        let text = fs::read_to_string(root().join("docs/guides").join(guide)).unwrap();
        let blocks = pieces(&text);
        let is_run =
            |piece: &Piece| matches!(piece, Piece::Block(block) if !block.commands.is_empty());
        assert!(blocks.iter().any(is_run), "{guide} shows no command");
    }
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
    let page = "```sh\n$ a b\nprinted\n$ c\n```\n```text\n$ no\n```\n```console exit=14\n$ d\n```\n\
                ```toml file=x/y.toml\na = 1\n```\n";
    let found = pieces(page);
    let [Piece::Block(first), Piece::Block(second), Piece::File { path, text }] = &found[..] else {
        panic!("{found:?}");
    };
    let commands: Vec<&str> = first.commands.iter().map(|shown| shown.command.as_str()).collect();
    assert_eq!(commands, ["a b", "c"]);
    assert_eq!(first.commands[0].printed, ["printed"]);
    assert_eq!((second.exit, second.line), (14, 9));
    assert_eq!((path.as_str(), text.as_str()), ("x/y.toml", "a = 1\n"));
}

#[test]
fn a_page_that_is_wrong_is_found_out() {
    let follow = |page: &str| {
        let mut shell = Shell::beside();
        pieces(page).iter().try_for_each(|piece| shell.follow(piece))
    };
    let wrong = |page: &str, why: &str| {
        let told = follow(page).unwrap_err();
        assert!(told.contains(why), "{page}: {told}");
    };
    wrong("```sh\n$ curl example.org\n```\n", "a command that no test knows");
    wrong("```sh\n$ cargo test --nowhere\n```\n", "does not run this");
    wrong("```sh\n$ cat a | wc\n```\n", "no shell here");
    wrong("```sh\n$ idumb status\n```\n", "exit status 10, not 0");
    wrong("```text file=a\none\n```\n```sh\n$ cat a\ntwo\n```\n", "did not print \"two\"");
    assert_eq!(follow("```text file=a\none two\n```\n```sh\n$ cat a\no[..]w[..]\n```\n"), Ok(()));
}
