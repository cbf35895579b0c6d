-- Schema 2 of the journal. Released: never edited; a change is a new step beside it.

-- Of each run at most one saved state: what its events before `seq` come to. `sum` is over the
-- other columns and the sum of event `seq` - 1, so it vouches for no other events than those.
CREATE TABLE snapshots (
    run    TEXT    NOT NULL PRIMARY KEY REFERENCES runs (run),
    seq    INTEGER NOT NULL CHECK (seq >= 0),
    format INTEGER NOT NULL CHECK (format BETWEEN 0 AND 4294967295),
    body   BLOB    NOT NULL,
    sum    BLOB    NOT NULL CHECK (length(sum) = 32)
) STRICT;
