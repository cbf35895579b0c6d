//! Files that are taken: what is read from them, however they are encoded.
//!
//! Invariant: no mutilation of them makes a reader panic, and the formats' own page is
//! among them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use idumb_core::{
    Blocker, Checkpoint, CheckpointAt, Digest, Mode, PathGlob, PhaseId, Plan, Policy, Resort,
    ResourceLimits, Role, Rule, TaskId,
};
use idumb_plan::{
    CommandSource, Config, RulesFile, read_config, read_plan, read_rules, read_settings, render,
    to_native,
};

fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/taken").join(name);
    std::fs::read_to_string(path).expect("the plan").replace("\r\n", "\n")
}

fn taken(source: &str) -> Plan {
    read_plan(source, "plan.toml", None).unwrap_or_else(|refused| panic!("{}", render(&refused)))
}

fn taken_config(source: &str) -> Config {
    read_config(source, "idumb.toml").unwrap_or_else(|refused| panic!("{}", render(&refused)))
}

fn taken_rules(source: &str) -> RulesFile {
    read_rules(source, "night.toml").unwrap_or_else(|refused| panic!("{}", render(&refused)))
}

fn globs(texts: &[&str]) -> Vec<PathGlob> {
    texts.iter().map(|text| text.parse().expect("a pattern")).collect()
}

fn agents<const N: usize>(roles: [(Role, &[&str]); N]) -> BTreeMap<Role, Vec<String>> {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    roles.into_iter().map(|(role, agents)| (role, names(agents))).collect()
}

fn rule(name: &str, on: &[Blocker], then: Resort) -> Rule {
    let (on, tasks) = (on.to_vec(), Vec::new());
    Rule { name: name.to_owned(), on, tasks, retry: 0, backoff_ms: None, then }
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

/// The plan as it is after being written and read again.
fn written(plan: &Plan) -> Plan {
    let text = to_native(plan).expect("a text");
    Plan { digest: plan.digest, ..taken(&text) }
}

#[test]
fn a_plan_that_is_written_reads_as_the_same() {
    for name in ["small.toml", "kinds.toml", "non-ascii.toml", "forty.toml"] {
        let plan = taken(&source(name));
        assert_eq!(written(&plan), plan, "{name}");
    }
    let mut plan = taken(&documented()[0]);
    assert_eq!(written(&plan), plan);
    // Texts that are easily broken when they are quoted.
    let quotes = "\"\"\"\\'''";
    for (index, text) in
        ["\n", "\r\n x", quotes, "\u{1b}[2J", " \u{feff}", "#", "\\\n"].into_iter().enumerate()
    {
        plan.tasks[0].description = text.to_owned();
        plan.tasks[0].options.insert(format!("{text}{index}"), text.to_owned());
        plan.tasks[0].accept[0].text = format!("x{text}");
        assert_eq!(written(&plan), plan, "{text:?}");
    }
    for timeout in [1_u64, 1_000_000, 1_500_000_000, 7_200_000_000_000] {
        plan.tasks[0].timeout = Some(Duration::from_nanos(timeout));
        assert_eq!(written(&plan), plan);
    }
}

#[test]
fn what_the_format_cannot_say_is_told() {
    let told = |change: fn(&mut Plan)| {
        let mut plan = taken(&source("kinds.toml"));
        change(&mut plan);
        to_native(&plan).expect_err("what cannot be said").reasons().join("; ")
    };
    let lines = [
        told(|plan| plan.tasks[0].title = "two\nlines".into()),
        told(|plan| plan.tasks[0].accept[0].kind = "smells".into()),
        told(|plan| plan.tasks[0].accept[0].looks_at.clear()),
        told(|plan| plan.tasks[0].accept.clear()),
        told(|plan| {
            plan.tasks[0].steps[0].args.insert("path".into(), serde_json::Value::Null);
        }),
        told(|plan| plan.links[0].pattern = "(".into()),
        told(|plan| plan.tasks[0].agent = "x y".into()),
    ];
    check("not-native", &lines.join("\n"));
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
    assert_eq!(plan.tasks[0].limits.memory, Some(64 << 20));
    assert_eq!(plan.tasks[0].limits.cpu_ms, Some(30_000));
    assert_eq!(plan.tasks[0].limits.files, None);
    assert_eq!(plan.tasks[0].accept[0].text, "The store exists");
    let checkpoint = Checkpoint { at: CheckpointAt::After, human: true };
    assert_eq!(plan.tasks[0].checkpoint, Some(checkpoint));
    let judged = &plan.tasks[0].accept[1];
    assert!(judged.is_judged());
    assert_eq!(judged.text, "The names are ones that a newcomer understands");
    assert_eq!(plan.links[0].id.as_str(), "main-uses-store");
}

#[test]
fn the_documented_config_is_taken() {
    // The page stands for any digest, and for any agent in a role.
    let source = documented()[1].replace("blake3:…", &Digest::of(b"").to_string());
    let config = taken_config(&source);
    assert_eq!(config.project.name.as_deref(), Some("notes-api"));
    assert_eq!(config.project.current_phase, Some(2));
    assert_eq!(config.defaults.mode, Some(Mode::Interactive));
    assert_eq!(config.defaults.batch_size, Some(5));
    assert_eq!(config.defaults.timeout, Some(Duration::from_secs(600)));
    assert_eq!(config.agents["writer"].role, Role::Builder);
    assert_eq!(config.agents["writer"].path, "agents/writer.wasm");
    assert_eq!(config.agents["writer"].digest, Some(Digest::of(b"")));
    assert_eq!(config.roles[&Role::Verifier], "verifier");
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let test = CommandSource {
        run: texts(&["cargo", "test", "--offline"]),
        report: Some("cargo".to_owned()),
        read_only: texts(&["~/.cargo", "~/.rustup"]),
        bins: texts(&["~/.cargo/bin"]),
        env: BTreeMap::from([("CARGO_TERM_COLOR".to_owned(), "never".to_owned())]),
        time: Some(Duration::from_secs(300)),
        ..CommandSource::default()
    };
    assert_eq!(config.commands, BTreeMap::from([("test".to_owned(), test)]));
    let limits = config.limits;
    assert_eq!(limits.host_memory, Some(4 << 30));
    assert_eq!(limits.compile_memory, Some(4 << 30));
    assert_eq!(limits.compile_time, Some(Duration::from_secs(300)));
    let agent = ResourceLimits {
        memory: Some(256 << 20),
        table_elements: Some(100_000),
        instances: Some(64),
        handles: Some(4096),
        cpu_ms: Some(300_000),
        host_call: Some(32 << 20),
        random: Some(64 << 10),
        log_lines: Some(2000),
        log_line: Some(4096),
        questions: Some(100),
        commands: Some(50),
        open_files: Some(1024),
        files: Some(100_000),
        written: Some(1 << 30),
    };
    assert_eq!(limits.agent, agent);
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(config.defaults.validation_timeout, seconds(300));
    assert_eq!(config.defaults.phase_timeout, seconds(8 * 3600));
    assert_eq!(config.defaults.grace, seconds(30));
    assert_eq!(config.defaults.backoff, seconds(2));
    assert_eq!(config.defaults.backoff_cap, seconds(60));
    let first = Rule {
        tasks: vec![TaskId::new("P1-T1").unwrap()],
        retry: 3,
        backoff_ms: Some(2000),
        ..rule("idumb.toml rule 1", &[Blocker::Timeout], Resort::Skip)
    };
    let second = rule("idumb.toml rule 2", &[Blocker::Trap, Blocker::Denied], Resort::Pause);
    assert_eq!(config.rules, [first, second]);
    let policy = Policy {
        name: "idumb.toml".to_owned(),
        never: globs(&["secrets/**"]),
        reads: Some(globs(&["**"])),
        writes: Some(globs(&["src/**", "docs/**"])),
        roles: agents([(Role::Builder, &["builder", "writer"]), (Role::Validator, &["strict"])]),
        same_agent: false,
    };
    assert_eq!(config.policy, policy);
}

#[test]
fn the_documented_rules_file_is_taken() {
    let file = taken_rules(&documented()[2]);
    let first = Rule {
        retry: 5,
        backoff_ms: Some(30_000),
        ..rule("night.toml rule 1", &[Blocker::Error], Resort::Pause)
    };
    let both = [Blocker::Failure, Blocker::Rejected];
    let second = Rule { retry: 1, ..rule("night.toml rule 2", &both, Resort::Skip) };
    assert_eq!(file.rules, [first, second]);
    let policy = Policy {
        name: "night.toml".to_owned(),
        never: globs(&["deploy/**"]),
        reads: None,
        writes: None,
        roles: agents([(Role::Builder, &["builder"])]),
        same_agent: true,
    };
    assert_eq!(file.policy, policy);
}

#[test]
fn the_documented_settings_are_taken() {
    let settings = read_settings(&documented()[3], "config.toml").unwrap();
    assert_eq!(settings.defaults.mode, Some(Mode::Auto));
    assert_eq!(settings.defaults.timeout, Some(Duration::from_secs(20 * 60)));
    assert_eq!(settings.limits.agent.memory, Some(512 << 20));
    let rule = Rule { retry: 2, ..rule("config.toml rule 1", &[Blocker::Timeout], Resort::Pause) };
    assert_eq!(settings.rules, [rule]);
    let (name, never) = ("config.toml".to_owned(), globs(&["**/*.pem"]));
    assert_eq!(settings.policy, Policy { name, never, ..Policy::default() });
    assert_eq!(documented().len(), 4, "an example that no test reads");
}

/// What a project says of its limits comes first, one by one.
#[test]
fn limits_of_a_person_hold_where_a_project_is_silent() {
    let limits = |text: &str| read_config(text, "idumb.toml").unwrap().limits;
    let project = limits("[limits]\nmemory = 1\ncpu = \"1s\"\ncompile_time = \"2s\"");
    let own = limits("[limits]\nmemory = 5\nfiles = 6\ncompile_time = \"9s\"\nhost_memory = 7");
    let both = limits(
        "[limits]\nmemory = 1\ncpu = \"1s\"\nfiles = 6\ncompile_time = \"2s\"\nhost_memory = 7",
    );
    assert_eq!(project.or(&own), both);
    assert_eq!(own.or(&own), own);
}

#[test]
fn the_page_lists_every_blocker() {
    let page = documented().join("\n");
    let all = Blocker::ALL.map(Blocker::as_str).join(", ");
    assert!(page.contains(&format!("# or a list: {all}\n")), "{page}");
}

#[test]
fn a_whole_config_is_read() {
    let config = taken_config(&source("idumb.toml"));
    let defaults = &config.defaults;
    assert_eq!(defaults.validation_timeout, Some(Duration::from_secs(90)));
    assert_eq!(defaults.phase_timeout, Some(Duration::from_secs(90 * 60)));
    assert_eq!(defaults.grace, Some(Duration::from_millis(1)));
    assert_eq!(defaults.backoff, Some(Duration::ZERO));
    assert_eq!(defaults.backoff_cap, Some(Duration::from_millis(500)));
    let lint = &config.commands["lint"];
    assert!(lint.loopback && lint.run == ["./lint.sh", ""] && lint.processes == Some(100_000));
    assert_eq!((lint.file_size, lint.output), (Some(1024), Some(2 << 20)));
    assert_eq!(config.commands["least"].run, ["true"]);
    let all = Rule {
        tasks: ["P1-T1", "P2-T1"].map(|id| TaskId::new(id).unwrap()).to_vec(),
        retry: 100,
        backoff_ms: Some(0),
        ..rule("idumb.toml rule 1", &Blocker::ALL, Resort::Skip)
    };
    let judged = Rule {
        retry: 1,
        backoff_ms: Some(60_500),
        ..rule("idumb.toml rule 2", &[Blocker::Judged], Resort::Pause)
    };
    let timeout = rule("idumb.toml rule 3", &[Blocker::Timeout], Resort::Fail);
    assert_eq!(config.rules, [all, judged, timeout]);
    let policy = Policy {
        name: "idumb.toml".to_owned(),
        never: globs(&["secrets/**", "**/*.pem"]),
        // Nothing at all may be read; without the key, what the plan says.
        reads: Some(vec![]),
        writes: Some(globs(&["src/**"])),
        roles: agents([
            (Role::Builder, &["writer", "builder"]),
            (Role::Validator, &["strict"]),
            (Role::Verifier, &["verifier"]),
            (Role::IntegrationChecker, &["integration-checker"]),
        ]),
        same_agent: false,
    };
    assert_eq!(config.policy, policy);
}

#[test]
fn a_person_may_name_any_agent_and_widen() {
    let file = taken_rules(&source("rules.toml"));
    assert_eq!(file.rules, [rule("night.toml rule 1", &[Blocker::Conflict], Resort::Pause)]);
    let policy = Policy {
        name: "night.toml".to_owned(),
        never: vec![],
        reads: Some(globs(&["**"])),
        writes: Some(vec![]),
        roles: agents([
            (Role::Builder, &["someone"]),
            (Role::Validator, &["someone-else", "validator"]),
        ]),
        same_agent: true,
    };
    assert_eq!(file.policy, policy);
}

#[test]
fn a_file_without_a_policy_still_names_one() {
    let policy = |name: &str| Policy { name: name.to_owned(), ..Policy::default() };
    assert_eq!(read_config("", "other.toml").unwrap().policy, policy("other.toml"));
    let file = read_rules("", "night.toml").unwrap();
    assert_eq!(file, RulesFile { rules: vec![], policy: policy("night.toml") });
}

#[test]
fn a_cap_alone_and_an_equal_one_are_taken() {
    let minute = Some(Duration::from_secs(60));
    for (source, backoff) in
        [("backoff_cap = \"1m\"", None), ("backoff_cap = \"1m\"\nbackoff = \"60s\"", minute)]
    {
        let config = taken_config(&format!("[defaults]\n{source}\n"));
        assert_eq!((config.defaults.backoff, config.defaults.backoff_cap), (backoff, minute));
    }
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
