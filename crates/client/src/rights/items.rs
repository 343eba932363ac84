use chorus_model::ItemId;
use serde::Serialize;

use crate::taste::{ItemRecord, UNIT};
use crate::{Category, Client, Error, Event, EventKind};

/// One item of the history, as a person's screen shows it.
///
/// # Privacy
/// For this person's screen alone.
#[derive(Clone, Serialize)]
pub struct KeptItem {
    /// The item.
    pub item: ItemId,
    /// What was done and how often, what was folded included.
    pub kinds: Vec<(EventKind, u32)>,
    /// The events that can still be corrected one by one, the oldest first.
    pub events: Vec<Event>,
    /// When the last of it was done, seconds since 1970 UTC; of what was folded, the beginning of its day.
    pub last: i64,
    /// Whether lists and learning may use it: it is not muted, and what it needs is granted.
    pub used: bool,
}

impl Client {
    /// The history item by item, the last touched first.
    ///
    /// # Errors
    /// When the store cannot be read.
    ///
    /// # Privacy
    /// Stays on the device.
    pub fn items(&self) -> Result<Vec<KeptItem>, Error> {
        let records = self.store.all::<ItemRecord>()?;
        let offset = self.settings.utc_offset;
        let used = self.taste(None)?.used(&*self.catalogue);
        let item = |record: &ItemRecord| item(record, offset, used.contains(&record.item));
        let mut items: Vec<KeptItem> = records.iter().map(item).collect();
        items.sort_by_key(|item| (std::cmp::Reverse(item.last), item.item));
        Ok(items)
    }

    /// The items of the history that the app's catalogue calls sensitive in this way.
    ///
    /// # Errors
    /// When the store cannot be read.
    ///
    /// # Privacy
    /// Stays on the device.
    pub fn items_of(&self, category: Category) -> Result<Vec<ItemId>, Error> {
        let records = self.store.all::<ItemRecord>()?;
        let items = records.iter().map(|record| record.item);
        let is_of = |item: &ItemId| self.category(*item) == Some(category);
        Ok(items.filter(is_of).collect())
    }
}

fn item(record: &ItemRecord, offset: i64, used: bool) -> KeptItem {
    let total = record.total(offset);
    let event = |touch: &crate::taste::Touch| Event {
        item: record.item,
        kind: touch.kind,
        at: touch.at,
        value: touch.value.map(|value| value as f32 / UNIT as f32),
        source: touch.source,
    };
    let mut events: Vec<Event> = record.events.iter().map(event).collect();
    events.sort_by_key(|event| event.at);
    KeptItem {
        item: record.item,
        kinds: total
            .tallies
            .iter()
            .map(|tally| (tally.kind, tally.count))
            .collect(),
        events,
        last: total
            .tallies
            .iter()
            .map(|tally| tally.last)
            .max()
            .unwrap_or(0),
        used,
    }
}
