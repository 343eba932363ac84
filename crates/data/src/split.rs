use std::fmt;
use std::str::FromStr;

use chorus_model::ItemId;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::log::{Event, Log, latest};
use crate::marks::Marks;
use crate::moment::{self, date};
use crate::negatives::{SEED, negatives};
use crate::{DataError, Dataset, Held};

/// Which events are held out, to measure a model with.
///
/// As text: `published`, `leave-one-out`, `temporal` (the last fifth of all events), `temporal:0.1` (the last tenth),
/// `temporal:2000-12-01` or `temporal:975628800` (everything from then on).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    /// As the data set was published.
    Published,
    /// The latest item of each user; of equal times, the one further down in the file. Users with one distinct item keep
    /// it to learn from and are not measured.
    LeaveOneOut,
    /// One cut in time for everyone: what happened from then on is held out. Users without an event before the cut are
    /// not measured, and items that a user had touched before it are no question.
    Temporal(Cut),
}

/// Where a temporal split cuts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// So that this share of all events is held out, and events at the same time as the earliest of them: within (0, 1).
    Share(f64),
    /// At this time: milliseconds since 1970-01-01 UTC.
    At(i64),
}

/// Held out by `temporal` without a number.
const SHARE: f64 = 0.2;

impl Cut {
    /// The time of the cut, where it is one already: milliseconds since 1970-01-01 UTC.
    pub fn at(self) -> Option<i64> {
        match self {
            Self::Share(_) => None,
            Self::At(at) => Some(at),
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published => f.write_str("published"),
            Self::LeaveOneOut => f.write_str("leave-one-out"),
            Self::Temporal(Cut::Share(share)) => write!(f, "temporal:{share}"),
            Self::Temporal(Cut::At(at)) => write!(f, "temporal:{}", date(*at)),
        }
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "`{text}` is no split: write published, leave-one-out, temporal, temporal:SHARE (as 0.2) or \
                 temporal:TIME (as 2000-12-01)"
            )
        };
        match text.split_once(':') {
            None => match text {
                "published" => Ok(Self::Published),
                "leave-one-out" => Ok(Self::LeaveOneOut),
                "temporal" => Ok(Self::Temporal(Cut::Share(SHARE))),
                _ => Err(unknown()),
            },
            Some(("temporal", cut)) => match cut.parse::<f64>() {
                Ok(share) if share > 0.0 && share < 1.0 => Ok(Self::Temporal(Cut::Share(share))),
                _ => moment::parse(cut)
                    .map(|at| Self::Temporal(Cut::At(at)))
                    .ok_or_else(unknown),
            },
            Some(_) => Err(unknown()),
        }
    }
}

/// What everyone learns from and is asked, as a [`Dataset`] has it.
pub(crate) struct Parts {
    pub(crate) histories: Vec<Vec<ItemId>>,
    pub(crate) times: Option<Vec<Vec<i64>>>,
    pub(crate) cases: Vec<Option<Held>>,
}

/// Holds out what the split says, where a cut is a time; draws 99 seeded negatives a question.
pub(crate) fn hold_out(
    users: Vec<Vec<Event>>,
    items: usize,
    has_times: bool,
    split: Split,
) -> Parts {
    let mut marks = Marks::new(items);
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    let mut histories = Vec::with_capacity(users.len());
    let mut times = Vec::with_capacity(if has_times { users.len() } else { 0 });
    let mut cases = Vec::with_capacity(users.len());
    let ats = |events: &[Event]| events.iter().map(|event| event.at).collect();
    for mut events in users {
        // Stable: of equal times, the order of the file stays.
        events.sort_by_key(|event| event.at);
        let One { history, held } = one(&events, split, &mut marks);
        drop(events);
        let (learned, asked) = (ids(&history), ids(&held));
        cases.push(asked.split_first().map(|(positive, also)| {
            let mut touched = learned.clone();
            touched.extend(also);
            Held {
                positive: *positive,
                also: also.to_vec(),
                negatives: negatives(&touched, *positive, items, &mut rng),
                times: if has_times { ats(&held) } else { Vec::new() },
            }
        }));
        if has_times {
            times.push(ats(&history));
        }
        histories.push(learned);
    }
    Parts {
        histories,
        times: has_times.then_some(times),
        cases,
    }
}

/// What one user learns from and is asked.
struct One {
    history: Vec<Event>,
    held: Vec<Event>,
}

impl Log {
    /// Splits into what is learned from and what is held out; draws 99 seeded negatives a question.
    pub(crate) fn split(self, split: Split) -> Result<Dataset, DataError> {
        let split = self.resolved(split)?;
        let parts = hold_out(self.users, self.items, self.has_times, split);
        if parts.histories.iter().all(Vec::is_empty) {
            return Err(DataError::NoSuchSplit {
                path: self.file,
                split,
                reason: "no event is before the cut, so there is nothing to learn from; cut later"
                    .to_owned(),
            });
        }
        Ok(Dataset {
            name: self.name,
            items: self.items,
            titles: self.titles,
            item_ids: Some(self.item_ids),
            user_ids: Some(self.user_ids),
            features: self.features,
            split,
            copies: 1,
            histories: parts.histories,
            times: parts.times,
            cases: parts.cases,
            repaired: 0,
            notes: self.notes,
        })
    }

    /// The split with its cut as a time.
    fn resolved(&self, split: Split) -> Result<Split, DataError> {
        let refuse = |reason: &str| DataError::NoSuchSplit {
            path: self.file.clone(),
            split,
            reason: reason.to_owned(),
        };
        match split {
            Split::Published => Err(refuse(
                "these are raw events; leave the split out, or name another",
            )),
            Split::LeaveOneOut => Ok(split),
            Split::Temporal(_) if !self.has_times => {
                Err(refuse("its events have no times; split it `leave-one-out`"))
            }
            Split::Temporal(Cut::At(_)) => Ok(split),
            Split::Temporal(Cut::Share(share)) => {
                let mut times: Vec<i64> =
                    self.users.iter().flatten().map(|event| event.at).collect();
                let place = (times.len() as f64 * (1.0 - share)) as usize;
                let place = place.min(times.len().saturating_sub(1));
                let is_share = share > 0.0 && share < 1.0;
                if times.is_empty() || !is_share {
                    return Err(refuse("the share must lie between 0 and 1"));
                }
                let (_, at, _) = times.select_nth_unstable(place);
                Ok(Split::Temporal(Cut::At(*at)))
            }
        }
    }
}

/// One user's events, in the order of their times.
fn one(events: &[Event], split: Split, marks: &mut Marks) -> One {
    let cut = match split {
        Split::Temporal(Cut::At(cut)) => events.partition_point(|event| event.at < cut),
        _ => events.len(),
    };
    let (before, after) = events.split_at(cut);
    let mut history = latest(before, marks);
    let held = match split {
        Split::LeaveOneOut if history.len() > 1 => history.pop().into_iter().collect(),
        // Of events with the same item the first one after the cut stays: it answers what came next.
        Split::Temporal(_) if !history.is_empty() => after
            .iter()
            .filter(|event| marks.mark(event.item))
            .copied()
            .collect(),
        _ => Vec::new(),
    };
    One { history, held }
}

fn ids(events: &[Event]) -> Vec<ItemId> {
    events.iter().map(|event| event.item).collect()
}
