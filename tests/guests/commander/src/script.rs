//! Carries out a script of operations of `wasi:filesystem`, and prints what each answered.
//!
//! Invariant: what is printed depends on the operations and the files alone, so that two hosts can
//! be compared: no time that was not set, no inode, no size or link count of a directory.
//!
//! A script has one operation a line, its words parted by spaces; `""` is the empty word. A
//! number `D` names one of the descriptors that are open, modulo how many there are; 0 is the
//! directory that was given.

use std::fmt::Write as _;

use wasip2::clocks::wall_clock::Datetime;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, NewTimestamp,
    OpenFlags, PathFlags, filesystem_error_code,
};
use wasip2::io::streams::StreamError;

/// The most bytes that one operation reads.
const MOST: u64 = 64;

/// What is open; the first is never closed.
struct Hands {
    open: Vec<Descriptor>,
}

/// Carries out `script`.
pub(crate) fn carry_out(script: &str) -> String {
    let Some((root, _)) = get_directories().into_iter().next() else {
        return "there is no directory\n".to_owned();
    };
    let mut hands = Hands { open: vec![root] };
    let mut said = String::new();
    for line in script.lines() {
        let words: Vec<&str> =
            line.split(' ').map(|word| if word == "\"\"" { "" } else { word }).collect();
        let answer = match hands.operate(&words) {
            Ok(answer) => answer,
            Err(code) => format!("{code:?}"),
        };
        let _ = writeln!(said, "{line} => {answer}");
    }
    said
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_default()
}

fn path_flags(word: &str) -> PathFlags {
    if word == "follow" { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() }
}

fn open_flags(word: &str) -> OpenFlags {
    word.chars().fold(OpenFlags::empty(), |flags, letter| {
        flags
            | match letter {
                'c' => OpenFlags::CREATE,
                'd' => OpenFlags::DIRECTORY,
                'x' => OpenFlags::EXCLUSIVE,
                't' => OpenFlags::TRUNCATE,
                _ => OpenFlags::empty(),
            }
    })
}

fn descriptor_flags(word: &str) -> DescriptorFlags {
    word.chars().fold(DescriptorFlags::empty(), |flags, letter| {
        flags
            | match letter {
                'r' => DescriptorFlags::READ,
                'w' => DescriptorFlags::WRITE,
                'm' => DescriptorFlags::MUTATE_DIRECTORY,
                _ => DescriptorFlags::empty(),
            }
    })
}

fn time(word: &str) -> NewTimestamp {
    match word {
        "keep" => NewTimestamp::NoChange,
        "now" => NewTimestamp::Now,
        seconds => {
            NewTimestamp::Timestamp(Datetime { seconds: number(seconds), nanoseconds: 5_000_000 })
        }
    }
}

fn kind(of: DescriptorType) -> &'static str {
    match of {
        DescriptorType::RegularFile => "file",
        DescriptorType::Directory => "dir",
        DescriptorType::SymbolicLink => "link",
        _ => "other",
    }
}

fn shown(stat: &DescriptorStat) -> String {
    let kind = kind(stat.type_);
    if stat.type_ == DescriptorType::Directory {
        return kind.to_owned();
    }
    format!("{kind} {} bytes {} names", stat.size, stat.link_count)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "0")
}

fn of_stream(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => match filesystem_error_code(&error) {
            Some(code) => format!("{code:?}"),
            None => "failed".to_owned(),
        },
    }
}

impl Hands {
    fn get(&self, word: &str) -> &Descriptor {
        let count = self.open.len() as u64;
        &self.open[(number(word) % count) as usize]
    }

    fn operate(&mut self, words: &[&str]) -> Result<String, ErrorCode> {
        let done = |()| "ok".to_owned();
        match words {
            ["open", d, follow, path, open, flags] => {
                let opened = self.get(d).open_at(
                    path_flags(follow),
                    path,
                    open_flags(open),
                    descriptor_flags(flags),
                )?;
                let kind = kind(opened.get_type()?);
                self.open.push(opened);
                Ok(kind.to_owned())
            }
            ["close", d] => {
                let at = (number(d) % self.open.len() as u64) as usize;
                if at > 0 {
                    self.open.remove(at);
                }
                Ok(String::new())
            }
            ["size", d, size] => self.get(d).set_size(number(size)).map(done),
            ["times", d, _, _] if !self.get(d).get_flags()?.contains(DescriptorFlags::WRITE) => {
                // Whether times are set through what was not opened to write is the host's choice.
                Ok("not to be written".to_owned())
            }
            ["times", d, accessed, modified] => {
                self.get(d).set_times(time(accessed), time(modified)).map(done)
            }
            ["sync", d] => self.get(d).sync().map(done),
            ["sync-data", d] => self.get(d).sync_data().map(done),
            ["advise", d] => self.get(d).advise(0, 10, Advice::Sequential).map(done),
            ["mkdir", d, path] => self.get(d).create_directory_at(path).map(done),
            ["rmdir", d, path] => self.get(d).remove_directory_at(path).map(done),
            ["unlink", d, path] => self.get(d).unlink_file_at(path).map(done),
            ["symlink", d, target, path] => self.get(d).symlink_at(target, path).map(done),
            ["rename", d, old, e, new] => self.get(d).rename_at(old, self.get(e), new).map(done),
            ["link", d, follow, old, e, new] => {
                self.get(d).link_at(path_flags(follow), old, self.get(e), new).map(done)
            }
            ["times-at", d, follow, path, accessed, modified] => self
                .get(d)
                .set_times_at(path_flags(follow), path, time(accessed), time(modified))
                .map(done),
            _ => self.look(words),
        }
    }

    /// What changes nothing, and what goes through streams.
    fn look(&self, words: &[&str]) -> Result<String, ErrorCode> {
        match words {
            ["read", d, offset] => {
                let (bytes, end) = self.get(d).read(MOST, number(offset))?;
                Ok(format!("{:?} {end}", text(&bytes)))
            }
            ["write", d, content, offset] => {
                self.get(d).write(content.as_bytes(), number(offset)).map(|n| n.to_string())
            }
            ["read-stream", d, offset] => {
                let stream = self.get(d).read_via_stream(number(offset))?;
                let mut all = Vec::new();
                loop {
                    match stream.blocking_read(5) {
                        Ok(bytes) => all.extend(bytes),
                        // Whether opening or reading is refused is the host's choice.
                        Err(error) if all.is_empty() => return Ok(of_stream(error)),
                        Err(error) => return Ok(format!("{:?} {}", text(&all), of_stream(error))),
                    }
                }
            }
            ["write-stream", d, content, offset] => {
                let stream = self.get(d).write_via_stream(number(offset))?;
                let wrote = stream.blocking_write_and_flush(content.as_bytes());
                Ok(wrote.map_or_else(of_stream, |()| "ok".to_owned()))
            }
            ["append-stream", d, content] => {
                let stream = self.get(d).append_via_stream()?;
                let wrote = stream.blocking_write_and_flush(content.as_bytes());
                Ok(wrote.map_or_else(of_stream, |()| "ok".to_owned()))
            }
            ["type", d] => self.get(d).get_type().map(|of| kind(of).to_owned()),
            // Stock wasmtime-wasi forgets that a directory was opened to change what is in it.
            ["flags", d] if self.get(d).get_type()? == DescriptorType::Directory => {
                Ok("dir".to_owned())
            }
            ["flags", d] => self.get(d).get_flags().map(|flags| format!("{flags:?}")),
            ["stat", d] => self.get(d).stat().map(|stat| shown(&stat)),
            ["stat-at", d, follow, path] => {
                self.get(d).stat_at(path_flags(follow), path).map(|stat| shown(&stat))
            }
            ["modified", d, follow, path] => {
                let stat = self.get(d).stat_at(path_flags(follow), path)?;
                let time = stat.data_modification_timestamp;
                // A time that a script sets is long past; any other is not compared.
                let set = time.filter(|time| time.seconds < 1_000_000);
                Ok(set.map_or_else(String::new, |time| format!("{}", time.seconds)))
            }
            ["readlink", d, path] => self.get(d).readlink_at(path),
            ["list", d] => {
                let stream = self.get(d).read_directory()?;
                let mut names = Vec::new();
                while let Some(entry) = stream.read_directory_entry()? {
                    names.push(format!("{}:{}", entry.name, kind(entry.type_)));
                }
                names.sort();
                Ok(names.join(" "))
            }
            ["same", d, e] => Ok(self.get(d).is_same_object(self.get(e)).to_string()),
            ["hashes", d, follow, path, e] => {
                let one = self.get(d).metadata_hash_at(path_flags(follow), path)?;
                let other = self.get(e).metadata_hash()?;
                Ok((one.lower == other.lower && one.upper == other.upper).to_string())
            }
            other => Ok(format!("what is {other:?}?")),
        }
    }
}
