-- Schema 1 of the journal. Released: never edited; a change is a new step beside it.

-- Each plan once, however often it is run. `sum` is the BLAKE3 of `plan`.
CREATE TABLE plans (
    sum  BLOB NOT NULL PRIMARY KEY CHECK (length(sum) = 32),
    plan TEXT NOT NULL CHECK (json_valid(plan))
) STRICT;

-- One row for each run, in the order in which they were begun: where it stands now. It is
-- written with every append, so that lost events are missed. `sum` is over the other columns.
CREATE TABLE runs (
    number       INTEGER PRIMARY KEY,
    run          TEXT    NOT NULL UNIQUE,
    phase_number INTEGER NOT NULL CHECK (phase_number >= 0),
    phase_name   TEXT    NOT NULL,
    plan_digest  TEXT    NOT NULL,
    plan         BLOB    NOT NULL REFERENCES plans (sum),
    started_at   INTEGER NOT NULL,
    events       INTEGER NOT NULL CHECK (events >= 0),         -- how many it has
    head         BLOB    NOT NULL CHECK (length(head) = 32),   -- the sum of the last one
    outcome      TEXT,
    ended_at     INTEGER,
    sum          BLOB    NOT NULL CHECK (length(sum) = 32),
    CHECK ((outcome IS NULL) = (ended_at IS NULL))
) STRICT;

-- What happened, in order. `sum` is over the event and the sum of the one before it.
CREATE TABLE events (
    run   TEXT    NOT NULL REFERENCES runs (run),
    seq   INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    kind  TEXT    NOT NULL CHECK (kind <> ''),
    task  TEXT,
    body  TEXT    NOT NULL CHECK (json_valid(body)),
    sum   BLOB    NOT NULL CHECK (length(sum) = 32),
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER events_continue BEFORE INSERT ON events
WHEN NEW.seq <> (SELECT coalesce(max(seq) + 1, 0) FROM events WHERE run = NEW.run)
BEGIN
    SELECT raise(ABORT, 'events have consecutive numbers');
END;

CREATE TRIGGER events_stay BEFORE UPDATE ON events
BEGIN
    SELECT raise(ABORT, 'events are never changed');
END;

CREATE TRIGGER events_are_kept BEFORE DELETE ON events
BEGIN
    SELECT raise(ABORT, 'events are never removed');
END;
