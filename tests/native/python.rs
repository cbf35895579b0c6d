//! A Python project, tested by pytest: its conftest is hostile.

use std::process::Command;

use crate::needs;
use crate::victim::{Victim, Who, plan};

const FILE: &str = "slug.py";
const GOOD: &str = "def slug(title):\n    return title.lower().replace(\" \", \"-\")\n";
const BAD: &str = "def slug(title):\n    return title.lower().replace(\" \", \"_\")\n";

/// Of the system: the one that a command finds.
const PYTHON: &str = "/usr/bin/python3";

/// The report as a file.
const JUNIT: &str = "[commands.test]\nrun = [\"python3\", \"-m\", \"pytest\", \"--junitxml=report.xml\"]\n\
                     report = \"junit\"\nreport_file = \"report.xml\"\n";
/// The report as what pytest prints.
const PRINTED: &str =
    "[commands.test]\nrun = [\"python3\", \"-m\", \"pytest\"]\nreport = \"pytest\"\n";

fn needs_pytest() {
    needs(PYTHON, &["-m", "pytest", "--version"], "python3-pytest");
}

#[test]
fn a_python_project_is_tested_and_its_conftest_reaches_nothing() {
    needs_pytest();
    for who in Who::all() {
        let mut attack = Command::new(PYTHON);
        attack.args(["-c", "import conftest"]);
        Victim::new(who, "python", JUNIT).assert_reached_by(attack);

        let victim = Victim::new(who, "python", JUNIT);
        victim.assert_is_tested(FILE, (BAD, GOOD), 4, "2 tests failed: ");
    }
}

/// What cannot be told from the truth is a conftest that has pytest itself write another result
/// and exits with 0: it has to be kept out of what agents write.
#[test]
fn a_conftest_that_says_that_tests_passed_does_not_make_them_pass() {
    const NONE: &str = "def pytest_collection_modifyitems(items):\n    items.clear()\n";
    const ZERO: &str = "import pytest\n@pytest.hookimpl(trylast=True)\n\
                        def pytest_sessionfinish(session):\n    session.exitstatus = 0\n";
    const FORGED: &str = "import atexit, os\ndef forge():\n    \
                          print('\\n===== 5 passed in 0.10s =====', flush=True)\n    os._exit(0)\n\
                          atexit.register(forge)\n";
    needs_pytest();
    let victim = Victim::new(Who::Tests, "python", JUNIT);
    let (both, planted) = (format!("{NONE}{ZERO}"), "<testsuite tests=\"9\"/>");
    let early = format!("open('report.xml', 'w').write('''{planted}''')\nimport os\nos._exit(0)\n");
    for (config, conftest, work, why) in [
        // No test is left.
        (JUNIT, NONE, GOOD, "it ran no test"),
        (PRINTED, NONE, GOOD, "it ran no test"),
        // The same, as if that were well.
        (JUNIT, &both, GOOD, "it ran no test"),
        (PRINTED, &both, GOOD, "it ran no test"),
        // Tests fail, and it exits with 0.
        (JUNIT, ZERO, BAD, "2 tests failed"),
        (PRINTED, ZERO, BAD, "2 tests failed"),
        // Another sum behind the real one.
        (PRINTED, FORGED, BAD, "its tests cannot be counted"),
        // Nothing but an exit, with a report that has no test in it.
        (JUNIT, &early, BAD, "its tests cannot be counted"),
        (PRINTED, "import os\nos._exit(0)\n", BAD, "its tests cannot be counted"),
    ] {
        victim.put("conftest.py", conftest);
        victim.configure(config);
        let text = victim.executes(&plan(FILE, work, 4), &["--restart"], 14);
        assert!(text.contains(why), "{conftest}: {text}");
    }
}
