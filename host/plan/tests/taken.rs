//! Files that are taken: what is read from them, however they are encoded.
//!
//! Invariant: no mutilation of them makes a reader panic, and the formats' own page is
//! among them.

use std::path::Path;
use std::time::Duration;

use idumb_core::{Digest, Mode, PhaseId, Plan, Role};
use idumb_plan::{read_config, read_plan, render};

fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/taken").join(name);
    std::fs::read_to_string(path).expect("the plan").replace("\r\n", "\n")
}

fn taken(source: &str) -> Plan {
    read_plan(source, "plan.toml", None).unwrap_or_else(|refused| panic!("{}", render(&refused)))
}

fn json(plan: &Plan) -> String {
    serde_json::to_string_pretty(plan).expect("a plan is JSON")
}

fn check(name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => "snapshots/taken",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn a_small_plan_has_all_defaults() {
    check("small", &json(&taken(&source("small.toml"))));
}

#[test]
fn every_kind_is_read() {
    check("kinds", &json(&taken(&source("kinds.toml"))));
}

#[test]
fn words_of_any_script_are_kept() {
    check("non-ascii", &json(&taken(&source("non-ascii.toml"))));
}

#[test]
fn forty_tasks_keep_their_order() {
    let plan = taken(&source("forty.toml"));
    assert_eq!(plan.tasks.len(), 40);
    assert_eq!(plan.links.len(), 7);
    let ids = |ids: Vec<idumb_core::TaskId>| {
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let batches: Vec<String> = plan.batches(5).into_iter().map(ids).collect();
    check("forty", &batches.join("\n"));
}

#[test]
fn encodings_change_the_digest_and_nothing_else() {
    for name in ["small.toml", "kinds.toml", "non-ascii.toml", "forty.toml"] {
        let source = source(name);
        let plan = taken(&source);
        assert_eq!(plan.digest, Digest::of(source.as_bytes()));
        let windows = source.replace('\n', "\r\n");
        for variant in [windows.clone(), format!("\u{feff}{source}"), format!("\u{feff}{windows}")]
        {
            let mut other = taken(&variant);
            assert_eq!(other.digest, Digest::of(variant.as_bytes()));
            assert_ne!(other.digest, plan.digest);
            other.digest = plan.digest;
            // TOML keeps the line ends of texts over several lines as the file has them.
            assert_eq!(json(&other).replace("\\r\\n", "\\n"), json(&plan), "{name}");
        }
    }
}

#[test]
fn the_folder_gives_the_name_and_must_agree() {
    let named = source("small.toml");
    let nameless = named.replace("name = \"greeting\"\n", "");
    let phase = PhaseId::new(1, "greeting").unwrap();
    for source in [&named, &nameless] {
        assert_eq!(read_plan(source, "plan.toml", Some(&phase)).unwrap().phase, phase);
    }
    assert!(read_plan(&nameless, "plan.toml", None).is_err());
    for (number, name) in [(2, "greeting"), (1, "other")] {
        let other = PhaseId::new(number, name).unwrap();
        assert!(read_plan(&named, "plan.toml", Some(&other)).is_err(), "{other}");
    }
}

/// The code blocks of the page that describes the formats.
fn documented() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/plan-format.md");
    let page = std::fs::read_to_string(page).expect("the page").replace("\r\n", "\n");
    let blocks = page.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_documented_plan_is_taken() {
    let plan = taken(&documented()[0]);
    assert_eq!(plan.phase.to_string(), "1-foundation");
    assert_eq!(plan.tasks[0].timeout, Some(Duration::from_secs(120)));
    assert_eq!(plan.tasks[0].accept[0].text, "The store exists");
    assert_eq!(plan.links[0].id.as_str(), "main-uses-store");
}

#[test]
fn the_documented_config_is_taken() {
    // The page stands for any digest, and for any agent in a role.
    let source = documented()[1].replace("blake3:…", &Digest::of(b"").to_string());
    let config =
        read_config(&source, "idumb.toml").unwrap_or_else(|refused| panic!("{}", render(&refused)));
    assert_eq!(config.project.name.as_deref(), Some("notes-api"));
    assert_eq!(config.project.current_phase, Some(2));
    assert_eq!(config.defaults.mode, Some(Mode::Interactive));
    assert_eq!(config.defaults.batch_size, Some(5));
    assert_eq!(config.defaults.timeout, Some(Duration::from_secs(600)));
    assert_eq!(config.agents["writer"].role, Role::Builder);
    assert_eq!(config.agents["writer"].path, "agents/writer.wasm");
    assert_eq!(config.agents["writer"].digest, Some(Digest::of(b"")));
    assert_eq!(config.roles[&Role::Verifier], "verifier");
    assert_eq!(config.limits.memory, Some(256 << 20));
}

#[test]
fn an_empty_config_is_the_default_one() {
    for source in ["", "\u{feff}", "# nothing\r\n"] {
        assert_eq!(read_config(source, "idumb.toml").unwrap(), idumb_plan::Config::default());
    }
}

#[test]
fn own_agents_take_their_roles() {
    let source = "[agents.strict]\npath = \"strict.wasm\"\nrole = \"validator\"\n\n\
                  [roles]\nvalidator = \"strict\"\n";
    let config = read_config(source, "idumb.toml").unwrap();
    assert_eq!(config.roles[&Role::Validator], "strict");
}

/// Every character's place in `source`, and its end.
fn places(source: &str) -> impl Iterator<Item = usize> + '_ {
    source.char_indices().map(|(at, _)| at).chain([source.len()])
}

#[test]
fn a_cut_plan_never_makes_a_reader_panic() {
    for name in ["kinds.toml", "non-ascii.toml"] {
        let source = source(name);
        for at in places(&source) {
            for part in [&source[..at], &source[at..]] {
                if let Err(refused) = read_plan(part, name, None) {
                    assert!(!render(&refused).is_empty());
                }
                let _ = read_config(part, name);
            }
        }
    }
}

#[test]
fn a_changed_plan_never_makes_a_reader_panic() {
    let source = source("kinds.toml").replace('\n', "\r\n");
    let spoilers =
        ["", "\"", "'", "[", "]", "{", "=", "\n", "\r", "\u{0}", "\u{1b}", "é", "🦀", "-", "9"];
    for (index, at) in places(&source).enumerate() {
        let spoiler = spoilers[index % spoilers.len()];
        let rest = source[at..].chars().next().map_or(0, char::len_utf8);
        let spoilt = format!("{}{spoiler}{}", &source[..at], &source[at + rest..]);
        if let Err(refused) = read_plan(&spoilt, "plan.toml", None) {
            assert!(!render(&refused).contains(['\u{0}', '\u{1b}', '\r']));
        }
    }
}
