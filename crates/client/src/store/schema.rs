use rusqlite::{Connection, TransactionBehavior};

/// "Chor", so that a client's store can be told from any other database.
pub(super) const APPLICATION: i64 = 0x4368_6f72;

/// Each brings the layout from its place in the list to the next number. Those that were released are
/// never changed; a change of the layout is a new one at the end.
pub(super) const MIGRATIONS: [&str; 2] = [
    "
CREATE TABLE events (
    item INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (item, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE enrolment (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seed BLOB NOT NULL CHECK (length(seed) = 32),
    certificate BLOB,
    authority BLOB
) STRICT;
CREATE TABLE charges (
    task TEXT NOT NULL,
    round INTEGER NOT NULL,
    charge TEXT NOT NULL,
    PRIMARY KEY (task, round)
) STRICT, WITHOUT ROWID;
CREATE TABLE standing (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    coordinator BLOB CHECK (length(coordinator) = 32),
    log TEXT,
    last_round TEXT,
    turn INTEGER NOT NULL,
    saved BLOB
) STRICT;
INSERT INTO standing (only, turn) VALUES (1, 0);
CREATE TABLE models (
    task TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    bytes BLOB NOT NULL
) STRICT;
",
    "
CREATE TABLE local_reports (
    round INTEGER PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX local_reports_by_time ON local_reports (at);
",
];

/// The layout that this version writes.
pub(super) fn newest() -> i64 {
    MIGRATIONS.len() as i64
}

/// Brings a store of any known layout to the newest, whole or not at all.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let version = |connection: &Connection| {
        connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
    };
    if version(connection)? >= newest() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again inside: another process may have been faster.
    let from = usize::try_from(version(&transaction)?).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(from) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", newest())?;
    transaction.commit()
}
