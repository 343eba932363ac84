-- Version 1. Everything that a restart needs, and nothing of any client but a pseudonym.

-- Numbers that only grow. `round` is the last round id given out.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('round', 0);

CREATE TABLE tasks (
    name     TEXT PRIMARY KEY,
    spec     TEXT NOT NULL,               -- the task as JSON
    guarantee TEXT NOT NULL,              -- what protects its clients, in words: costly to work out anew
    wanted   TEXT NOT NULL,               -- what the operator wants: running | stopped
    state    TEXT NOT NULL,               -- what is: created | running | stopped | finished | budget-exhausted
    reason   TEXT,                        -- why it is so, or what it waits for, in a sentence
    created  INTEGER NOT NULL             -- Unix seconds
) STRICT, WITHOUT ROWID;

-- Client ids are pseudonyms: the first 16 bytes of a digest of the enrolled key.
CREATE TABLE clients (
    id         BLOB PRIMARY KEY,
    first_seen INTEGER NOT NULL,          -- Unix seconds, whole days
    last_seen  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rounds (
    id        INTEGER PRIMARY KEY,
    task      TEXT NOT NULL REFERENCES tasks (name),
    release   TEXT NOT NULL,
    trained   INTEGER NOT NULL,           -- the model version that was trained
    invited   INTEGER NOT NULL,
    state     TEXT NOT NULL,              -- running | completed | aborted
    masked    INTEGER NOT NULL DEFAULT 0, -- 1 once clients were told to mask: they count the release as contributed
    published INTEGER,                    -- the version that its sum led to
    report    TEXT,                       -- RoundReport as JSON, once it ended
    began     INTEGER NOT NULL,           -- Unix seconds
    ended     INTEGER
) STRICT;
CREATE INDEX rounds_of_task ON rounds (task, id);
CREATE INDEX rounds_running ON rounds (state) WHERE state = 'running';

CREATE TABLE models (
    task       TEXT NOT NULL REFERENCES tasks (name),
    version    INTEGER NOT NULL,
    digest     BLOB NOT NULL,             -- SHA-256 of `parameters`
    parameters BLOB,                      -- safetensors; NULL once an old version was dropped
    state      BLOB,                      -- safetensors: what the server step remembers
    next_sum   INTEGER NOT NULL,          -- the sum that learning goes on with
    origin     TEXT NOT NULL,             -- start | round | rollback
    published  INTEGER NOT NULL,          -- Unix seconds
    PRIMARY KEY (task, version)
) STRICT;
CREATE INDEX models_by_digest ON models (digest);

-- The model log, append-only.
CREATE TABLE log (
    place     INTEGER PRIMARY KEY,        -- from 0, without gaps
    entry     BLOB NOT NULL,              -- LogEntry as JSON
    signature BLOB NOT NULL,
    digest    BLOB NOT NULL               -- what the next entry names as its predecessor
) STRICT;

-- What was revealed, or may have been.
CREATE TABLE budget (
    task    TEXT NOT NULL REFERENCES tasks (name),
    release TEXT NOT NULL,
    round   INTEGER NOT NULL REFERENCES rounds (id),
    cost    TEXT,                         -- Release as JSON; NULL without noise
    PRIMARY KEY (task, release, round)
) STRICT, WITHOUT ROWID;

-- The last list of revoked certificates that the authority signed.
CREATE TABLE revocations (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    list      BLOB NOT NULL,
    signature BLOB NOT NULL,
    fetched   INTEGER NOT NULL            -- Unix seconds
) STRICT;
