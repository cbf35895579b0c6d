//! How the journal's file is made, opened and distrusted.
//!
//! Invariant: a file that is not sound is left as it was found: before the journal was found
//! sound nothing is written to it, and the log gets no content, only zeros behind its own.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::check::Check;
use super::log::{self, Log};
use crate::durable::{remove_if_there, sync_folder};
use crate::rows::StoredRun;
use crate::state::entry;
use crate::{Error, Result, StateDir, schema};

/// Writers exclude each other by the lock. What remains to wait for are the moments in
/// which SQLite itself excludes everyone: recovery, and the last close.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection is used by one thread at a time, and no part of its path may be a link.
const ALWAYS: OpenFlags = OpenFlags::SQLITE_OPEN_NO_MUTEX.union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

/// Makes an empty journal aside and renames it: a file under the final name is whole, so
/// one that is not is damage.
pub(super) fn create(state: &StateDir) -> Result<()> {
    let path = state.journal();
    let log = log::beside(&path);
    if entry(&log)?.is_some() {
        if !log::is_only_zeros(&log).map_err(Error::io("read", &log))? {
            // SQLite would play it into the new file.
            let what = "its log `journal.db-wal` is there, and the journal itself is gone";
            return Err(Error::Damaged { path, what: what.to_owned() });
        }
        // It never said anything, and a new journal is not yet one that has a log.
        remove_if_there(&log).map_err(Error::io("remove", &log))?;
    }
    let new = state.path().join("journal.db.new");
    let initialised = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = Connection::open_with_flags(&new, flags | ALWAYS)?;
        // If this fails the file is thrown away: nothing to roll back.
        connection.pragma_update(None, "journal_mode", "MEMORY")?;
        // All of it is made durable below, at once, before it has its name.
        connection.pragma_update(None, "synchronous", "OFF")?;
        schema::initialise(&mut connection)?;
        // Here it costs nothing; once the file has its name it takes four syncs.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.close().map_err(|(_, error)| error)
    };
    remove_if_there(&new).map_err(Error::io("remove", &new))?;
    initialised().map_err(Error::sqlite("make", &path))?;
    File::open(&new)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&new, &path))
        .and_then(|()| sync_folder(state.path()))
        .map_err(Error::io("make", &path))
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) connection: Connection,
    /// The writer's; `None` for a reader, and when the log is to be left as it is.
    log: Option<Log>,
    /// The check of the file, until its answer was waited for.
    check: Option<Check>,
    /// The run written last, as it stands: only this connection changes it.
    pub(super) stands: Option<StoredRun>,
}

impl Connected {
    /// Opens a journal for looking, if it is there.
    pub(super) fn for_reading(path: &Path) -> Result<Option<Self>> {
        if entry(path)?.is_none() {
            return Ok(None);
        }
        expect_content(path)?;
        let connection = open_for_reading(path)?;
        Ok(Some(Self { connection, log: None, check: None, stands: None }))
    }

    /// Opens a journal for writing: recovered, upgraded, and durable as it is read. Its
    /// check may still go on.
    pub(super) fn for_writing(path: &Path) -> Result<Self> {
        expect_content(path)?;
        let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let failed = |error| Error::sqlite("open", path)(error);
        let found = schema::identify(&connection, path, schema::MIGRATIONS)?;
        let mode = schema::ask(&connection, "PRAGMA journal_mode").map_err(failed)?;
        let is_current = found == schema::latest(schema::MIGRATIONS) && mode == "wal";
        if !is_current {
            // What follows changes the file.
            schema::check(&connection, path)?;
        }
        configure(&connection, path)?;
        let log = settle(&connection, path)?;
        schema::migrate(&mut connection, schema::MIGRATIONS).map_err(failed)?;
        // SQLite does so too when it makes its log, and overlooks a failure.
        sync_folder(path.parent().unwrap_or(path)).map_err(Error::io("sync", path))?;
        let check = is_current.then(|| Check::start(path)).transpose()?;
        Ok(Self { connection, log: Some(log), check, stands: None })
    }

    /// Waits until the file is known to be sound.
    pub(super) fn checked(&mut self) -> Result<()> {
        self.check.take().map_or(Ok(()), Check::wait)
    }

    /// Closes it without copying the log into the journal.
    pub(super) fn leave_as_it_is(mut self) {
        self.log = None;
    }

    /// Copies all of the log into the journal, and blanks it, if nobody is reading from it.
    fn empty(&self, log: &Log) -> rusqlite::Result<()> {
        self.connection.busy_timeout(Duration::ZERO)?;
        let done = checkpoint(&self.connection, "RESTART")?;
        if !done.busy && done.copied == done.frames {
            // If it stays, the next to open the journal finds in it what it finds anyway.
            let _ = log.is_blank().and_then(|blank| if blank { Ok(()) } else { log.blank() });
        }
        Ok(())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        // A journal that was not checked to the end was not written to either.
        if let Some(log) = self.log.take()
            && self.check.is_none()
        {
            // All that was acknowledged is durable in the log, too.
            let _ = self.empty(&log);
        }
    }
}

/// Opens the file without a right to change it.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens the file; closing it leaves the log alone.
fn open(path: &Path, flags: OpenFlags) -> Result<Connection> {
    Connection::open_with_flags(path, flags | ALWAYS)
        .and_then(|connection| {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            distrust(&connection)?;
            Ok(connection)
        })
        .map_err(Error::sqlite("open", path))
}

/// SQLite takes an empty file, or a stump, for a new database; here it lost its content.
fn expect_content(path: &Path) -> Result<()> {
    match entry(path)? {
        // The smallest page there is: no database is shorter.
        Some(found) if found.len() < 512 => {
            let what = format!("it is only {} bytes long", found.len());
            Err(Error::Damaged { path: path.to_owned(), what })
        }
        Some(_) => Ok(()),
        None => Err(Error::io("open", path)(io::ErrorKind::NotFound.into())),
    }
}

/// The file may have been tampered with: its schema may not call what has effects.
fn distrust(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)
}

fn configure(connection: &Connection, path: &Path) -> Result<()> {
    let failed = |error| Error::sqlite("open", path)(error);
    if schema::ask(connection, "PRAGMA journal_mode = WAL").map_err(failed)? != "wal" {
        // The file system has no shared memory, as some network file systems.
        let why = io::ErrorKind::Unsupported.into();
        return Err(Error::io("keep a write-ahead log for", path)(why));
    }
    let set = || {
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        schema::ask_number(connection, "wal_autocheckpoint", log::FRAMES_BEFORE_COPYING)?;
        schema::ask_number(connection, "journal_size_limit", log::KEPT)
    };
    set().map_err(failed)
}

/// Makes the log durable as it is read, and long enough for all that comes.
fn settle(connection: &Connection, path: &Path) -> Result<Log> {
    let failed = |error| Error::sqlite("open", path)(error);
    let settle = || {
        let log = log::beside(path);
        Log::settle(&log).map_err(Error::io("make room in", &log))
    };
    // The first look into the journal makes a log if there is none.
    connection.pragma_query_value(None, "user_version", |_| Ok(())).map_err(failed)?;
    let known = checkpoint(connection, "NOOP").map_err(failed)?;
    let log = settle()?;
    let is_blank = log.is_blank().map_err(Error::io("read the log of", path))?;
    if !is_blank || known.frames == 0 {
        return Ok(log);
    }
    // A reader that was there when the log was blanked still knows of its frames. All are in
    // the journal; but what came behind them would be lost with the header: start it over.
    if known.copied < known.frames {
        let what = "the header of its log `journal.db-wal` is gone".to_owned();
        return Err(Error::Damaged { path: path.to_owned(), what });
    }
    if checkpoint(connection, "TRUNCATE").map_err(failed)?.busy {
        return Err(Error::io("start over the log of", path)(io::ErrorKind::ResourceBusy.into()));
    }
    settle()
}

/// What is known of the log.
struct Checkpoint {
    /// Someone was in the way.
    busy: bool,
    /// How many frames are in it.
    frames: i64,
    /// How many of them are in the journal.
    copied: i64,
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Checkpoint> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(Checkpoint { busy: row.get(0)?, frames: row.get(1)?, copied: row.get(2)? })
    })
}
