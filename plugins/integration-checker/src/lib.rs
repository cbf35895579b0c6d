//! The built-in integration-checker: checks what earlier phases established, and the links
//! between files.
//!
//! Invariant: there is exactly one finding for each criterion and each link, in their order.

use idumb_agent::{Context, Criterion, Failure, Finding, IntegrationChecker, Link, progress};
use idumb_criteria::{Host, Source, evaluate, evaluate_link};

/// The agent, as the host knows it.
pub struct BuiltIn;

impl IntegrationChecker for BuiltIn {
    fn check_integration(
        established: Vec<Criterion>,
        links: Vec<Link>,
        _: Context,
    ) -> Result<Vec<Finding>, Failure> {
        Ok(findings(&established, &links, &mut Host))
    }
}

idumb_agent::integration_checker!(BuiltIn);

fn findings(established: &[Criterion], links: &[Link], source: &mut dyn Source) -> Vec<Finding> {
    let total = (established.len() + links.len()) as u32;
    let mut findings = Vec::new();
    for criterion in established {
        progress(findings.len() as u32, total, &criterion.text);
        findings.push(evaluate(criterion, source));
    }
    for link in links {
        progress(findings.len() as u32, total, format!("{} refers to {}", link.from, link.to));
        findings.push(evaluate_link(link, source));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use idumb_agent::Verdict;
    use idumb_criteria::memory::Memory;

    #[test]
    fn criteria_and_links_are_checked() {
        let established = [Criterion {
            id: "P1-T1.1".into(),
            text: "The store exists".into(),
            kind: "contains".into(),
            args: r#"{"path":"src/store.rs","text":"pub struct Store"}"#.into(),
        }];
        let link = |id: &str, pattern: &str| Link {
            id: id.into(),
            from: "src/main.rs".into(),
            pattern: pattern.into(),
            to: "src/store.rs".into(),
            provides: None,
        };
        let links = [link("link.1", "^mod store;$"), link("link.2", "^mod stores;$")];
        let mut source = Memory::default()
            .file("src/main.rs", "mod store;\n")
            .file("src/store.rs", "pub struct Store;\n");
        let found = findings(&established, &links, &mut source);
        let verdicts: Vec<_> = found.iter().map(|f| (f.criterion.as_str(), f.verdict)).collect();
        let expected =
            [("P1-T1.1", Verdict::Pass), ("link.1", Verdict::Pass), ("link.2", Verdict::Fail)];
        assert_eq!(verdicts, expected);
        assert_eq!(found[1].evidence, ["e2", "e3"], "a link rests on both files");
    }
}
