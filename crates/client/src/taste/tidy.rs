use serde::{Deserialize, Serialize};

use super::event::DAY;
use super::item::ItemRecord;
use super::recorded::item_key;
use super::serving::Shown;
use crate::map::{DataMap, Keeping, Kept};
use crate::store::{Kind, Record};
use crate::{Client, Error};

/// When the store was tidied last, and when something in it is due next. There is one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tidied {
    /// Day since 1970.
    pub day: i64,
    /// Day since 1970.
    pub due: i64,
    /// By what.
    pub keeping: Keeping,
}

impl Record for Tidied {
    const KIND: Kind = Kind::Tidied;

    fn key(&self) -> String {
        String::new()
    }
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
        let is_due = last.is_none_or(|last| last.due <= today || last.keeping != keeping);
        if is_due {
            let offset = self.settings.utc_offset;
            self.store.write(|batch| {
                let mut records = batch.all::<ItemRecord>()?;
                let fates = keeping.apply(&mut records, today, offset);
                for (record, fate) in records.iter().zip(&fates) {
                    match fate {
                        Kept::Same => {}
                        Kept::Changed => batch.put(record)?,
                        Kept::Gone => drop(batch.remove::<ItemRecord>(&item_key(record.item))?),
                    }
                }
                for shown in batch.all::<Shown>()? {
                    if shown.day < today - 1 {
                        batch.remove::<Shown>(&shown.key())?;
                    }
                }
                let kept = records
                    .iter()
                    .zip(&fates)
                    .filter(|(_, fate)| **fate != Kept::Gone);
                let due = keeping.due(kept.map(|(record, _)| record), today);
                batch.put(&Tidied {
                    day: today,
                    due,
                    keeping: keeping.clone(),
                })
            })?;
        }
        self.tidied = Some(today);
        Ok(())
    }
}
