use chorus_model::ItemId;
use serde::Serialize;

use crate::store::Batch;
use crate::taste::{Context, ItemRecord, Touch, item_key};
use crate::{Category, Client, Error, Event, EventKind, Flaw, Source, StoreError};

/// What became of a wish to change the history.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amended {
    /// It is done: everything is now as if it had always been so.
    Done,
    /// There is no such event.
    Unknown,
    /// The event is a part of the summary of its item: only the item as a whole can be removed.
    Folded,
    /// The new value makes no sense, and nothing was changed.
    Refused(#[serde(serialize_with = "in_words")] Flaw),
}

fn in_words<S: serde::Serializer>(flaw: &Flaw, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(flaw)
}

impl Client {
    /// Removes one event: the one with this item, kind, time and source. The profile is then exactly what it would be if it had never been
    /// recorded.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove_event(&mut self, event: &Event) -> Result<Amended, Error> {
        self.amend(event, None)
    }

    /// Removes an item with everything that was done with it, also what was folded into its summary. The profile is then exactly what it would
    /// be without it. False when there was nothing.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove_item(&mut self, item: ItemId) -> Result<bool, Error> {
        let remove = |batch: &Batch<'_>| batch.remove::<ItemRecord>(&item_key(item));
        Ok(self.store.write(remove)?)
    }

    /// Removes everything that came from a source, and returns from how many items. What was folded of it goes as well; where a summary
    /// holds both sources, the times of day and places in it go with it, since nobody can tell any more which of them were whose.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove_source(&mut self, source: Source) -> Result<usize, Error> {
        Ok(self.store.write(|batch| {
            let mut items = 0;
            for mut record in batch.all::<ItemRecord>()? {
                if !record.forget(source) {
                    continue;
                }
                items += 1;
                batch.remove::<ItemRecord>(&item_key(record.item))?;
                if !record.is_empty() {
                    batch.put(&record)?;
                }
            }
            Ok(items)
        })?)
    }

    /// Removes every item that the app's catalogue calls sensitive in this way, and returns how many there were: what was kept under a grant
    /// stays unused when that is withdrawn, and goes so.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove_category(&mut self, category: Category) -> Result<usize, Error> {
        let kept = self.items_of(category)?;
        Ok(self.store.write(|batch| {
            let remove = |item: &ItemId| batch.remove::<ItemRecord>(&item_key(*item));
            let removed: Vec<bool> = kept.iter().map(remove).collect::<Result<_, _>>()?;
            Ok(removed.into_iter().filter(|is_removed| *is_removed).count())
        })?)
    }

    /// Makes of one event another kind, or gives it another value. The profile is then exactly what it would be if it had been recorded so.
    /// `now`: seconds since 1970 UTC.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn correct(
        &mut self,
        event: &Event,
        kind: EventKind,
        value: Option<f32>,
        now: i64,
    ) -> Result<Amended, Error> {
        let corrected = Event {
            kind,
            value,
            ..*event
        };
        match corrected.check(now) {
            Ok(value) => self.amend(event, Some((kind, value))),
            Err(flaw) => Ok(Amended::Refused(flaw)),
        }
    }

    /// Takes an event out, and puts it back as `other`, if that is wished.
    fn amend(
        &mut self,
        event: &Event,
        other: Option<(EventKind, Option<i64>)>,
    ) -> Result<Amended, Error> {
        let key = item_key(event.item);
        let wanted = Touch::new(event, None, &Context::default(), 0);
        let amend = |batch: &Batch<'_>| -> Result<Amended, StoreError> {
            let Some(mut record) = batch.get::<ItemRecord>(&key)? else {
                return Ok(Amended::Unknown);
            };
            let Some(touch) = record.take(&wanted) else {
                return Ok(match record.has_folded(&wanted) {
                    true => Amended::Folded,
                    false => Amended::Unknown,
                });
            };
            if let Some((kind, value)) = other {
                let corrected = Touch {
                    kind,
                    value,
                    ..touch
                };
                // It would be taken for one of those that were folded, and be lost.
                if record.has_folded(&corrected) {
                    return Ok(Amended::Folded);
                }
                record.add(corrected);
            }
            // Removed first, so that what it was is in no file any more.
            batch.remove::<ItemRecord>(&key)?;
            if !record.is_empty() {
                batch.put(&record)?;
            }
            Ok(Amended::Done)
        };
        Ok(self.store.write(amend)?)
    }
}
