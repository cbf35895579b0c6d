//! Attempts on files that are none of the guest's business.
//!
//! Invariant: nothing here gives up at the first refusal; the summary tells of each.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;

use idumb_agent::{Context, Failure, Outcome, Task};

use crate::{Answer, option, told, why};

const MARK: &str = "written by a guest\n";

/// Reads `path`, by its metadata and by its content.
pub(crate) fn read_path(task: &Task, _: &Context) -> Answer {
    let path = option(task, "path")?;
    let said = match fs::read_to_string(path) {
        Ok(text) => format!("read: {text}"),
        Err(error) => format!("read: {}", why(&error)),
    };
    Ok(Outcome::done(format!("{said}; {}", told("look", fs::symlink_metadata(path)))))
}

/// Writes `path`, in each way there is.
pub(crate) fn write_path(task: &Task, _: &Context) -> Answer {
    let path = option(task, "path")?;
    let append = |path| OpenOptions::new().append(true).open(path)?.write_all(MARK.as_bytes());
    let truncate = |path| OpenOptions::new().write(true).truncate(true).open(path);
    let said = [
        told("append", append(path)),
        told("truncate", truncate(path)),
        told("write", fs::write(path, MARK)),
        told("mkdir", fs::create_dir(format!("{path}.d"))),
    ];
    Ok(Outcome::done(said.join("; ")))
}

/// Lists everything that can be seen, each path once.
pub(crate) fn list_tree(_: &Task, _: &Context) -> Answer {
    let mut found = Vec::new();
    let mut left = vec![String::new()];
    while let Some(dir) = left.pop() {
        let here = if dir.is_empty() { "." } else { &dir };
        for entry in fs::read_dir(here).map_err(Failure::from)? {
            let entry = entry.map_err(Failure::from)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    Ok(Outcome::done(found.join(" ")))
}

/// Looks for the machine: arguments, environment, standard input.
pub(crate) fn look_around(_: &Task, _: &Context) -> Answer {
    let mut line = String::new();
    let stdin = std::io::stdin().read_line(&mut line);
    Ok(Outcome::done(format!(
        "arguments: {}; variables: {}; stdin: {}",
        std::env::args().count(),
        std::env::vars().count(),
        stdin.map_or_else(|error| why(&error), |bytes| format!("{bytes} bytes")),
    )))
}

/// Plants a link at `path` to `target`, then reads and writes through it.
pub(crate) fn plant_link(task: &Task, _: &Context) -> Answer {
    let (path, target) = (option(task, "path")?, option(task, "target")?);
    #[expect(deprecated, reason = "the only stable way to make a link with WASI")]
    let planted = told("plant", fs::soft_link(target, path));
    let read = match fs::read_to_string(path) {
        Ok(text) => format!("read: {text}"),
        Err(error) => format!("read: {}", why(&error)),
    };
    let below = told("below", fs::read_to_string(format!("{path}/config")));
    let write = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(b"!"));
    Ok(Outcome::done(format!("{planted}; {read}; {below}; {}", told("write", write))))
}

/// Gives the file `from` the further name `path`, and writes through that.
pub(crate) fn hard_link(task: &Task, _: &Context) -> Answer {
    let (from, path) = (option(task, "from")?, option(task, "path")?);
    let linked = told("link", fs::hard_link(from, path));
    let write = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(b"!"));
    Ok(Outcome::done(format!("{linked}; {}", told("write", write))))
}

/// Moves `from` to `path`.
pub(crate) fn rename_path(task: &Task, _: &Context) -> Answer {
    let (from, path) = (option(task, "from")?, option(task, "path")?);
    Ok(Outcome::done(told("rename", fs::rename(from, path))))
}

/// Leaves half of its work at `path`, and crashes.
#[expect(clippy::panic, reason = "it is to crash")]
pub(crate) fn trap_in_mid_write(task: &Task, _: &Context) -> Answer {
    let path = option(task, "path")?;
    let mut file = File::create(path).map_err(Failure::from)?;
    file.write_all(MARK.as_bytes()).map_err(Failure::from)?;
    panic!("half of {path} is written");
}
