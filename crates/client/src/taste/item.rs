use std::collections::BTreeMap;

use chorus_model::{ItemId, TrainingSet};
use serde::{Deserialize, Serialize};

use super::context::{Band, Context, Device, Mood};
use super::event::{DAY, Event, EventKind, Source, UNIT, Weights};
use crate::map::Region;

/// Two of the same within so many seconds are one tap that the finger made twice.
const DOUBLE_TAP: i64 = 2;

/// Days of purchases that a summary keeps, the newest: what the next need is estimated from.
const PURCHASES: usize = 12;

/// All that is known of what a person did with one item.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ItemRecord {
    pub item: ItemId,
    /// What was recorded within the window, by time and kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Touch>,
    /// What was recorded before it.
    #[serde(default, skip_serializing_if = "Summary::is_empty")]
    pub folded: Summary,
}

/// One event as it is kept.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Touch {
    pub at: i64,
    pub kind: EventKind,
    /// In thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    #[serde(default, skip_serializing_if = "is_first_party")]
    pub source: Source,
    /// Day since 1970.
    pub recorded: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<Mood>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
}

fn is_first_party(source: &Source) -> bool {
    *source == Source::FirstParty
}

/// What is left of events: whole numbers, which add up to the same in any order, and days.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// By kind and source.
    pub tallies: Vec<Tally>,
    /// How often in which part of the day, the week, the year and so on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bands: BTreeMap<Band, u32>,
    /// Day since 1970 that the last of it was recorded.
    pub recorded: i64,
}

/// The events of one kind and source.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub kind: EventKind,
    #[serde(default, skip_serializing_if = "is_first_party")]
    pub source: Source,
    pub count: u32,
    /// Seconds since 1970 at the beginning of a day.
    pub first: i64,
    pub last: i64,
    /// Of the values, in thousandths.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sum: i64,
    /// Of purchases the last few days since 1970, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<i64>,
}

fn is_zero(sum: &i64) -> bool {
    *sum == 0
}

impl Touch {
    /// `value`: in thousandths, checked. `now`: seconds since 1970 UTC.
    pub fn new(event: &Event, value: Option<i64>, context: &Context, now: i64) -> Self {
        Self {
            at: event.at,
            kind: event.kind,
            value,
            source: event.source,
            recorded: now.div_euclid(DAY),
            device: context.device,
            mood: context.mood,
            region: context.region.clone(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.at, self.kind, self.source) == (other.at, other.kind, other.source)
    }
}

impl Summary {
    fn is_empty(&self) -> bool {
        self.tallies.is_empty()
    }

    /// Adds an event. `exact`: keeps its time to the second, for a summary that is not stored. `offset`: the person's own time
    /// minus UTC, seconds.
    fn add(&mut self, touch: &Touch, exact: bool, offset: i64) {
        self.count(touch, exact);
        let context = Context {
            local_time: Some(touch.at.saturating_add(offset)),
            region: touch.region.clone(),
            device: touch.device,
            mood: touch.mood,
        };
        for band in context.bands() {
            let count = self.bands.entry(band).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// The same without the bands.
    fn count(&mut self, touch: &Touch, exact: bool) {
        self.recorded = self.recorded.max(touch.recorded);
        let day = touch.at.div_euclid(DAY);
        let at = if exact { touch.at } else { day * DAY };
        let key = (touch.kind, touch.source);
        let place = self
            .tallies
            .binary_search_by_key(&key, |tally| (tally.kind, tally.source));
        if let Err(place) = place {
            let tally = Tally {
                kind: touch.kind,
                source: touch.source,
                count: 0,
                first: at,
                last: at,
                sum: 0,
                days: Vec::new(),
            };
            self.tallies.insert(place, tally);
        }
        let (Ok(place) | Err(place)) = place;
        if let Some(tally) = self.tallies.get_mut(place) {
            tally.count = tally.count.saturating_add(1);
            tally.first = tally.first.min(at);
            tally.last = tally.last.max(at);
            tally.sum = tally.sum.saturating_add(touch.value.unwrap_or(0));
            if touch.kind == EventKind::Purchase {
                tally.days.push(day);
                tally.days.sort_unstable();
                tally.days.dedup();
                let over = tally.days.len().saturating_sub(PURCHASES);
                tally.days.drain(..over);
            }
        }
    }

    /// What was done adds up to a click or more, and it was not waved away.
    fn is_liked(&self, weights: &Weights, third_party: bool) -> bool {
        let counted = self.counted(third_party);
        let weight = counted.fold(0i64, |sum, tally| {
            sum.saturating_add(weights.of(tally.kind, tally.count, tally.sum))
        });
        weight >= UNIT && !self.is_dismissed(third_party)
    }

    /// It was waved away at least once.
    fn is_dismissed(&self, third_party: bool) -> bool {
        self.counted(third_party)
            .any(|tally| tally.kind == EventKind::Dismiss)
    }

    /// Seconds since 1970 of the first event.
    fn first(&self, third_party: bool) -> Option<i64> {
        self.counted(third_party).map(|tally| tally.first).min()
    }

    /// The tallies whose source is allowed.
    pub fn counted(&self, third_party: bool) -> impl Iterator<Item = &Tally> {
        let allowed = move |tally: &&Tally| third_party || is_first_party(&tally.source);
        self.tallies.iter().filter(allowed)
    }
}

impl ItemRecord {
    pub fn new(item: ItemId) -> Self {
        Self {
            item,
            events: Vec::new(),
            folded: Summary::default(),
        }
    }

    /// Day since 1970 that something was recorded last.
    pub fn recorded(&self) -> i64 {
        let events = self.events.iter().map(|touch| touch.recorded);
        events.fold(self.folded.recorded, i64::max)
    }

    /// True when an event like this one lies within the time that was folded of its kind. That time is kept by the day, and of a
    /// busy day the oldest go first: what is later than one of that day that is still there was not folded.
    pub fn has_folded(&self, touch: &Touch) -> bool {
        let day = touch.at.div_euclid(DAY);
        let is_before = |kept: &Touch| {
            (kept.kind, kept.source) == (touch.kind, touch.source)
                && (day * DAY..touch.at).contains(&kept.at)
        };
        if self.events.iter().any(is_before) {
            return false;
        }
        let within = |tally: &Tally| {
            (tally.kind, tally.source) == (touch.kind, touch.source)
                && (tally.first..tally.last.saturating_add(DAY)).contains(&touch.at)
        };
        self.folded.tallies.iter().any(within)
    }

    /// Takes out the event with the time, the kind and the source of `wanted`.
    pub fn take(&mut self, wanted: &Touch) -> Option<Touch> {
        let place = self.events.iter().position(|other| other.is_same(wanted))?;
        Some(self.events.remove(place))
    }

    /// Takes out all that is from a source; false when there was nothing.
    pub fn forget(&mut self, source: Source) -> bool {
        let before = (self.events.len(), self.folded.tallies.len());
        self.events.retain(|touch| touch.source != source);
        self.folded.tallies.retain(|tally| tally.source != source);
        if self.folded.tallies.len() < before.1 {
            // They count what both did.
            self.folded.bands.clear();
        }
        (self.events.len(), self.folded.tallies.len()) != before
    }

    /// True when nothing is left of it.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.folded.is_empty()
    }

    /// Adds an event; false when it was there already. What lies within the time that was folded of its kind counts as there:
    /// a history that is imported once more must not count twice.
    pub fn add(&mut self, touch: Touch) -> bool {
        if self.events.iter().any(|other| other.is_same(&touch)) || self.has_folded(&touch) {
            return false;
        }
        let order = |touch: &Touch| (touch.at, touch.kind, touch.source);
        let place = self
            .events
            .partition_point(|other| order(other) < order(&touch));
        self.events.insert(place, touch);
        true
    }

    /// It was waved away at least once.
    pub fn is_dismissed(&self, third_party: bool) -> bool {
        let allowed = |source: &Source| third_party || is_first_party(source);
        let event = |touch: &Touch| touch.kind == EventKind::Dismiss && allowed(&touch.source);
        self.events.iter().any(event) || self.folded.is_dismissed(third_party)
    }

    /// Everything in one summary, times as exact as they are kept.
    pub fn total(&self, offset: i64) -> Summary {
        let mut total = self.folded.clone();
        for touch in self.counted() {
            total.add(touch, true, offset);
        }
        total
    }

    /// The same without the bands.
    pub fn counts(&self) -> Summary {
        let mut total = Summary {
            bands: BTreeMap::new(),
            tallies: self.folded.tallies.clone(),
            recorded: self.folded.recorded,
        };
        for touch in self.counted() {
            total.count(touch, true);
        }
        total
    }

    /// Folds what `is_old`. `offset`: as in [`Summary::add`].
    pub fn fold(&mut self, is_old: impl Fn(usize, &Touch) -> bool, offset: i64) -> bool {
        // Double taps are told from what is beside them, so before any of it goes.
        let counted: Vec<Touch> = self.counted().cloned().collect();
        let before = self.events.len();
        let mut place = 0;
        let folded = &mut self.folded;
        self.events.retain(|touch| {
            let old = is_old(place, touch);
            place += 1;
            if old && counted.contains(touch) {
                folded.add(touch, false, offset);
            }
            !old
        });
        self.events.len() < before
    }

    /// The events without second taps of one finger: a touch within two seconds of the one before it that counted and is of
    /// the same kind. A function of the events, whatever the order in which they came.
    fn counted(&self) -> impl Iterator<Item = &Touch> {
        let mut last: BTreeMap<(EventKind, Source), i64> = BTreeMap::new();
        self.events.iter().filter(move |touch| {
            let key = (touch.kind, touch.source);
            let again = last
                .get(&key)
                .is_some_and(|at| touch.at.saturating_sub(*at) < DOUBLE_TAP);
            if !again {
                last.insert(key, touch.at);
            }
            !again
        })
    }
}

/// What can be learned from: the liked items in the order of their first events. Where every event is a click that is what
/// [`TrainingSet::select`] makes of them.
pub(crate) fn training_set<'a>(
    records: impl IntoIterator<Item = &'a ItemRecord>,
    weights: &Weights,
    third_party: bool,
    catalogue: usize,
) -> TrainingSet {
    let mut liked: Vec<(i64, ItemId)> = records
        .into_iter()
        .filter_map(|record| {
            let total = record.counts();
            let first = total.first(third_party)?;
            total
                .is_liked(weights, third_party)
                .then_some((first, record.item))
        })
        .collect();
    liked.sort_unstable();
    TrainingSet::of(liked.into_iter().map(|(_, item)| item), catalogue)
}

#[cfg(test)]
mod tests {
    use chorus_model::Event as Simple;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn touch(kind: EventKind, at: i64) -> Touch {
        let event = Event {
            kind,
            ..Event::click(ItemId(1), at)
        };
        let value = match kind {
            EventKind::Rating => Some(4_500),
            EventKind::Survey => Some(-300),
            _ => None,
        };
        Touch::new(&event, value, &Context::default(), NOW)
    }

    fn of(touches: impl IntoIterator<Item = Touch>) -> ItemRecord {
        let mut record = ItemRecord::new(ItemId(1));
        for touch in touches {
            record.add(touch);
        }
        record
    }

    /// The history of a client that only clicks is what it was before there were kinds.
    #[test]
    fn a_busy_day_goes_on_after_its_first_part_was_folded() {
        let click = |at| {
            let event = Event::click(ItemId(1), at);
            Touch::new(&event, None, &Context::default(), at)
        };
        let mut record = ItemRecord::new(ItemId(1));
        for at in (0..100).map(|place| DAY + 10 * place) {
            assert!(record.add(click(at)), "{at}");
            let over = record.events.len().saturating_sub(8);
            record.fold(|place, _| place < over, 0);
        }
        let count: u32 = record
            .counts()
            .tallies
            .iter()
            .map(|tally| tally.count)
            .sum();
        assert_eq!(count, 100);
        // The same day once more brings nothing: neither of what was folded nor of what is still there.
        for at in (0..100).map(|place| DAY + 10 * place) {
            assert!(!record.add(click(at)), "{at}");
        }
    }

    #[test]
    fn clicks_are_learned_from_as_ever() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for _ in 0..200 {
            let events: Vec<Simple> = (0..rng.next_u32() % 60)
                .map(|_| Simple {
                    item: ItemId(rng.next_u32() % 40),
                    at: i64::from(rng.next_u32() % 20),
                })
                .collect();
            let mut records: BTreeMap<ItemId, ItemRecord> = BTreeMap::new();
            for event in &events {
                let record = records.entry(event.item);
                let record = record.or_insert_with(|| ItemRecord::new(event.item));
                record.add(touch(EventKind::Click, event.at));
            }
            // As the store gave them: by item and time.
            let mut sorted = events;
            sorted.sort_by_key(|event| (event.item, event.at));
            let known = TrainingSet::select(sorted, 30);
            let learned = training_set(records.values(), &Weights::default(), false, 30);
            assert!(learned == known && learned.sequence() == known.sequence());
        }
    }

    #[test]
    fn the_order_in_which_events_come_does_not_matter_even_after_folding() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        for round in 0..200 {
            let mut touches: Vec<Touch> = (0..20)
                .map(|_| {
                    let kind = EventKind::ALL[rng.next_u32() as usize % 7];
                    touch(kind, NOW - i64::from(rng.next_u32() % 400) * 997)
                })
                .collect();
            let one = of(touches.clone());
            let mut folded = one.clone();
            assert!(folded.fold(|_, _| true, 0));
            for place in (1..touches.len()).rev() {
                touches.swap(place, rng.next_u32() as usize % (place + 1));
            }
            let mut other = of(touches);
            assert!(other == one, "{round}");
            // In two parts at a border between days, as time does it: the same as at once.
            let border = (NOW - 200_000).div_euclid(DAY) * DAY;
            other.fold(|_, touch| touch.at < border, 0);
            assert!(other.fold(|_, _| true, 0) | other.events.is_empty());
            assert!(other == folded, "{round}");
            let liked = |record: &ItemRecord| {
                let total = record.total(0);
                total.is_liked(&Weights::default(), false)
            };
            assert_eq!(liked(&folded), liked(&one));
        }
    }

    #[test]
    fn what_was_there_already_changes_nothing() {
        let mut record = of([touch(EventKind::Click, 100), touch(EventKind::View, 100)]);
        let before = record.clone();
        assert!(!record.add(touch(EventKind::Click, 100)));
        assert!(record == before);
        record.fold(|_, _| true, 0);
        let folded = record.clone();
        // The same file once more, when its times are gone.
        assert!(!record.add(touch(EventKind::Click, 100)));
        assert!(record == folded);
        assert!(record.add(touch(EventKind::Click, DAY + 100)));
        assert!(record.add(touch(EventKind::Pause, 100)));
    }

    #[test]
    fn a_finger_that_taps_twice_taps_once() {
        let views = |times: &[i64]| {
            let record = of(times.iter().map(|at| touch(EventKind::View, *at)));
            record.total(0).tallies[0].count
        };
        assert_eq!(views(&[10, 11]), 1);
        assert_eq!(views(&[10, 11, 12]), 2);
        assert_eq!(views(&[12, 11, 10]), 2);
        assert_eq!(views(&[10, 12, 14]), 3);
    }

    #[test]
    fn an_item_is_learned_from_when_enough_speaks_for_it() {
        let liked = |kinds: &[(EventKind, i64)]| {
            let record = of(kinds.iter().map(|(kind, at)| touch(*kind, *at)));
            !training_set([&record], &Weights::default(), false, 5).is_empty()
        };
        use EventKind::{Click, Dismiss, Pause, Survey, View};
        assert!(liked(&[(Click, 1)]) && liked(&[(Pause, 1), (Pause, 9)]));
        assert!(!liked(&[(View, 1), (View, 9), (View, 20)]));
        assert!(liked(&[(View, 1), (View, 9), (View, 20), (View, 30)]));
        assert!(!liked(&[(Click, 1), (Survey, 2)]), "0.7 of a click");
        assert!(!liked(&[(Click, 1), (Click, 9), (Dismiss, 5)]));
    }

    #[test]
    fn what_others_brought_goes_folded_or_not() {
        let own = [touch(EventKind::Click, 1), touch(EventKind::Click, 9 * DAY)];
        let mut given = touch(EventKind::Click, 2 * DAY);
        given.source = Source::ThirdParty;
        let early = |_: usize, touch: &Touch| touch.at < DAY * 5;
        for folds in [false, true] {
            let (mut record, mut never) = (of(own.clone()), of(own.clone()));
            record.add(given.clone());
            if folds {
                record.fold(early, 0);
                never.fold(early, 0);
                // Whose they are, nobody knows.
                never.folded.bands.clear();
            }
            assert!(record.forget(Source::ThirdParty));
            never.folded.recorded = record.folded.recorded;
            assert!(record == never, "{folds}");
            assert!(!record.forget(Source::ThirdParty));
        }
    }

    #[test]
    fn what_others_brought_counts_only_where_it_may() {
        let mut given = touch(EventKind::Click, 1);
        given.source = Source::ThirdParty;
        let mut record = of([given]);
        for _ in 0..2 {
            let of = |allowed| training_set([&record], &Weights::default(), allowed, 5).len();
            assert_eq!((of(false), of(true)), (0, 1));
            record.fold(|_, _| true, 0);
        }
    }

    #[test]
    fn purchases_keep_their_last_days() {
        let mut record = of((0..20).map(|day| touch(EventKind::Purchase, day * DAY + 7)));
        let days: Vec<i64> = (8..20).collect();
        assert_eq!(record.total(0).tallies[0].days, days);
        record.fold(|_, _| true, 0);
        assert_eq!(record.total(0).tallies[0].days, days);
    }
}
