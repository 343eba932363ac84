use std::collections::BTreeSet;

use chorus_protocol::{ClientId, TaskName};
use rusqlite::{Connection, Transaction};

use super::RowError;

/// Notes that these clients are in a sum of the pass that runs. `turn`: of [`chorus_model::Sum::turn`].
pub(crate) fn hear(
    tx: &Transaction<'_>,
    task: &TaskName,
    turn: &str,
    clients: &BTreeSet<ClientId>,
) -> Result<(), RowError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO turns (task, turn, client) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    for client in clients {
        insert.execute((task.as_str(), turn, &client.0[..]))?;
    }
    Ok(())
}

/// Who was heard in the pass that runs.
pub(crate) fn heard(
    connection: &Connection,
    task: &TaskName,
    turn: &str,
) -> Result<BTreeSet<ClientId>, RowError> {
    let mut query =
        connection.prepare_cached("SELECT client FROM turns WHERE task = ?1 AND turn = ?2")?;
    let rows = query.query_map((task.as_str(), turn), |row| Ok(ClientId(row.get(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A new pass begins.
pub(crate) fn begin(tx: &Transaction<'_>, task: &TaskName, turn: &str) -> Result<(), RowError> {
    let change = "DELETE FROM turns WHERE task = ?1 AND turn = ?2";
    tx.execute(change, (task.as_str(), turn))?;
    Ok(())
}

/// Nobody waits for a turn of this task any more.
pub(crate) fn forget(tx: &Transaction<'_>, task: &TaskName) -> Result<(), RowError> {
    tx.execute("DELETE FROM turns WHERE task = ?1", [task.as_str()])?;
    Ok(())
}
