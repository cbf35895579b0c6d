//! The built-in validator: checks each criterion of a task on the candidate.
//!
//! Invariant: there is exactly one finding for each criterion, in their order.

use idumb_agent::{Context, Failure, Finding, Task, Validator, progress};
use idumb_criteria::{Host, Source, evaluate};

/// The agent, as the host knows it.
pub struct BuiltIn;

impl Validator for BuiltIn {
    fn validate(task: Task, _: Context) -> Result<Vec<Finding>, Failure> {
        Ok(findings(&task, &mut Host))
    }
}

idumb_agent::validator!(BuiltIn);

fn findings(task: &Task, source: &mut dyn Source) -> Vec<Finding> {
    let total = task.accept.len() as u32;
    let check = |(done, criterion)| {
        let criterion: &idumb_agent::Criterion = criterion;
        progress(done, total, &criterion.text);
        evaluate(criterion, source)
    };
    (0..).zip(&task.accept).map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use idumb_agent::{Criterion, Verdict};
    use idumb_criteria::memory::Memory;

    #[test]
    fn each_criterion_gets_its_finding() {
        let criterion = |id: &str, kind: &str, args: &str| Criterion {
            id: id.into(),
            text: String::new(),
            kind: kind.into(),
            args: args.into(),
        };
        let accept = vec![
            criterion("a", "exists", r#"{"path":"there"}"#),
            criterion("b", "exists", r#"{"path":"gone"}"#),
            criterion("c", "smells", "{}"),
        ];
        let task = Task { accept, ..Task::default() };
        let found = findings(&task, &mut Memory::default().file("there", ""));
        let found: Vec<_> = found.iter().map(|f| (f.criterion.as_str(), f.verdict)).collect();
        let expected = [("a", Verdict::Pass), ("b", Verdict::Fail), ("c", Verdict::Inconclusive)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_task_without_criteria_has_no_finding_to_pass_on() {
        assert!(findings(&Task::default(), &mut Memory::default()).is_empty());
    }
}
