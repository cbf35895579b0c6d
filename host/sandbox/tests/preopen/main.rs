//! A plain view against a plain preopened directory of stock wasmtime-wasi: the same command
//! carries out the same random operations on both, and must be told the same and leave the same.
//!
//! Invariant: nothing is compared that a host may choose: inodes, sizes of directories, times that
//! nobody set.
//!
//! `IDUMB_PREOPEN_CASES` is the number of random scripts (default 600), `IDUMB_PREOPEN_SEED` that
//! of the first one.

mod hosts;
mod scripts;

use hosts::{Hosts, Side};
use scripts::{Seeded, random};

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// The name of the error that an answer is, if it is one.
fn code(answer: &str) -> Option<&str> {
    answer.strip_prefix("ErrorCode { code: ").and_then(|rest| rest.split('"').nth(1))
}

/// Whether both refused. Stock wasmtime-wasi walks paths by itself, so of two faults it may find
/// another one first.
fn both_refused(stock: &str, ours: &str) -> bool {
    let answer = |line: &str| line.split_once(" => ").is_some_and(|(_, it)| code(it).is_some());
    answer(stock) && answer(ours)
}

/// The first line in which the answers differ.
fn difference(stock: &str, ours: &str) -> Option<String> {
    let mut pairs = stock.lines().zip(ours.lines());
    let differs = pairs.find(|(stock, ours)| stock != ours && !both_refused(stock, ours));
    let lines = (stock.lines().count(), ours.lines().count());
    match differs {
        Some((stock, ours)) => Some(format!("stock: {stock}\nours:  {ours}")),
        None if lines.0 != lines.1 => Some(format!("{} and {} answers", lines.0, lines.1)),
        None => None,
    }
}

/// Why the two sides differ on a script, if they do.
fn compare(hosts: &Hosts, script: &str) -> Option<String> {
    let (stock, ours) = (Side::new(), Side::new());
    let said = hosts.stock(&stock, script);
    if let Some(difference) = difference(&said, &hosts.ours(&ours, script)) {
        return Some(difference);
    }
    let (stock, ours) = (stock.tree(), ours.tree());
    (stock != ours).then(|| format!("the trees differ\nstock: {stock:#?}\nours:  {ours:#?}"))
}

/// The shortest script that still shows a difference, by leaving out lines.
fn shrunk(hosts: &Hosts, script: &str) -> String {
    let mut lines: Vec<&str> = script.lines().collect();
    let mut at = lines.len();
    while at > 0 {
        at -= 1;
        let mut fewer = lines.clone();
        fewer.remove(at);
        if compare(hosts, &fewer.join("\n")).is_some() {
            lines = fewer;
        }
    }
    lines.join("\n")
}

#[test]
fn a_plain_view_is_a_plain_preopened_directory() {
    let hosts = Hosts::new();
    let first = number("IDUMB_PREOPEN_SEED").unwrap_or(1);
    let cases = number("IDUMB_PREOPEN_CASES").unwrap_or(600);
    let mut answers = std::collections::BTreeMap::<String, u64>::new();
    for seed in first..first + cases {
        let script = random(&mut Seeded(seed));
        if compare(&hosts, &script).is_some() {
            let script = shrunk(&hosts, &script);
            let why = compare(&hosts, &script).unwrap_or_default();
            panic!("seed {seed}:\n{script}\n\n{why}");
        }
        for line in hosts.ours(&Side::new(), &script).lines() {
            let (operation, answer) = line.split_once(" => ").unwrap();
            let operation = operation.split(' ').next().unwrap();
            let code = code(answer).unwrap_or("done");
            *answers.entry(format!("{operation} {code}")).or_default() += 1;
        }
    }
    // What never came about was not compared.
    for wanted in [
        "open done",
        "read done",
        "write done",
        "append-stream done",
        "read-stream done",
        "write-stream done",
        "size done",
        "mkdir done",
        "rmdir done",
        "unlink done",
        "rename done",
        "link done",
        "symlink done",
        "readlink done",
        "list done",
        "stat-at done",
        "times-at done",
        "hashes done",
        "same done",
        "open exist",
        "open no-entry",
        "open not-directory",
        "open loop",
        "open not-permitted",
        "rmdir not-empty",
        "read bad-descriptor",
    ] {
        let count = answers.get(wanted).copied().unwrap_or_default();
        assert!(count > 0 || cases < 600, "{wanted} never came about: {answers:#?}");
    }
}

#[test]
fn what_a_script_says_is_carried_out() {
    // A comparison of two hosts that both refuse everything would prove nothing.
    let hosts = Hosts::new();
    let script = "open 0 follow new.txt c rw\nwrite 1 hello 0\nread 1 1\nstat 1\nlist 0\n\
                  rename 0 new.txt 0 a/new.txt\nread-stream 1 0\nnonsense\n";
    let side = Side::new();
    let said = hosts.ours(&side, script);
    let answers: Vec<&str> = said.lines().map(|line| line.split_once(" => ").unwrap().1).collect();
    assert_eq!(
        answers,
        [
            "file",
            "5",
            "\"ello\" false",
            "file 5 bytes 1 names",
            "a:dir b:dir c:file d:link e:link new.txt:file",
            "ok",
            "\"hello\" closed",
            "what is [\"nonsense\"]?",
        ]
    );
    assert_eq!(side.tree()["a/new.txt"], "hello");
}
