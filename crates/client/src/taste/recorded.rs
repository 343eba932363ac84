use std::collections::{BTreeMap, BTreeSet};

use chorus_model::{ItemId, TrainingSet};
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::event::{DAY, Event, Flaw, Source};
use super::item::{ItemRecord, Touch};
use super::tidy::Dated;
use crate::store::{Kind, Record};
use crate::{Category, Client, Error, Purpose};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recorded {
    /// It is in the store.
    Kept,
    /// It was there already.
    Known,
    /// It would need this grant, and nothing of it was kept.
    NotGranted(Purpose),
    /// It was done in a private session, and nothing of it was kept.
    Private,
    /// It makes no sense, and nothing of it was kept.
    Refused(Flaw),
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Events that were new.
    pub added: usize,
    /// Events that the store had already.
    pub known: usize,
    /// Events that would have needed a grant that there is not; nothing of them was kept.
    pub not_granted: usize,
    /// The grants that they would have needed, of each the first that is missing.
    pub missing: BTreeSet<Purpose>,
    /// Events of a private session; nothing of them was kept.
    pub private: usize,
    /// Events that make no sense, by their time or their value; nothing of them was kept.
    pub refused: usize,
}

/// Where a part of the history comes from: a file that the person brought along. What does not come from one was done in the app.
#[derive(Serialize, Deserialize)]
pub(crate) struct Brought {
    /// Seconds since 1970 UTC.
    pub at: i64,
    /// What the file was called, without its folder and without what looks personal.
    pub file: String,
    /// Whose word its events were.
    pub sources: BTreeSet<Source>,
}

impl Record for Brought {
    const KIND: Kind = Kind::Import;

    fn key(&self) -> String {
        format!("{:020} {}", self.at, self.file)
    }
}

impl Dated for Brought {
    fn day(&self) -> i64 {
        self.at.div_euclid(DAY)
    }
}

impl Record for ItemRecord {
    const KIND: Kind = Kind::Item;

    fn key(&self) -> String {
        item_key(self.item)
    }
}

/// `all` gives the items by number.
pub(crate) fn item_key(item: ItemId) -> String {
    format!("{:010}", item.0)
}

impl Client {
    /// Keeps what the person did at `now` (seconds since 1970 UTC), where it may be kept.
    ///
    /// # Errors
    /// When the store cannot be written.
    ///
    /// # Privacy
    /// Stays in the store. Without the grant of local personalisation nothing is stored; without the one of third-party sources
    /// nothing of what others say; without the one of its category nothing with an item that the catalogue calls sensitive, whatever
    /// the guards are set to: no event, no count, no name of a file. What was kept under a grant stays when it is withdrawn, and is
    /// used no more, until the person removes it.
    pub fn record(&mut self, event: Event, now: i64) -> Result<Recorded, Error> {
        self.record_in(event, &Context::default(), now)
    }

    /// The same, with the moment in which it was done: its device, its mood, its region. The time is that of the event.
    ///
    /// # Errors
    /// As [`Client::record`].
    pub fn record_in(
        &mut self,
        event: Event,
        context: &Context,
        now: i64,
    ) -> Result<Recorded, Error> {
        self.tidy(now)?;
        let became = self.keep([event], context, None, now)?;
        Ok(became.first().copied().unwrap_or(Recorded::Known))
    }

    /// Keeps many events at once, all that may be kept or none.
    ///
    /// # Errors
    /// As [`Client::record`].
    ///
    /// # Privacy
    /// As [`Client::record`].
    pub fn record_all(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        now: i64,
    ) -> Result<Imported, Error> {
        self.keep_all(events, None, now)
    }

    /// The same; `file`: what the events came in.
    pub(crate) fn keep_all(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        file: Option<String>,
        now: i64,
    ) -> Result<Imported, Error> {
        self.tidy(now)?;
        let mut imported = Imported::default();
        for became in self.keep(events, &Context::default(), file, now)? {
            *match became {
                Recorded::Kept => &mut imported.added,
                Recorded::Known => &mut imported.known,
                Recorded::NotGranted(purpose) => {
                    imported.missing.insert(purpose);
                    &mut imported.not_granted
                }
                Recorded::Private => &mut imported.private,
                Recorded::Refused(_) => &mut imported.refused,
            } += 1;
        }
        Ok(imported)
    }

    /// One transaction, in which it is looked up what may be kept; says what became of each, in their order.
    fn keep(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        context: &Context,
        file: Option<String>,
        now: i64,
    ) -> Result<Vec<Recorded>, Error> {
        // Whatever the app does to give them, and to say what they are, happens before the transaction.
        let category = |event: Event| (event, self.category(event.item));
        let events: Vec<(Event, Option<Category>)> = events.into_iter().map(category).collect();
        if self.is_private {
            return Ok(vec![Recorded::Private; events.len()]);
        }
        // Where nothing is granted, nothing waits for the disk. What is granted is looked up again before it is kept.
        let granted = self.grants()?;
        let missing = |(event, category): &(Event, _)| event.missing(*category, &granted);
        let refused = events
            .iter()
            .map(|event| missing(event).map(Recorded::NotGranted));
        if let Some(refused) = refused.collect() {
            return Ok(refused);
        }
        let most = self.settings.keeping.events as usize;
        let offset = self.settings.utc_offset;
        self.write_granted(|batch, granted| {
            let mut by_item: BTreeMap<ItemId, Vec<(usize, Touch)>> = BTreeMap::new();
            let mut became = Vec::new();
            for (event, category) in &events {
                became.push(
                    match (event.missing(*category, granted), event.check(now)) {
                        (Some(purpose), _) => Recorded::NotGranted(purpose),
                        (None, Err(flaw)) => Recorded::Refused(flaw),
                        (None, Ok(value)) => {
                            let touch = Touch::new(event, value, context, now);
                            let of_item = by_item.entry(event.item).or_default();
                            of_item.push((became.len(), touch));
                            Recorded::Known
                        }
                    },
                );
            }
            for (item, touches) in by_item {
                let known = batch.get(&item_key(item))?;
                let mut record = known.unwrap_or_else(|| ItemRecord::new(item));
                let mut is_new = false;
                for (place, touch) in touches {
                    if record.add(touch)
                        && let Some(became) = became.get_mut(place)
                    {
                        *became = Recorded::Kept;
                        is_new = true;
                    }
                }
                let over = record.events.len().saturating_sub(most);
                record.fold(|place, _| place < over, offset);
                if is_new {
                    batch.put(&record)?;
                }
            }
            let kept = events.iter().zip(&became);
            let kept = kept.filter(|(_, became)| **became == Recorded::Kept);
            let sources: BTreeSet<Source> = kept.map(|((event, _), _)| event.source).collect();
            if let Some(file) = file.filter(|_| !sources.is_empty()) {
                let at = now;
                batch.put(&Brought { at, file, sources })?;
            }
            Ok(became)
        })
    }

    /// What can be learned from: the liked items that a catalogue of `catalogue` items holds. Nothing that the person muted, and nothing
    /// sensitive that they did not grant.
    ///
    /// # Errors
    /// When the store cannot be read.
    ///
    /// # Privacy
    /// Must not leave the device.
    pub fn history(&self, catalogue: usize) -> Result<TrainingSet, Error> {
        Ok(self.taste(None)?.history(&*self.catalogue, catalogue))
    }

    /// The sensitive category that an item is of.
    pub(crate) fn category(&self, item: ItemId) -> Option<Category> {
        self.catalogue.about(item)?.sensitive
    }

    /// How many events are kept, as they are or in summaries.
    pub(crate) fn count_events(&self) -> Result<u64, Error> {
        let records = self.store.all::<ItemRecord>()?;
        let counts = records.iter().map(|record| {
            let folded = record
                .folded
                .tallies
                .iter()
                .map(|tally| u64::from(tally.count));
            record.events.len() as u64 + folded.sum::<u64>()
        });
        Ok(counts.sum())
    }
}
