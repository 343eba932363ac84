use serde::{Deserialize, Serialize};

use super::DataMap;
use crate::taste::{ItemRecord, Touch};

/// How long a person's events are kept, and how many. Counted since they were recorded: a person can bring an old history along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keeping {
    /// Days after which an event becomes a part of its item's summary, which knows days and no times: 30.
    pub exact_days: u32,
    /// Days after the last record of an item on which the item is forgotten: 730.
    pub days: u32,
    /// Items that are kept at most; those go first that were recorded longest ago: 100,000.
    pub items: u32,
    /// Events of one item that are kept exactly; the earliest become a part of its summary first: 64.
    pub events: u32,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            exact_days: 30,
            days: 730,
            items: 100_000,
            events: 64,
        }
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Same,
    Changed,
    Gone,
}

impl Keeping {
    /// The same, and nowhere longer than `map` says.
    pub(crate) fn within(&self, map: &DataMap) -> Self {
        let (days, exact_days) = map.days("item").unwrap_or((self.days, self.exact_days));
        Self {
            days: self.days.min(days),
            exact_days: self.exact_days.min(exact_days),
            ..self.clone()
        }
    }

    /// Brings records to what may be kept on the day `today` (since 1970), in place; says what became of each, in their order.
    /// `offset`: the person's own time minus UTC, seconds.
    pub(crate) fn apply(&self, records: &mut [ItemRecord], today: i64, offset: i64) -> Vec<Kept> {
        let before = |days: u32| today.saturating_sub(i64::from(days));
        let (gone, exact) = (before(self.days), before(self.exact_days));
        let mut fates: Vec<Kept> = records
            .iter_mut()
            .map(|record| {
                let mut stamped = false;
                // Of a store from before days of recording were kept.
                for touch in record.events.iter_mut().filter(|touch| touch.recorded == 0) {
                    touch.recorded = today;
                    stamped = true;
                }
                if record.recorded() <= gone {
                    return Kept::Gone;
                }
                let over = record.events.len().saturating_sub(self.events as usize);
                let is_old = |place, touch: &Touch| place < over || touch.recorded <= exact;
                match record.fold(is_old, offset) || stamped {
                    true => Kept::Changed,
                    false => Kept::Same,
                }
            })
            .collect();
        let mut left: Vec<_> = records
            .iter()
            .zip(&mut fates)
            .filter(|(_, fate)| **fate != Kept::Gone)
            .collect();
        let over = left.len().saturating_sub(self.items as usize);
        left.sort_unstable_by_key(|(record, _)| (record.recorded(), record.item));
        for (_, fate) in left.into_iter().take(over) {
            *fate = Kept::Gone;
        }
        fates
    }

    /// The day on which something of the records is due, and the thirtieth from `today` at the latest.
    pub(crate) fn due<'a>(&self, records: impl Iterator<Item = &'a ItemRecord>, today: i64) -> i64 {
        let mut due = today.saturating_add(i64::from(self.exact_days.max(1)));
        let mut count = 0u64;
        for record in records {
            count += 1;
            let exact = record.events.iter().map(|touch| touch.recorded).min();
            let exact = exact.map(|day| day.saturating_add(i64::from(self.exact_days)));
            let gone = record.recorded().saturating_add(i64::from(self.days));
            due = due.min(gone).min(exact.unwrap_or(gone));
        }
        // Near the cap it is looked after every day.
        match count * 10 > u64::from(self.items) * 9 {
            true => today.saturating_add(1),
            false => due,
        }
    }
}

#[cfg(test)]
mod tests {
    use chorus_model::ItemId;

    use super::*;
    use crate::taste::{Context, DAY, Event, Touch};

    /// An item with an event at `at` on each of some days of recording.
    fn record(item: u32, days: &[i64]) -> ItemRecord {
        let mut record = ItemRecord::new(ItemId(item));
        for day in days {
            let event = Event::click(ItemId(item), *day);
            record.add(Touch::new(&event, None, &Context::default(), day * DAY));
        }
        record
    }

    #[test]
    fn events_become_summaries_and_items_are_forgotten() {
        let keeping = Keeping::default();
        let mut records = [record(1, &[100, 130]), record(2, &[131])];
        let mut on = |day| keeping.apply(&mut records, day, 0);
        assert_eq!(on(129), [Kept::Same, Kept::Same]);
        assert_eq!(on(130), [Kept::Changed, Kept::Same]);
        assert_eq!(on(160), [Kept::Changed, Kept::Same]);
        assert_eq!(on(161), [Kept::Same, Kept::Changed]);
        assert_eq!(on(859), [Kept::Same, Kept::Same]);
        assert_eq!(on(860), [Kept::Gone, Kept::Same]);
        assert_eq!(on(861), [Kept::Gone, Kept::Gone]);
        assert_eq!(records[0].folded.tallies[0].count, 2);
        assert!(records[0].events.is_empty());
    }

    #[test]
    fn an_old_history_that_was_brought_along_is_kept_since_then() {
        let mut record = ItemRecord::new(ItemId(1));
        let event = Event::click(ItemId(1), 5);
        record.add(Touch::new(&event, None, &Context::default(), 20_000 * DAY));
        let kept = Keeping::default().apply(&mut [record], 20_001, 0);
        assert_eq!(kept, [Kept::Same]);
    }

    #[test]
    fn caps_take_the_oldest() {
        let keeping = Keeping {
            items: 2,
            events: 3,
            ..Keeping::default()
        };
        let mut records = [
            record(1, &[100, 101, 102, 103]),
            record(2, &[90]),
            record(3, &[91]),
        ];
        let fates = keeping.apply(&mut records, 103, 0);
        assert_eq!(fates, [Kept::Changed, Kept::Gone, Kept::Same]);
        assert_eq!(records[0].events.len(), 3);
        assert_eq!(records[0].events[0].recorded, 101);
    }
}
