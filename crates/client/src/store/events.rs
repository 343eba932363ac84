use chorus_model::{Event, ItemId};

use super::{Store, StoreError};

impl Store {
    /// Adds what is not there yet, all or nothing; returns how many were new.
    pub fn add_events(
        &mut self,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let mut insert = transaction
                .prepare_cached("INSERT OR IGNORE INTO events (item, at) VALUES (?, ?)")?;
            let mut added = 0;
            for event in events {
                added += insert.execute((event.item.0, event.at))?;
            }
            Ok(added)
        })
    }

    /// Every event, by item and time.
    pub fn events(&self) -> Result<Vec<Event>, StoreError> {
        let read = || {
            let mut select = self
                .connection
                .prepare_cached("SELECT item, at FROM events ORDER BY item, at")?;
            let rows = select.query_map([], |row| {
                Ok(Event {
                    item: ItemId(row.get(0)?),
                    at: row.get(1)?,
                })
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(|error| self.fault(error))
    }

    /// How many events there are.
    pub fn count_events(&self) -> Result<u64, StoreError> {
        let count: Result<i64, _> =
            self.connection
                .query_row("SELECT count(*) FROM events", [], |row| row.get(0));
        count
            .map(i64::unsigned_abs)
            .map_err(|error| self.fault(error))
    }
}
