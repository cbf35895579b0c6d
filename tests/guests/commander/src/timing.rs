//! What a benchmark has done to files, the same code within the sandbox and natively.
//!
//! Invariant: only file operations are timed; each line of the answer is a name and nanoseconds.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Instant;

/// Bytes of a small file.
const SMALL: usize = 1024;

/// Bytes of one read or write of a stream.
const CHUNK: usize = 64 << 10;

/// Creates and writes `files` small files in `folder`, then opens and reads each; nanoseconds
/// a file.
pub(crate) fn small(folder: &str, files: u32) -> io::Result<String> {
    let folder = Path::new(folder);
    let paths: Vec<_> = (0..files).map(|number| folder.join(format!("{number}"))).collect();
    let content = vec![b'x'; SMALL];
    let before = Instant::now();
    for path in &paths {
        File::create(path)?.write_all(&content)?;
    }
    let wrote = before.elapsed();
    let mut back = vec![0; SMALL];
    let before = Instant::now();
    for path in &paths {
        File::open(path)?.read_exact(&mut back)?;
    }
    let read = before.elapsed();
    if back != content {
        return Err(io::Error::other("other bytes were read than were written"));
    }
    let each = |time: std::time::Duration| time.as_nanos() / u128::from(files.max(1));
    Ok(format!("create+write {}\nopen+read {}\n", each(wrote), each(read)))
}

/// Writes `mib` MiB to a file in pieces, and reads them back; nanoseconds a MiB.
pub(crate) fn stream(path: &str, mib: u32) -> io::Result<String> {
    let piece = vec![b'x'; CHUNK];
    let pieces = u64::from(mib) * (1 << 20) / CHUNK as u64;
    let before = Instant::now();
    let mut file = File::create(path)?;
    for _ in 0..pieces {
        file.write_all(&piece)?;
    }
    drop(file);
    let wrote = before.elapsed();
    let mut back = vec![0; CHUNK];
    let before = Instant::now();
    let mut file = File::open(path)?;
    let mut total = 0;
    loop {
        let read = file.read(&mut back)?;
        if read == 0 {
            break;
        }
        total += read as u64;
    }
    let read = before.elapsed();
    if total != pieces * CHUNK as u64 {
        return Err(io::Error::other("not all that was written was read"));
    }
    fs::remove_file(path)?;
    let each = |time: std::time::Duration| time.as_nanos() / u128::from(mib.max(1));
    Ok(format!("stream-write {}\nstream-read {}\n", each(wrote), each(read)))
}
