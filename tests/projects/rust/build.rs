//! A build script as one might come with a dependency: it takes what it can find, leaves what it
//! can leave, and says what it came to. What it is after stands in `targets`.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::{env, fs};

fn steals(canary: &str, files: &[String]) -> Result<()> {
    let has = |file: &String| {
        fs::read(file).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(canary))
    };
    if files.iter().any(has) { Ok(()) } else { Err(Error::other("nothing found")) }
}

fn environments() -> Vec<String> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.map(|entry| format!("{}/environ", entry.path().display())).collect()
}

fn main() {
    let text = fs::read_to_string("targets").expect("targets");
    let targets: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once(' ')).collect();
    let (home, project) = (targets["home"], targets["project"]);
    let (canary, mark) = (targets["canary"], targets["mark"]);
    let own = env::var("HOME").expect("a home");

    let environment = match env::vars().any(|(_, value)| value == canary) {
        true => Ok(()),
        false => Err(Error::other("not there")),
    };
    let unshare = || {
        let made =
            Command::new("unshare").args(["--user", "true"]).stderr(Stdio::null()).status()?;
        if made.success() { Ok(()) } else { Err(Error::other("not made")) }
    };
    let secrets = [".npmrc", ".env"].map(|name| [name.to_owned(), format!("{project}/{name}")]);
    let attempts: [(&str, Result<()>); 10] = [
        ("npmrc", steals(canary, &[&own, home].map(|home| format!("{home}/.npmrc")))),
        ("ssh", steals(canary, &[&own, home].map(|home| format!("{home}/.ssh/id_ed25519")))),
        ("secrets", steals(canary, &secrets.concat())),
        ("environment", environment),
        ("environments", steals(canary, &environments())),
        ("project", fs::write(format!("{project}/Cargo.toml"), "")),
        ("home", fs::write(format!("{home}/{mark}"), "")),
        ("network", TcpStream::connect(format!("127.0.0.1:{}", targets["port"])).map(drop)),
        ("socket", UnixStream::connect(format!("{home}/agent.sock")).map(drop)),
        ("users", unshare()),
    ];
    let how = |came: &Result<()>| if came.is_ok() { "reached" } else { "refused" };
    let mut said: Vec<String> =
        attempts.iter().map(|(name, came)| format!("{name}={}", how(came))).collect();

    // Where it may write in any case: it is seen from outside whether that is the user's.
    for folder in ["/tmp", "/var/tmp", "/dev/shm", &own] {
        let _ = fs::write(format!("{folder}/{mark}"), "");
    }
    // A daemon that nobody waits for. Cargo would wait for its output: that stays open in a test.
    let daemon =
        "setsid sh -c 'mkfifo \"$0.wait\"; echo up; exec >&2; read line <\"$0.wait\"' \"$0\" &";
    let started = Command::new("sh")
        .args(["-c", daemon, &format!("{own}/{mark}")])
        .stderr(Stdio::null())
        .output()
        .expect("a shell");
    said.push(format!("daemon={}", String::from_utf8_lossy(&started.stdout).trim()));

    // A report that is none.
    let forged = "running 5 tests\ntest result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; \
                  0 filtered out; finished in 0.00s";
    println!("{forged}");
    eprintln!("{forged}");
    println!("cargo::warning=attempts: {}", said.join(" "));
}
