//! How the journal's file is made, opened and distrusted.
//!
//! Invariant: a file that is not sound is left as it was found.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::durable::{remove_if_there, sync_folder};
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
    let log = state.path().join("journal.db-wal");
    if entry(&log)?.is_some_and(|found| found.len() > 0) {
        // SQLite would play it into the new file.
        let what = "its log `journal.db-wal` is there, and the journal itself is gone".to_owned();
        return Err(Error::Damaged { path, what });
    }
    let new = state.path().join("journal.db.new");
    let initialised = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = Connection::open_with_flags(&new, flags | ALWAYS)?;
        // If this fails the file is thrown away: nothing to roll back.
        connection.pragma_update(None, "journal_mode", "MEMORY")?;
        schema::initialise(&mut connection)?;
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

/// Opens a journal for writing: recovered, checked, upgraded, and durable as it is read.
pub(super) fn connect(path: &Path) -> Result<Connection> {
    expect_content(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | ALWAYS;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(Error::sqlite("open", path))?;
    let opened = distrust(&connection)
        .map_err(Error::sqlite("open", path))
        .and_then(|()| schema::identify(&connection, path, schema::MIGRATIONS))
        .and_then(|_| schema::check(&connection, path))
        .and_then(|()| configure(&mut connection, path))
        // SQLite does so too when it makes its log, and overlooks a failure.
        .and_then(|()| sync_folder(path.parent().unwrap_or(path)).map_err(Error::io("sync", path)));
    if opened.is_err() {
        leave_as_it_is(&connection);
    }
    opened.map(|()| connection)
}

/// Opens a journal for looking, if it is there.
pub(super) fn connect_read_only(path: &Path) -> Result<Option<Connection>> {
    if entry(path)?.is_none() {
        return Ok(None);
    }
    expect_content(path)?;
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | ALWAYS)
        .and_then(|connection| distrust(&connection).map(|()| connection))
        .map_err(Error::sqlite("open", path))?;
    Ok(Some(connection))
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

fn configure(connection: &mut Connection, path: &Path) -> Result<()> {
    let failed = |error| Error::sqlite("open", path)(error);
    if schema::ask(connection, "PRAGMA journal_mode = WAL").map_err(failed)? != "wal" {
        // The file system has no shared memory, as some network file systems.
        let why = io::ErrorKind::Unsupported.into();
        return Err(Error::io("keep a write-ahead log for", path)(why));
    }
    let mut settled = || {
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        schema::migrate(connection, schema::MIGRATIONS)?;
        // A killed process may have left events in the log that were never synced, or whose
        // sync failed. They are read from here on, so they are made durable first. A reader
        // in the way only keeps the log from being emptied.
        connection.execute_batch("PRAGMA wal_checkpoint(FULL)")
    };
    settled().map_err(failed)
}

/// Makes closing not copy the log into the journal.
pub(super) fn leave_as_it_is(connection: &Connection) {
    // It can only fail on a connection that is already closed.
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}
