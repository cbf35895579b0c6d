//! Cases of several files: each `==> PATH <==` line begins a file. Before the first, `expected:
//! 1-name` names the phase of their place, and `agents: a, b` what `idumb.toml` defines.
//!
//! Invariant: a file's text is what stands between two such lines, byte for byte.

use std::path::Path;

use idumb_core::PhaseId;
use idumb_plan::{Read, RefusedPlan, SourceFile, read_any};

/// The files of a plan, and what is known before they are read.
#[derive(Debug, Clone)]
pub(crate) struct Bundle {
    pub(crate) expected: Option<PhaseId>,
    pub(crate) agents: Vec<String>,
    pub(crate) files: Vec<(String, String)>,
}

impl Bundle {
    pub(crate) fn parse(text: &str) -> Self {
        let mut bundle = Self { expected: None, agents: Vec::new(), files: Vec::new() };
        for line in text.split_inclusive('\n') {
            let words = line.trim_end();
            if let Some(path) = words.strip_prefix("==> ").and_then(|l| l.strip_suffix(" <==")) {
                bundle.files.push((path.to_owned(), String::new()));
            } else if let Some((_, text)) = bundle.files.last_mut() {
                text.push_str(line);
            } else if let Some(phase) = words.strip_prefix("expected: ") {
                let (number, name) = phase.split_once('-').expect("a phase");
                let number = number.parse().expect("a number");
                bundle.expected = Some(PhaseId::new(number, name).expect("a phase"));
            } else if let Some(agents) = words.strip_prefix("agents: ") {
                bundle.agents = agents.split(", ").map(str::to_owned).collect();
            }
        }
        bundle
    }

    pub(crate) fn read(&self) -> Result<Read, RefusedPlan> {
        let agents: Vec<&str> = self.agents.iter().map(String::as_str).collect();
        let files = self.files.iter().map(|(path, text)| SourceFile { path, text });
        read_any(&files.collect::<Vec<_>>(), self.expected.as_ref(), &agents)
    }

    /// The same with every text changed.
    #[allow(dead_code, reason = "one of the tests that include this module does without")]
    pub(crate) fn with_texts(&self, change: impl Fn(&str) -> String) -> Self {
        let files = self.files.iter().map(|(path, text)| (path.clone(), change(text)));
        Self { files: files.collect(), ..self.clone() }
    }
}

/// The cases in a folder below `tests/markdown`, in order; the checkout's line ends undone.
pub(crate) fn cases(name: &str) -> Vec<(String, Bundle)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/markdown").join(name);
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        assert!(path.extension().is_some_and(|ending| ending == "txt"), "{path:?} is no case");
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a text").replace("\r\n", "\n");
        cases.push((stem, Bundle::parse(&text)));
    }
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}
