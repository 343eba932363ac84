//! Events in and out of the records of their items, as these tests need them.

use chorus_model::{Event, ItemId};

use super::super::{Store, StoreError};
use crate::taste::{Context, ItemRecord, Touch, item_key};

impl Store {
    /// Adds what is not there yet, all or nothing; returns how many were new.
    pub fn add_events(
        &mut self,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<usize, StoreError> {
        self.write(|batch| {
            let mut added = 0;
            for event in events {
                let known = batch.get(&item_key(event.item))?;
                let mut record = known.unwrap_or_else(|| ItemRecord::new(event.item));
                let click = crate::Event::click(event.item, event.at);
                added += usize::from(record.add(Touch::new(&click, None, &Context::default(), 0)));
                batch.put(&record)?;
            }
            Ok(added)
        })
    }

    /// Every event, by item and time.
    pub fn events(&self) -> Result<Vec<Event>, StoreError> {
        let of = |record: ItemRecord| {
            let item: ItemId = record.item;
            let events = record.events.into_iter();
            events.map(move |touch| Event { item, at: touch.at })
        };
        Ok(self.all::<ItemRecord>()?.into_iter().flat_map(of).collect())
    }
}
