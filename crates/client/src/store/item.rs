use std::collections::BTreeMap;

use chorus_model::{Event, ItemId};
use serde::{Deserialize, Serialize};

use super::{Kind, Record, Store, StoreError};

/// Everything that is kept about one item of the history.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// Its number.
    pub item: ItemId,
    /// What the person did with it, by time.
    #[serde(default)]
    pub raw: Vec<Raw>,
}

/// One event, but for its item.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Raw {
    /// Seconds since 1970 UTC.
    pub at: i64,
}

impl Item {
    /// The key of the record of an item: `all` gives the items by number.
    pub fn key_of(item: ItemId) -> String {
        format!("{:010}", item.0)
    }

    /// False when it was there already.
    pub fn add(&mut self, raw: Raw) -> bool {
        match self.raw.binary_search_by_key(&raw.at, |known| known.at) {
            Ok(_) => false,
            Err(place) => {
                self.raw.insert(place, raw);
                true
            }
        }
    }
}

impl Record for Item {
    const KIND: Kind = Kind::Item;

    fn key(&self) -> String {
        Item::key_of(self.item)
    }
}

impl Store {
    /// Adds what is not there yet, all or nothing; returns how many were new.
    pub fn add_events(
        &mut self,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<usize, StoreError> {
        let mut by_item: BTreeMap<ItemId, Vec<Raw>> = BTreeMap::new();
        for event in events {
            let raw = by_item.entry(event.item).or_default();
            raw.push(Raw { at: event.at });
        }
        self.write(|batch| {
            let mut added = 0;
            for (item, raw) in by_item {
                let known = batch.get::<Item>(&Item::key_of(item))?;
                let mut record = known.unwrap_or(Item {
                    item,
                    raw: Vec::new(),
                });
                let new = raw.into_iter().filter(|raw| record.add(raw.clone()));
                let new = new.count();
                if new > 0 {
                    batch.put(&record)?;
                }
                added += new;
            }
            Ok(added)
        })
    }

    /// Every event, by item and time.
    pub fn events(&self) -> Result<Vec<Event>, StoreError> {
        let items = self.all::<Item>()?.into_iter();
        let events = items.flat_map(|record| {
            let item = record.item;
            let events = record.raw.into_iter();
            events.map(move |raw| Event { item, at: raw.at })
        });
        Ok(events.collect())
    }

    /// How many events there are.
    pub fn count_events(&self) -> Result<u64, StoreError> {
        let items = self.all::<Item>()?.into_iter();
        Ok(items.map(|item| item.raw.len() as u64).sum())
    }
}
