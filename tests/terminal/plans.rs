//! The tasks that people are asked about here.
//!
//! Invariant: each says in one sentence when it goes on, and what for.

/// Two tasks that the built-in builder does, one after the other.
pub(crate) const TWO: &str = r#"
[[tasks]]
id = "P1-T1"
title = "First"
writes = ["one.txt"]
steps = [{ write = "one.txt", content = "1\n" }]
accept = [{ exists = "one.txt" }]

[[tasks]]
id = "P1-T2"
title = "Second"
depends_on = ["P1-T1"]
writes = ["two.txt"]
steps = [{ write = "two.txt", content = "2\n" }]
accept = [{ exists = "two.txt" }]
"#;

/// The first task of [`TWO`] alone.
pub(crate) fn one() -> &'static str {
    &TWO[..TWO.rfind("[[tasks]]").unwrap()]
}

/// A task that goes on until somebody makes `go.txt`.
pub(crate) const WAITS: &str = r#"
[[tasks]]
id = "P1-T1"
title = "Wait"
agent = "evil"
reads = ["there.txt", "go.txt"]
writes = ["out/**"]
options = { do = "wait_for_other", from = "there.txt", until = "go.txt", path = "out/copy.txt" }
accept = [{ exists = "out/copy.txt" }]
"#;

/// A task whose agent is rejected until somebody tells it to use tabs.
pub(crate) const LEARNS: &str = r#"
[[tasks]]
id = "P1-T1"
title = "Learn"
agent = "evil"
writes = ["learned.txt"]
options = { do = "learn", path = "learned.txt" }
accept = [{ matches = "learned.txt", regex = "^a person: use tabs$" }]
"#;

/// A task after [`WAITS`] or [`LEARNS`].
pub(crate) const AFTER: &str = r#"
[[tasks]]
id = "P1-T2"
title = "After"
depends_on = ["P1-T1"]
writes = ["two.txt"]
steps = [{ write = "two.txt", content = "2\n" }]
accept = [{ exists = "two.txt" }]
"#;

/// A task that only a person can judge.
pub(crate) const JUDGED: &str = r#"
[[tasks]]
id = "P1-T1"
title = "Name things"
writes = ["one.txt"]
steps = [{ write = "one.txt", content = "1\n" }]
accept = [{ judged = "The names are good" }, { exists = "one.txt" }]
"#;

/// A task whose agent asks.
pub(crate) fn asks(question: &str) -> String {
    WAITS
        .replace("wait_for_other", "ask")
        .replace("until = \"go.txt\"", &format!("question = \"{question}\""))
        .replace("exists = \"out/copy.txt\"", "exists = \"there.txt\"")
}

/// The plan `tasks` with a line more in its first task.
pub(crate) fn with(tasks: &str, line: &str) -> String {
    tasks.replacen("title =", &format!("{line}\ntitle ="), 1)
}
