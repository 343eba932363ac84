//! Layouts 1 and 2, which were not sealed: carried over into records.

use std::path::Path;

use chorus_model::ItemId;
use chorus_protocol::{Charge, RoundId, TaskName};
use rusqlite::{Connection, OptionalExtension, Row};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::enrolment::{Enrolled, Enrolment};
use super::fault::{damaged, fault};
use super::rounds::{LocalReport, Standing, Turn};
use super::vault::awaited_id;
use super::{StoreError, StoredModel, View};
use crate::keys::Key;
use crate::taste::{Context, Event, ItemRecord, Touch};

/// Notes in a plain store which key it is about to be sealed under: the key store has it before the store is sealed, and a process can
/// end in between.
pub(super) fn await_key(connection: &Connection, path: &Path, key: &Key) -> Result<(), StoreError> {
    let note = || {
        connection
            .execute_batch("DROP TABLE IF EXISTS awaited; CREATE TABLE awaited (key BLOB)")?;
        connection.execute("INSERT INTO awaited VALUES (?)", [awaited_id(key)])
    };
    note().map_err(|error| fault(path, error)).map(drop)
}

/// Whether a plain store is about to be sealed under this key. Only who knows the key could have noted it.
pub(super) fn awaits(connection: &Connection, path: &Path, key: &Key) -> Result<bool, StoreError> {
    let find = || {
        let is_there = "SELECT 1 FROM sqlite_schema WHERE name = 'awaited'";
        if !connection.prepare(is_there)?.exists([])? {
            return Ok(false);
        }
        let mut select = connection.prepare("SELECT 1 FROM awaited WHERE key = ?")?;
        select.exists([awaited_id(key)])
    };
    find().map_err(|error| fault(path, error))
}

/// Puts everything that the tables of layout 2 hold into records, and drops the tables; what is dropped is overwritten.
pub(super) fn carry_over(view: &View<'_>) -> Result<(), StoreError> {
    items(view)?;
    enrolment(view)?;
    standing(view)?;
    for charge in rows(view, "SELECT charge FROM charges", |row| {
        row.get::<_, String>(0)
    })? {
        view.put(&parse::<Charge>(view, &charge)?)?;
    }
    let reports = "SELECT round, at FROM local_reports";
    for (round, at) in rows(view, reports, |row| {
        Ok((row.get::<_, i64>(0)?, row.get(1)?))
    })? {
        let round = RoundId(round.cast_unsigned());
        view.put(&LocalReport { round, at })?;
    }
    models(view)?;
    let drop = "DROP TABLE events; DROP TABLE enrolment; DROP TABLE charges; DROP TABLE standing;
                DROP TABLE models; DROP TABLE local_reports; DROP TABLE IF EXISTS awaited;";
    let dropped = view.connection.execute_batch(drop);
    dropped.map_err(|error| fault(view.path, error))
}

fn items(view: &View<'_>) -> Result<(), StoreError> {
    let events = "SELECT item, at FROM events ORDER BY item, at";
    let mut current: Option<ItemRecord> = None;
    for (number, at) in rows(view, events, |row| Ok((row.get(0)?, row.get(1)?)))? {
        let item = ItemId(number);
        // On which day it was recorded nobody knows: it is kept from the first tidying on.
        let touch = Touch::new(&Event::click(item, at), None, &Context::default(), 0);
        let mut record = match current.take() {
            Some(record) if record.item == item => record,
            other => {
                if let Some(done) = other {
                    view.put(&done)?;
                }
                ItemRecord::new(item)
            }
        };
        record.add(touch);
        current = Some(record);
    }
    current.map_or(Ok(()), |last| view.put(&last))
}

fn enrolment(view: &View<'_>) -> Result<(), StoreError> {
    type Found = (Zeroizing<[u8; 32]>, Option<Vec<u8>>, Option<Vec<u8>>);
    let select = "SELECT seed, certificate, authority FROM enrolment";
    let found = rows(view, select, |row| -> rusqlite::Result<Found> {
        Ok((row.get(0).map(Zeroizing::new)?, row.get(1)?, row.get(2)?))
    })?;
    for (seed, certificate, authority) in found {
        let enrolled = certificate
            .zip(authority)
            .map(|(certificate, authority)| Enrolled {
                certificate,
                authority,
            });
        view.put(&Enrolment {
            seed: *seed,
            enrolled,
        })?;
    }
    Ok(())
}

fn standing(view: &View<'_>) -> Result<(), StoreError> {
    type Found = (
        Option<[u8; 32]>,
        Option<String>,
        Option<String>,
        i64,
        Option<Vec<u8>>,
    );
    let select = "SELECT coordinator, log, last_round, turn, saved FROM standing";
    let found = view
        .connection
        .query_row(select, [], |row| -> rusqlite::Result<Found> {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        });
    let found = found.optional().map_err(|error| fault(view.path, error))?;
    let Some((coordinator, log, last_round, turn, saved)) = found else {
        return Err(damaged(view.path, "it does not say where it stands"));
    };
    let log = log.map(|log| parse(view, &log)).transpose()?;
    let last_round = last_round.map(|round| parse(view, &round)).transpose()?;
    view.put(&Standing {
        coordinator,
        log: log.unwrap_or_default(),
        last_round,
        turn: Turn(turn),
        saved: saved.map(Zeroizing::new),
    })
}

fn models(view: &View<'_>) -> Result<(), StoreError> {
    let select = "SELECT task, version, bytes FROM models";
    let found = rows(view, select, |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get(2)?))
    })?;
    for (task, version, bytes) in found {
        let task = TaskName::try_from(task).map_err(|error| damaged(view.path, error))?;
        let version = version.cast_unsigned();
        view.put(&StoredModel {
            task,
            version,
            bytes,
        })?;
    }
    Ok(())
}

fn rows<T>(
    view: &View<'_>,
    select: &str,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let read = || {
        let mut select = view.connection.prepare(select)?;
        let rows = select.query_map([], row)?;
        rows.collect::<rusqlite::Result<Vec<T>>>()
    };
    read().map_err(|error| fault(view.path, error))
}

fn parse<T: DeserializeOwned>(view: &View<'_>, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| damaged(view.path, error))
}
