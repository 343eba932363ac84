-- Version 2. A round whose survivors are settled can be finished by another process; what follows is deleted with its end.

CREATE TABLE checkpoints (
    round   INTEGER PRIMARY KEY REFERENCES rounds (id),
    content BLOB NOT NULL                 -- who survived, the cohort's public keys, the sum with its masks on
) STRICT;

CREATE TABLE records (
    place   INTEGER PRIMARY KEY,          -- in the order in which they were accepted
    round   INTEGER NOT NULL REFERENCES rounds (id),
    client  BLOB NOT NULL,                -- its pseudonym
    kind    INTEGER NOT NULL,             -- of message: each client says each once
    content BLOB NOT NULL,                -- a signature, or shares that were given back
    UNIQUE (round, client, kind)
) STRICT;

-- Calls that were refused, by reason: counts of all time, of nobody in particular.
CREATE TABLE rejects (
    label TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
