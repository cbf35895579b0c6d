//! The built-in verifier: checks each criterion of each task of a phase on the real tree.
//!
//! Invariant: there is exactly one finding for each criterion, in the order of the tasks.

use idumb_agent::{Context, Criterion, Failure, Finding, Task, Verifier, progress};
use idumb_criteria::{Host, Source, evaluate};

/// The agent, as the host knows it.
pub struct BuiltIn;

impl Verifier for BuiltIn {
    fn verify(tasks: Vec<Task>, _: Context) -> Result<Vec<Finding>, Failure> {
        Ok(findings(&tasks, &mut Host))
    }
}

idumb_agent::verifier!(BuiltIn);

fn findings(tasks: &[Task], source: &mut dyn Source) -> Vec<Finding> {
    let all: Vec<(&Task, &Criterion)> =
        tasks.iter().flat_map(|task| task.accept.iter().map(move |c| (task, c))).collect();
    let total = all.len() as u32;
    let check = |(done, (task, criterion)): (u32, (&Task, &Criterion))| {
        progress(done, total, format!("{}: {}", task.id, criterion.text));
        evaluate(criterion, source)
    };
    (0..).zip(all).map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use idumb_agent::Verdict;
    use idumb_criteria::memory::Memory;

    fn task(id: &str, paths: &[&str]) -> Task {
        let criterion = |path: &&str| Criterion {
            id: format!("{id}.{path}"),
            text: String::new(),
            kind: "exists".into(),
            args: format!(r#"{{"path":"{path}"}}"#),
        };
        Task { id: id.into(), accept: paths.iter().map(criterion).collect(), ..Task::default() }
    }

    #[test]
    fn every_criterion_of_every_task_is_checked() {
        let tasks = [task("T1", &["a", "gone"]), task("T2", &[]), task("T3", &["b"])];
        let mut source = Memory::default().file("a", "").file("b", "");
        let found = findings(&tasks, &mut source);
        let found: Vec<_> = found.iter().map(|f| (f.criterion.as_str(), f.verdict)).collect();
        let expected =
            [("T1.a", Verdict::Pass), ("T1.gone", Verdict::Fail), ("T3.b", Verdict::Pass)];
        assert_eq!(found, expected);
        assert_eq!(source.observed, ["a", "gone", "b"]);
    }
}
