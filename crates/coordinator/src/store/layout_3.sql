-- Version 3. Who was heard in the pass over the clients that runs, so that nobody is heard twice in it; deleted when the next
-- one begins. Ordered by pseudonym: nothing says in which round of the pass it was.

CREATE TABLE turns (
    task   TEXT NOT NULL REFERENCES tasks (name),
    turn   TEXT NOT NULL,                 -- the sums that take turns together
    client BLOB NOT NULL,                 -- its pseudonym
    PRIMARY KEY (task, turn, client)
) STRICT, WITHOUT ROWID;
