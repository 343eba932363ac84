use serde::{Deserialize, Serialize};

use super::event::DAY;
use super::item::ItemRecord;
use super::recorded::item_key;
use crate::map::{DataMap, Keeping, Kept};
use crate::store::{Batch, Kind, Record};
use crate::{Client, Error, StoreError};

/// Days by which time may go on between two looks. A clock that went on by more is believed on a later day, if it still says so: one
/// that is wrong for a moment makes nobody forget anything.
const STEP: i64 = 31;

/// When the store was tidied last, and when something in it is due next. There is one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tidied {
    /// Day since 1970.
    pub day: i64,
    /// Day since 1970 on which an item is due.
    pub due: i64,
    /// By what.
    pub keeping: Keeping,
    /// The day that a clock says which is not believed yet.
    #[serde(default)]
    pub ahead: Option<i64>,
}

impl Record for Tidied {
    const KIND: Kind = Kind::Tidied;

    fn key(&self) -> String {
        String::new()
    }
}

impl Tidied {
    /// Whether there is nothing to do before another day.
    fn is_done(&self, today: i64, keeping: &Keeping) -> bool {
        self.ahead.unwrap_or(self.day) == today && self.keeping == *keeping
    }

    /// The day to go by where the clock says `today`, and `today` where it is not believed yet.
    fn believe(&self, today: i64) -> (i64, Option<i64>) {
        let follows = |day: i64| today <= day.saturating_add(STEP);
        let is_confirmed = |ahead: i64| ahead < today && follows(ahead);
        match follows(self.day) || self.ahead.is_some_and(is_confirmed) {
            true => (today, None),
            false => (self.day, Some(today)),
        }
    }
}

/// A record that goes on a day which its own day and the data map decide.
pub(crate) trait Dated: Record {
    /// Since 1970.
    fn day(&self) -> i64;
}

impl Client {
    /// Once a day: what is due becomes a part of a summary or goes. Everything that reads or adds events calls it, so that an app
    /// has nothing to remember.
    pub(crate) fn tidy(&mut self, now: i64) -> Result<(), Error> {
        let today = now.div_euclid(DAY);
        if self.tidied == Some(today) || self.is_private {
            return Ok(());
        }
        let keeping = self.settings.keeping.within(DataMap::get());
        let last: Option<Tidied> = self.store.get("")?;
        if !last.is_some_and(|last| last.is_done(today, &keeping)) {
            let offset = self.settings.utc_offset;
            self.store.write(|batch| {
                let last: Option<Tidied> = batch.get("")?;
                let (day, ahead) = match &last {
                    Some(last) => last.believe(today),
                    None => (today, None),
                };
                let due = match last {
                    Some(last) if day < last.due && last.keeping == keeping => last.due,
                    _ => tidy_items(batch, &keeping, day, offset)?,
                };
                expire::<super::serving::Shown>(batch, day)?;
                expire::<super::recorded::Brought>(batch, day)?;
                expire::<crate::Sent>(batch, day)?;
                expire::<crate::store::LocalReport>(batch, day)?;
                batch.put(&Tidied {
                    day,
                    due,
                    keeping,
                    ahead,
                })
            })?;
        }
        self.tidied = Some(today);
        Ok(())
    }
}

/// Brings the items to what may be kept on `day`; the day on which the next one is due.
fn tidy_items(
    batch: &Batch<'_>,
    keeping: &Keeping,
    day: i64,
    offset: i64,
) -> Result<i64, StoreError> {
    let mut records = batch.all::<ItemRecord>()?;
    let fates = keeping.apply(&mut records, day, offset);
    for (record, fate) in records.iter().zip(&fates) {
        match fate {
            Kept::Same => {}
            Kept::Changed => batch.put(record)?,
            Kept::Gone => drop(batch.remove::<ItemRecord>(&item_key(record.item))?),
        }
    }
    let kept = records
        .iter()
        .zip(&fates)
        .filter(|(_, fate)| **fate != Kept::Gone);
    Ok(keeping.due(kept.map(|(record, _)| record), day))
}

/// Removes the records of a kind that the data map lets nobody keep any more on the day `today`.
fn expire<R: Dated>(batch: &Batch<'_>, today: i64) -> Result<(), StoreError> {
    let Some((days, _)) = DataMap::get().days(R::KIND.name()) else {
        return Ok(());
    };
    for record in batch.all::<R>()? {
        if record.day().saturating_add(i64::from(days)) <= today {
            batch.remove::<R>(&record.key())?;
        }
    }
    Ok(())
}
