//! The journal's file: its tables, their versions, and how it is known to be sound.
//!
//! Invariant: a file is changed only after it was found to be ours, of a version we
//! know, and sound.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::{Error, Result};

/// `idmb`, in the file's header: what `file(1)` and we know a journal by.
const APPLICATION_ID: i32 = 0x6964_6D62;

/// The steps from an empty file to the latest schema. Step n makes version n + 1; a step
/// that was once released is never edited.
pub(crate) const MIGRATIONS: &[&str] =
    &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// Takes an empty file and makes it a journal.
pub(crate) fn initialise(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    migrate(connection, MIGRATIONS)
}

/// The schema version of a file that is ours and not from the future.
pub(crate) fn identify(connection: &Connection, path: &Path, known: &[&str]) -> Result<u32> {
    let header = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
            .map_err(Error::sqlite("read the header of", path))
    };
    let id = header("application_id")?;
    if id != APPLICATION_ID {
        return Err(Error::NotAJournal { path: path.to_owned(), found: id });
    }
    let known = latest(known);
    match u32::try_from(header("user_version")?) {
        Ok(found) if found > known => {
            Err(Error::NewerSchema { path: path.to_owned(), found, known })
        }
        Ok(found) if found > 0 => Ok(found),
        // A journal gets its name only after its version.
        _ => Err(Error::Damaged {
            path: path.to_owned(),
            what: "its header has no schema version".to_owned(),
        }),
    }
}

/// The version that `migrations` lead to.
pub(crate) fn latest(migrations: &[&str]) -> u32 {
    u32::try_from(migrations.len()).unwrap_or(u32::MAX)
}

/// Takes the file to the version that `migrations` lead to, each step whole or not at all.
pub(crate) fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (version, step) in (1..=latest(migrations)).zip(migrations) {
        if version > found {
            let step_taken =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            step_taken.execute_batch(step)?;
            step_taken.pragma_update(None, "user_version", version)?;
            step_taken.commit()?;
        }
    }
    Ok(())
}

/// Refuses a file whose structure is broken.
///
/// The values themselves have their own sums, which reading checks: here SQLite's check
/// constraints (parsing all JSON) would cost much and add nothing.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<()> {
    let check = || {
        connection.pragma_update(None, "ignore_check_constraints", true)?;
        let mut answer = ask(connection, "PRAGMA quick_check(1)")?;
        if answer == "ok" {
            // Thorough, about the little table that all reading starts from.
            answer = ask(connection, "PRAGMA integrity_check(runs)")?;
        }
        connection.pragma_update(None, "ignore_check_constraints", false)?;
        Ok(answer)
    };
    match check().map_err(Error::sqlite("check", path))? {
        answer if answer == "ok" => Ok(()),
        what => Err(Error::Damaged { path: path.to_owned(), what }),
    }
}

/// The first word of the answer to a pragma that does something, when it has done it.
///
/// `query_row` would stop at the answer: what fails after it, such as the commit of a new
/// journal mode, would go unnoticed.
pub(crate) fn ask(connection: &Connection, pragma: &str) -> rusqlite::Result<String> {
    let mut statement = connection.prepare(pragma)?;
    let answers = statement.query_map([], |row| row.get(0))?;
    let answers: Vec<String> = answers.collect::<rusqlite::Result<_>>()?;
    answers.into_iter().next().ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// Sets a pragma that answers with the number it was set to.
pub(crate) fn ask_number(connection: &Connection, name: &str, value: u64) -> rusqlite::Result<()> {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    connection.pragma_update_and_check(None, name, value, |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: &str = "ALTER TABLE runs ADD COLUMN note TEXT; UPDATE runs SET note = 'old'";

    fn version(connection: &Connection) -> u32 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    fn first_version() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS[..1]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO plans VALUES (zeroblob(32), '{}');
                 INSERT INTO runs VALUES (1, 'phase-1-r1', 1, 'a', 'x', zeroblob(32), 0,
                                          0, zeroblob(32), NULL, NULL, zeroblob(32))",
            )
            .unwrap();
        connection
    }

    #[test]
    fn an_upgrade_keeps_what_is_there_and_takes_each_step_once() {
        let mut connection = first_version();
        let migrations = [MIGRATIONS[0], NEXT];
        migrate(&mut connection, &migrations).unwrap();
        migrate(&mut connection, &migrations).unwrap();
        assert_eq!(version(&connection), 2);
        let (run, note): (String, String) = connection
            .query_row("SELECT run, note FROM runs", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!((run.as_str(), note.as_str()), ("phase-1-r1", "old"));
    }

    #[test]
    fn a_failed_upgrade_changes_nothing() {
        let mut connection = first_version();
        let broken = format!("{NEXT}; SELECT nonsense FROM runs");
        migrate(&mut connection, &[MIGRATIONS[0], &broken]).unwrap_err();
        assert_eq!(version(&connection), 1);
        connection.execute("SELECT note FROM runs", []).unwrap_err();
    }

    #[test]
    fn the_database_itself_keeps_events_in_order_and_for_good() {
        let connection = first_version();
        let insert = |seq: i64| {
            connection.execute(
                "INSERT INTO events VALUES ('phase-1-r1', ?1, 0, 'k', NULL, '{}', zeroblob(32))",
                [seq],
            )
        };
        insert(1).unwrap_err();
        insert(0).unwrap();
        insert(0).unwrap_err();
        insert(2).unwrap_err();
        insert(1).unwrap();
        connection.execute("UPDATE events SET kind = 'other'", []).unwrap_err();
        connection.execute("DELETE FROM events WHERE seq = 1", []).unwrap_err();
    }
}
