//! What a witness remembers: SQLite, in write-ahead mode, on the disk before anything is answered.

use std::{fs::OpenOptions, path::Path, time::Duration};

use chorus_protocol::{Digest, RoundId};
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use crate::{Refusal, WitnessError, directory::sync_folder};

/// So many rounds of each coordinator are remembered, the highest numbers. Of the others one number is kept: everything
/// up to it is refused, so that to forget is to refuse.
pub const REMEMBERED: u32 = 4096;

/// Layout of the tables, kept in `user_version`.
const LAYOUT: i64 = 1;

/// Numbers of rounds are big-endian, 8 bytes: they sort as the numbers do, up to the last one.
const TABLES: &str = "
    CREATE TABLE owner (
        number INTEGER PRIMARY KEY CHECK (number = 1),
        key BLOB NOT NULL                       -- the public key that signs what is in here
    ) STRICT;
    CREATE TABLE certificate (
        number INTEGER PRIMARY KEY,
        der BLOB NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE coordinator (
        key BLOB PRIMARY KEY,
        over BLOB,                              -- rounds up to this one are refused
        other_commitments INTEGER NOT NULL DEFAULT 0,
        other_statements INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE round (
        coordinator BLOB NOT NULL REFERENCES coordinator (key),
        round BLOB NOT NULL CHECK (length(round) = 8),
        commitment BLOB NOT NULL,
        randomness BLOB NOT NULL,
        drawn_with INTEGER NOT NULL REFERENCES certificate (number),
        statement BLOB,
        signed_with INTEGER REFERENCES certificate (number),
        PRIMARY KEY (coordinator, round)
    ) STRICT, WITHOUT ROWID;
";

/// What was drawn for a round, and the certificate that was shown with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drawn {
    pub randomness: [u8; 32],
    pub certificate: Vec<u8>,
}

/// What is known of one coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub key: [u8; 32],
    pub rounds: u64,
    pub signed: u64,
    pub newest: Option<u64>,
    pub over: Option<u64>,
    pub other_commitments: u64,
    pub other_statements: u64,
}

pub(crate) struct Store {
    connection: Connection,
    remembered: u32,
}

impl Store {
    /// Makes the empty memory of a new witness. An existing one is never written over.
    pub fn create(path: &Path) -> Result<(), WitnessError> {
        let fault = |error: std::io::Error| WitnessError::File {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map_err(fault)?;
        let mut connection = connect(path)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", LAYOUT)?;
        transaction.commit()?;
        drop(connection);
        sync_folder(path).map_err(fault)
    }

    /// Opens the memory, which must be there: one that is made anew would know of nothing.
    pub fn open(path: &Path) -> Result<Self, WitnessError> {
        if !path.exists() {
            return Err(WitnessError::Forgotten {
                path: path.to_owned(),
            });
        }
        let connection = connect(path)?;
        let layout = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if layout != LAYOUT {
            return Err(WitnessError::Layout {
                path: path.to_owned(),
                layout,
            });
        }
        Ok(Self {
            connection,
            remembered: REMEMBERED,
        })
    }

    /// The same with another number of remembered rounds.
    #[cfg(test)]
    pub fn remembering(self, remembered: u32) -> Self {
        Self { remembered, ..self }
    }

    /// Makes this the memory of `key` for ever. False when it is that of another one.
    pub fn belongs_to(&mut self, key: &[u8; 32]) -> Result<bool, WitnessError> {
        let transaction = self.begin()?;
        transaction.execute(
            "INSERT INTO owner (number, key) VALUES (1, ?1) ON CONFLICT DO NOTHING",
            [key],
        )?;
        let owner: [u8; 32] =
            transaction.query_row("SELECT key FROM owner", [], |row| row.get(0))?;
        transaction.commit()?;
        Ok(owner == *key)
    }

    /// Whose memory this is; nobody's yet before the first enrolment.
    pub fn owner(&self) -> Result<Option<[u8; 32]>, WitnessError> {
        let owner = self
            .connection
            .query_row("SELECT key FROM owner", [], |row| row.get(0));
        Ok(owner.optional()?)
    }

    /// What was drawn for these keys of this round; `draw` makes it when nothing was.
    pub fn draw(
        &mut self,
        coordinator: &[u8; 32],
        round: RoundId,
        commitment: &Digest,
        draw: impl FnOnce() -> Result<Drawn, WitnessError>,
    ) -> Result<Drawn, WitnessError> {
        let remembered = self.remembered;
        let transaction = self.begin()?;
        let number = round.0.to_be_bytes();
        let known: Option<([u8; 32], Drawn)> = transaction
            .query_row(
                "SELECT commitment, randomness, der FROM round JOIN certificate ON number = drawn_with
                 WHERE coordinator = ?1 AND round = ?2",
                params![coordinator, number],
                |row| {
                    let (randomness, certificate) = (row.get(1)?, row.get(2)?);
                    Ok((row.get(0)?, Drawn { randomness, certificate }))
                },
            )
            .optional()?;
        match known {
            Some((before, drawn)) if before == commitment.0 => return Ok(drawn),
            Some(_) => return refuse(transaction, coordinator, Refusal::OtherCommitment),
            None => {}
        }
        transaction.execute(
            "INSERT INTO coordinator (key) VALUES (?1) ON CONFLICT DO NOTHING",
            [coordinator],
        )?;
        make_room(&transaction, coordinator, remembered)?;
        if let Some(through) = over(&transaction, coordinator)?
            && round.0 <= through
        {
            // Nothing was done: what had to make room stays.
            return Err(Refusal::Over { through }.into());
        }
        let drawn = draw()?;
        let certificate = keep_certificate(&transaction, &drawn.certificate)?;
        transaction.execute(
            "INSERT INTO round (coordinator, round, commitment, randomness, drawn_with) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![coordinator, number, commitment.0, drawn.randomness, certificate],
        )?;
        transaction.commit()?;
        Ok(drawn)
    }

    /// Remembers that this is the statement of this round. Gives the certificate that is shown with its signature:
    /// `certificate` when it is new.
    pub fn sign(
        &mut self,
        coordinator: &[u8; 32],
        round: RoundId,
        statement: &Digest,
        certificate: &[u8],
    ) -> Result<Vec<u8>, WitnessError> {
        let transaction = self.begin()?;
        let number = round.0.to_be_bytes();
        let known = transaction
            .query_row(
                "SELECT statement, der FROM round LEFT JOIN certificate ON number = signed_with
                 WHERE coordinator = ?1 AND round = ?2",
                params![coordinator, number],
                |row| Ok((row.get::<_, Option<[u8; 32]>>(0)?, row.get(1)?)),
            )
            .optional()?;
        match known {
            None => {
                let refusal = match over(&transaction, coordinator)? {
                    Some(through) if round.0 <= through => Refusal::Over { through },
                    _ => Refusal::NotDrawn,
                };
                return Err(refusal.into());
            }
            Some((Some(before), Some(shown))) if before == statement.0 => return Ok(shown),
            Some((None, None)) => {}
            Some(_) => return refuse(transaction, coordinator, Refusal::OtherStatement),
        }
        let shown = keep_certificate(&transaction, certificate)?;
        transaction.execute(
            "UPDATE round SET statement = ?3, signed_with = ?4 WHERE coordinator = ?1 AND round = ?2",
            params![coordinator, number, statement.0, shown],
        )?;
        transaction.commit()?;
        Ok(certificate.to_vec())
    }

    /// What is known of every coordinator.
    pub fn records(&self) -> Result<Vec<Record>, WitnessError> {
        let mut select = self.connection.prepare(
            "SELECT key, over, other_commitments, other_statements, COUNT(round), COUNT(statement), MAX(round)
             FROM coordinator LEFT JOIN round ON coordinator = key GROUP BY key ORDER BY key",
        )?;
        let rows = select.query_map([], |row| {
            let number = |bytes: Option<[u8; 8]>| bytes.map(u64::from_be_bytes);
            let count = |place: usize| row.get(place).map(i64::unsigned_abs);
            Ok(Record {
                key: row.get(0)?,
                over: number(row.get(1)?),
                other_commitments: count(2)?,
                other_statements: count(3)?,
                rounds: count(4)?,
                signed: count(5)?,
                newest: number(row.get(6)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One writer at a time, also where two processes have the file.
    fn begin(&mut self) -> Result<Transaction<'_>, WitnessError> {
        Ok(self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?)
    }
}

/// A connection whose commits are on the disk when they return.
fn connect(path: &Path) -> Result<Connection, WitnessError> {
    // Without the flag to create: whoever took the file away meanwhile must not get an empty memory.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // FULL syncs the log at every commit; without it, the last commits could be lost with the power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Where the system's sync leaves data in the disk's cache, ask for the stronger one.
    connection.pragma_update(None, "fullfsync", "ON")?;
    connection.pragma_update(None, "checkpoint_fullfsync", "ON")?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if mode != "wal" || synchronous != 2 {
        let found = format!("journal mode `{mode}`, synchronous {synchronous}");
        return Err(WitnessError::Unsafe(found));
    }
    Ok(connection)
}

/// Forgets the lowest rounds of a coordinator that has as many as are remembered, and refuses them from now on.
fn make_room(
    transaction: &Transaction<'_>,
    coordinator: &[u8; 32],
    remembered: u32,
) -> Result<(), WitnessError> {
    // The round below which nothing stays once one more comes.
    let last: Option<[u8; 8]> = transaction
        .query_row(
            "SELECT round FROM round WHERE coordinator = ?1 ORDER BY round DESC LIMIT 1 OFFSET ?2",
            params![coordinator, remembered.saturating_sub(1)],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(last) = last {
        transaction.execute(
            "UPDATE coordinator SET over = ?2 WHERE key = ?1 AND (over IS NULL OR over < ?2)",
            params![coordinator, last],
        )?;
        transaction.execute(
            "DELETE FROM round WHERE coordinator = ?1 AND round <= ?2",
            params![coordinator, last],
        )?;
    }
    Ok(())
}

/// The last round of a coordinator that is over.
fn over(
    transaction: &Transaction<'_>,
    coordinator: &[u8; 32],
) -> Result<Option<u64>, WitnessError> {
    let over: Option<Option<[u8; 8]>> = transaction
        .query_row(
            "SELECT over FROM coordinator WHERE key = ?1",
            [coordinator],
            |row| row.get(0),
        )
        .optional()?;
    Ok(over.flatten().map(u64::from_be_bytes))
}

fn keep_certificate(transaction: &Transaction<'_>, der: &[u8]) -> Result<i64, WitnessError> {
    transaction.execute(
        "INSERT INTO certificate (der) VALUES (?1) ON CONFLICT DO NOTHING",
        [der],
    )?;
    Ok(transaction.query_row(
        "SELECT number FROM certificate WHERE der = ?1",
        [der],
        |row| row.get(0),
    )?)
}

/// Refuses a second answer, and counts it: an honest coordinator never asks for one.
fn refuse<T>(
    transaction: Transaction<'_>,
    coordinator: &[u8; 32],
    refusal: Refusal,
) -> Result<T, WitnessError> {
    let column = match refusal {
        Refusal::OtherCommitment => "other_commitments",
        _ => "other_statements",
    };
    transaction.execute(
        &format!("UPDATE coordinator SET {column} = {column} + 1 WHERE key = ?1"),
        [coordinator],
    )?;
    transaction.commit()?;
    Err(refusal.into())
}

#[cfg(test)]
mod tests;
