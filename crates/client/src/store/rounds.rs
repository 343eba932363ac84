use chorus_protocol::{Charge, LogView, RoundId, TaskName};
use rusqlite::Transaction;
use serde::{Serialize, de::DeserializeOwned};

use super::{Store, StoreError, StoredModel, fault, models, unchanged_elsewhere};

/// Counts every write of the saved round. Who wants to write must know the last number, so that of two
/// processes that took up the same round only one goes on: a client answers once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn(i64);

/// Everything that changes with one step of a round.
pub(crate) struct Progress<'a> {
    /// The round, which is never joined again.
    pub round: RoundId,
    /// The participation at rest; nothing when it is over.
    pub saved: Option<&'a [u8]>,
    /// What the round cost, from the moment it cost something.
    pub charge: Option<&'a Charge>,
    /// How far the model log was followed before and after, if it was.
    pub log: Option<(&'a LogView, &'a LogView)>,
    /// A model that was accepted in this step.
    pub model: Option<(&'a TaskName, &'a StoredModel)>,
}

impl Store {
    /// The round that was under way, and the number that its next write must name.
    pub fn saved(&self) -> Result<(Turn, Option<Vec<u8>>), StoreError> {
        self.connection
            .query_row("SELECT turn, saved FROM standing", [], |row| {
                Ok((Turn(row.get(0)?), row.get(1)?))
            })
            .map_err(|error| self.fault(error))
    }

    /// Writes everything that a step changed, at once or not at all.
    pub fn advance(&mut self, turn: Turn, progress: &Progress<'_>) -> Result<Turn, StoreError> {
        let log = match progress.log {
            Some((before, after)) => Some((self.log_json(before)?, self.log_json(after)?)),
            None => None,
        };
        let charge = match progress.charge {
            Some(charge) => Some((charge, self.json(charge)?)),
            None => None,
        };
        let next = Turn(turn.0.wrapping_add(1));
        let last_round = self
            .last_round()?
            .map_or(progress.round, |last| last.max(progress.round));
        self.write(|transaction| {
            unchanged_elsewhere(transaction.execute(
                "UPDATE standing SET turn = ?, saved = ?, last_round = ? WHERE turn = ?",
                (next.0, progress.saved, last_round.0.to_string(), turn.0),
            )?)?;
            if let Some((before, after)) = &log {
                put_log(transaction, before.as_deref(), after.as_deref())?;
            }
            if let Some((charge, json)) = &charge {
                transaction.execute(
                    "INSERT OR IGNORE INTO charges (task, round, charge) VALUES (?, ?, ?)",
                    (charge.task.as_str(), charge.round.0.cast_signed(), json),
                )?;
            }
            if let Some((task, model)) = progress.model {
                models::put(transaction, task, model)?;
            }
            Ok(next)
        })
    }

    /// Forgets the round that was under way.
    pub fn drop_saved(&mut self, turn: Turn) -> Result<Turn, StoreError> {
        let next = Turn(turn.0.wrapping_add(1));
        self.write(|transaction| {
            let drop = "UPDATE standing SET turn = ?, saved = NULL WHERE turn = ?";
            unchanged_elsewhere(transaction.execute(drop, (next.0, turn.0))?)?;
            Ok(next)
        })
    }

    /// The privacy ledger: one line for each contribution, whatever became of its round.
    pub fn charges(&self) -> Result<Vec<Charge>, StoreError> {
        let read = || {
            let mut select = self
                .connection
                .prepare_cached("SELECT charge FROM charges ORDER BY task, round")?;
            let rows = select.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        let rows = read().map_err(|error| self.fault(error))?;
        rows.iter().map(|json| self.parse(json)).collect()
    }

    /// Counts a round whose report is private by itself against the day, before anything is sent for it.
    pub fn put_local(&mut self, round: RoundId, now: i64) -> Result<(), StoreError> {
        self.write(|transaction| {
            let put = "INSERT OR IGNORE INTO local_reports (round, at) VALUES (?, ?)";
            transaction.execute(put, (round.0.cast_signed(), now))?;
            Ok(())
        })
    }

    /// Such rounds from `then` on (seconds since 1970 UTC). Those of a clock that was ahead count too.
    pub fn local_since(&self, then: i64) -> Result<usize, StoreError> {
        let count = "SELECT count(*) FROM local_reports WHERE at >= ?";
        let found: i64 = self
            .connection
            .query_row(count, [then], |row| row.get(0))
            .map_err(|error| self.fault(error))?;
        Ok(usize::try_from(found).unwrap_or(usize::MAX))
    }

    /// The last round that was joined.
    pub fn last_round(&self) -> Result<Option<RoundId>, StoreError> {
        let round: Option<String> = self.standing("last_round")?;
        round.map(|round| self.parse(&round)).transpose()
    }

    /// The model log as far as it was followed.
    pub fn log(&self) -> Result<LogView, StoreError> {
        let log: Option<String> = self.standing("log")?;
        log.map_or_else(|| Ok(LogView::default()), |log| self.parse(&log))
    }

    /// Keeps how far the model log was followed from `before`.
    pub fn put_log(&mut self, before: &LogView, after: &LogView) -> Result<(), StoreError> {
        let (before, after) = (self.log_json(before)?, self.log_json(after)?);
        self.write(|transaction| put_log(transaction, before.as_deref(), after.as_deref()))
    }

    /// A log as the table has it: nothing before the first entry.
    fn log_json(&self, log: &LogView) -> Result<Option<String>, StoreError> {
        if *log == LogView::default() {
            return Ok(None);
        }
        self.json(log).map(Some)
    }

    fn json(&self, value: &impl Serialize) -> Result<String, StoreError> {
        serde_json::to_string(value).map_err(|error| super::unusable(&self.path, &error))
    }

    /// The key of the coordinator that this client met first.
    pub fn coordinator(&self) -> Result<Option<[u8; 32]>, StoreError> {
        self.standing("coordinator")
    }

    /// Pins a coordinator's key; one that is pinned already stays.
    pub fn pin_coordinator(&mut self, key: &[u8; 32]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let pin = "UPDATE standing SET coordinator = ? WHERE coordinator IS NULL";
            transaction.execute(pin, [key]).map(drop)
        })
    }

    fn standing<T: rusqlite::types::FromSql>(&self, column: &str) -> Result<T, StoreError> {
        let read = || {
            let mut select = self
                .connection
                .prepare_cached(&format!("SELECT {column} FROM standing"))?;
            select.query_row([], |row| row.get(0))
        };
        read().map_err(|error| fault(&self.path, error))
    }

    fn parse<T: DeserializeOwned>(&self, json: &str) -> Result<T, StoreError> {
        serde_json::from_str(json).map_err(|error| self.damaged(error))
    }
}

/// Written only over the view that it continues: two views that grew apart could hide a fork.
fn put_log(
    transaction: &Transaction<'_>,
    before: Option<&str>,
    after: Option<&str>,
) -> rusqlite::Result<()> {
    let follow = "UPDATE standing SET log = ? WHERE log IS ?";
    unchanged_elsewhere(transaction.execute(follow, (after, before))?)
}
