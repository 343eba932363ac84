use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use chorus_model::{Cause, ItemId, Recommendation, Shelf, TrainError, TrainingSet, Wish, list};
use rand_core::{Rng, TryRng};
use serde::Serialize;

use super::catalogue::{About, Catalogue};
use super::context::Context;
use super::control::Choices;
use super::event::Weights;
use super::guard::{Guards, Limits};
use super::habits::Habits;
use super::item::{ItemRecord, Summary, training_set};
use super::model::Model;
use super::person::Person;
use crate::Purpose;

/// How far a habit, and a pinned topic, move a score: standard deviations of the scores of what may be shown.
const HABIT: f64 = 0.5;
const PIN: f64 = 1.0;

/// The most that the weight of unlikeness is raised to for the floor of diversity, and in how many steps.
const STEPS: u32 = 4;

/// What a list is ordered by.
#[derive(Clone, Copy)]
pub enum Order<'a> {
    /// What fits this person. Without the grant of local personalisation it is [`Order::Popular`].
    Profiled(&'a Model),
    /// What most people touched; nothing of the person but their choices and what they may be shown.
    Popular(&'a Model),
    /// As the app gives the candidates, or else as its catalogue has the items; the same. Needs no model: the list of the first day.
    Editorial,
}

/// A question for a list or a slot.
pub struct Ask<'a> {
    /// What to order by.
    pub order: Order<'a>,
    /// What to choose from; nothing: the items of the model, and for [`Order::Editorial`] those of the app's catalogue.
    pub candidates: Option<&'a [ItemId]>,
    /// What stands elsewhere on the page already.
    pub apart: &'a [ItemId],
    /// What the app knows of the moment.
    pub context: Context,
    /// Length, diversity and chance; a slot is a list of length 1.
    pub wish: Wish,
    /// Somebody else may be looking: what the person hid is neither shown nor named.
    pub discreet: bool,
}

impl<'a> Ask<'a> {
    /// The best `length` of the whole catalogue, in no particular moment.
    pub fn best(order: Order<'a>, length: usize) -> Self {
        Self {
            order,
            candidates: None,
            apart: &[],
            context: Context::default(),
            wish: Wish::best(length),
            discreet: false,
        }
    }
}

/// A list for a person's screen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranked {
    /// The items, best first; fewer than asked for where fewer may be shown.
    pub places: Vec<Recommendation>,
    /// False when nothing that the person did was used.
    pub profiled: bool,
    /// How unlike each other they are: mean of 1 - likeness over all pairs, 1 for fewer than two.
    pub diversity: f64,
}

/// The same list with and without one item of the history. Nothing of it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WhatIf {
    /// As it is.
    pub with: Vec<Recommendation>,
    /// As if the item had never been touched.
    pub without: Vec<Recommendation>,
}

/// All of a person that lists are made of, as it is in the store at one moment.
pub(crate) struct Taste {
    pub records: Vec<ItemRecord>,
    pub choices: Choices,
    pub person: Person,
    /// How often each item was shown today.
    pub shown: BTreeMap<ItemId, u32>,
    pub granted: BTreeSet<Purpose>,
    pub weights: Weights,
    pub guards: Guards,
    /// The person's own time minus UTC, seconds.
    pub offset: i64,
}

/// The host's shelf, without what the guards took off it.
pub(super) struct Guarded<'a> {
    pub allowed: Vec<bool>,
    pub shelf: &'a dyn Shelf,
    pub catalogue: &'a dyn Catalogue,
}

impl Shelf for Guarded<'_> {
    fn may_show(&self, item: ItemId) -> bool {
        self.allowed.get(item.0 as usize).copied().unwrap_or(false)
    }

    fn likeness(&self, one: ItemId, other: ItemId) -> f64 {
        let known = self.shelf.likeness(one, other);
        match (self.catalogue.about(one), self.catalogue.about(other)) {
            (Some(one), Some(other)) => known.max(one.likeness(&other)),
            _ => known,
        }
    }
}

/// A shelf of a few items by their places: their own numbers may be as large as numbers are.
struct Numbered<'a> {
    items: &'a [ItemId],
    shelf: &'a dyn Shelf,
}

impl Numbered<'_> {
    fn item(&self, place: ItemId) -> ItemId {
        self.items.get(place.0 as usize).copied().unwrap_or(place)
    }
}

impl Shelf for Numbered<'_> {
    fn may_show(&self, _: ItemId) -> bool {
        true
    }

    fn likeness(&self, one: ItemId, other: ItemId) -> f64 {
        self.shelf.likeness(self.item(one), self.item(other))
    }
}

impl Taste {
    pub fn is_granted(&self, purpose: Purpose) -> bool {
        self.granted.contains(&purpose)
    }

    /// Runs `work` with what the guards ask of the person's side.
    pub fn limited<T>(&self, discreet: bool, work: impl FnOnce(&Limits<'_>) -> T) -> T {
        let granted = |purpose| self.is_granted(purpose);
        work(&Limits {
            guards: &self.guards,
            granted: &granted,
            choices: &self.choices,
            person: &self.person,
            shown: &self.shown,
            discreet,
        })
    }

    /// Everything that may be learned from, in a catalogue of `items`: no muted item, and none of a sensitive category that was
    /// not granted. Empty without the grant of local personalisation.
    pub fn history(&self, catalogue: &dyn Catalogue, items: usize) -> TrainingSet {
        self.history_of(
            items,
            |item, about, limits| limits.may_learn(item, about),
            catalogue,
        )
    }

    /// The same of what `may` is true of.
    pub fn history_of(
        &self,
        items: usize,
        may: impl Fn(ItemId, Option<&About>, &Limits<'_>) -> bool,
        catalogue: &dyn Catalogue,
    ) -> TrainingSet {
        if !self.is_granted(Purpose::LocalPersonalisation) {
            return TrainingSet::of([], items);
        }
        let third_party = self.is_granted(Purpose::ThirdPartySource);
        self.limited(false, |limits| {
            let records = self.records.iter().filter(|record| {
                let about = catalogue.about(record.item);
                may(record.item, about.as_deref(), limits)
            });
            training_set(records, &self.weights, third_party, items)
        })
    }

    /// The items of the history that may be used: no muted one, none of a category or a source that is off.
    pub fn used(&self, catalogue: &dyn Catalogue) -> BTreeSet<ItemId> {
        let third_party = self.is_granted(Purpose::ThirdPartySource);
        self.limited(false, |limits| {
            let may = |record: &&ItemRecord| {
                let about = catalogue.about(record.item);
                limits.may_learn(record.item, about.as_deref())
                    && record.counts().counted(third_party).next().is_some()
            };
            let used = self.records.iter().filter(may);
            used.map(|record| record.item).collect()
        })
    }

    /// Makes a list: [`list`] over the scores of the history that may be learned from, moved by habits and pins, of what may
    /// be shown.
    pub fn rank(
        &self,
        ask: &Ask<'_>,
        history: Option<&TrainingSet>,
        catalogue: &dyn Catalogue,
        shelf: &dyn Shelf,
        rng: &mut dyn Rng,
    ) -> Result<Ranked, TrainError> {
        let (model, profiled) = match ask.order {
            Order::Profiled(model) => (model, self.is_granted(Purpose::LocalPersonalisation)),
            Order::Popular(model) => (model, false),
            Order::Editorial => return Ok(self.editorial(ask, catalogue, shelf, rng)),
        };
        let seen = match (history, profiled) {
            (Some(history), true) => history.clone(),
            (None, true) => self.history(catalogue, model.items),
            _ => TrainingSet::of([], model.items),
        };
        let mut scores = model.trainer.scores(&seen)?;
        let allowed = self.allowed(ask, &scores, model, profiled, catalogue, shelf);
        let guarded = Guarded {
            allowed,
            shelf,
            catalogue,
        };
        if profiled {
            self.adjust(&mut scores, ask, &seen, &guarded);
        }
        let mut places = self.places(&scores, &seen, ask.wish, &guarded, rng);
        if profiled {
            let sensitive = |item: &ItemId| {
                let about = catalogue.about(*item);
                about.is_some_and(|about| about.sensitive.is_some())
            };
            let sensitive: BTreeSet<ItemId> =
                seen.items().iter().copied().filter(sensitive).collect();
            let mut judged = BTreeSet::new();
            let behind = scores.iter().copied().fold(f32::INFINITY, f32::min) - 1.0;
            // Each turn puts at least one item behind the others that was judged for the first time.
            while !sensitive.is_empty() {
                let creepy = self.creepy(model, &seen, &places, &sensitive, &mut judged)?;
                if creepy.is_empty() {
                    break;
                }
                for item in creepy {
                    if let Some(score) = scores.get_mut(item.0 as usize) {
                        *score = behind;
                    }
                }
                places = self.places(&scores, &seen, ask.wish, &guarded, rng);
            }
        }
        Ok(Ranked {
            diversity: diversity(&places, &guarded),
            places,
            profiled: profiled && !seen.is_empty(),
        })
    }

    /// A list in the order of the candidates or of the catalogue.
    fn editorial(
        &self,
        ask: &Ask<'_>,
        catalogue: &dyn Catalogue,
        shelf: &dyn Shelf,
        rng: &mut dyn Rng,
    ) -> Ranked {
        let items = match ask.candidates {
            Some(candidates) => candidates.to_vec(),
            None => catalogue.items(),
        };
        let mut taken: BTreeSet<ItemId> = ask.apart.iter().copied().collect();
        let unknown = BTreeMap::new();
        let items: Vec<ItemId> = self.limited(ask.discreet, |limits| {
            // How often somebody saw something is theirs too.
            let shown = &unknown;
            let limits = Limits { shown, ..*limits };
            let may = |item: &ItemId| {
                let about = catalogue.about(*item);
                limits.may_show(*item, about.as_deref()) && shelf.may_show(*item)
            };
            let once = items.into_iter().filter(|item| taken.insert(*item));
            once.filter(may).collect()
        });
        let scores: Vec<f32> = (0..items.len()).map(|place| 0.0 - place as f32).collect();
        let guarded = Guarded {
            allowed: Vec::new(),
            shelf,
            catalogue,
        };
        let numbered = Numbered {
            items: &items,
            shelf: &guarded,
        };
        let unseen = TrainingSet::of([], items.len());
        let mut places = self.places(&scores, &unseen, ask.wish, &numbered, rng);
        let diversity = diversity(&places, &numbered);
        for place in &mut places {
            place.item = numbered.item(place.item);
        }
        Ranked {
            places,
            profiled: false,
            diversity,
        }
    }

    /// For each item whether it may be on this list, `[items]`.
    fn allowed(
        &self,
        ask: &Ask<'_>,
        scores: &[f32],
        model: &Model,
        profiled: bool,
        catalogue: &dyn Catalogue,
        shelf: &dyn Shelf,
    ) -> Vec<bool> {
        let mut allowed = vec![ask.candidates.is_none(); scores.len()];
        let mut set = |items: &[ItemId], value| {
            for item in items {
                if let Some(cell) = allowed.get_mut(item.0 as usize) {
                    *cell = value;
                }
            }
        };
        set(ask.candidates.unwrap_or_default(), true);
        set(ask.apart, false);
        if profiled {
            let third_party = self.is_granted(Purpose::ThirdPartySource);
            let dismissed = |record: &&ItemRecord| record.is_dismissed(third_party);
            let dismissed = self.records.iter().filter(dismissed);
            set(
                &dismissed.map(|record| record.item).collect::<Vec<_>>(),
                false,
            );
        }
        let counts = model.counts.as_deref();
        let unknown = BTreeMap::new();
        self.limited(ask.discreet, |limits| {
            // How often somebody saw something is theirs too.
            let shown = if profiled { limits.shown } else { &unknown };
            let limits = Limits { shown, ..*limits };
            for (item, cell) in (0u32..).map(ItemId).zip(&mut allowed) {
                if !*cell {
                    continue;
                }
                let count = counts.and_then(|counts| counts.get(item.0 as usize));
                let about = catalogue.about(item);
                *cell = count.is_none_or(|count| *count >= self.guards.crowd)
                    && limits.may_show(item, about.as_deref())
                    && shelf.may_show(item);
            }
        });
        allowed
    }

    /// Moves the scores by what the person does in such moments, and by what they want more of.
    fn adjust(&self, scores: &mut [f32], ask: &Ask<'_>, seen: &TrainingSet, guarded: &Guarded<'_>) {
        let catalogue = guarded.catalogue;
        let touched: Vec<(Cow<'_, About>, Summary)> = match ask.context.bands().is_empty() {
            true => Vec::new(),
            false => {
                let of_history = |record: &&ItemRecord| seen.contains(record.item);
                let known = self.records.iter().filter(of_history).filter_map(|record| {
                    Some((catalogue.about(record.item)?, record.total(self.offset)))
                });
                known.collect()
            }
        };
        let events = touched
            .iter()
            .map(|(about, total)| (&**about, &total.bands));
        let habits = Habits::new(&ask.context, events);
        let pinned = self.choices.pinned();
        if habits.is_empty() && pinned.is_empty() {
            return;
        }
        let deviation = deviation(scores, &guarded.allowed);
        let places = (0u32..).map(ItemId).zip(scores).zip(&guarded.allowed);
        for ((item, score), _) in places.filter(|(_, allowed)| **allowed) {
            let Some(about) = catalogue.about(item) else {
                continue;
            };
            let wanted = about
                .topics
                .iter()
                .any(|topic| pinned.contains(topic.as_str()));
            let pin = if wanted { PIN } else { 0.0 };
            *score += (deviation * (HABIT * habits.lift(&about) + pin)) as f32;
        }
    }

    /// The list, with as much unlikeness as the floor asks for.
    fn places(
        &self,
        scores: &[f32],
        seen: &TrainingSet,
        wish: Wish,
        shelf: &dyn Shelf,
        rng: &mut dyn Rng,
    ) -> Vec<Recommendation> {
        let mut step = 0;
        loop {
            let raised = f64::from(step) / f64::from(STEPS);
            let wish = Wish {
                diversity: wish.diversity.max(raised),
                ..wish
            };
            let places = list(scores, seen, wish, shelf, rng);
            if step == STEPS || diversity(&places, shelf) >= self.guards.diversity {
                return places;
            }
            step += 1;
        }
    }

    /// Those of the places that are there because of one sensitive item, among those not judged before.
    fn creepy(
        &self,
        model: &Model,
        seen: &TrainingSet,
        places: &[Recommendation],
        sensitive: &BTreeSet<ItemId>,
        judged: &mut BTreeSet<ItemId>,
    ) -> Result<Vec<ItemId>, TrainError> {
        let mut creepy = Vec::new();
        for place in places {
            if judged.insert(place.item) {
                let causes = model.trainer.explain(seen, place.item)?;
                let is_creepy = self.limited(false, |limits| {
                    limits.is_creepy(&causes, |item| sensitive.contains(&item))
                });
                creepy.extend(is_creepy.then_some(place.item));
            }
        }
        Ok(creepy)
    }

    /// What of the history speaks for an item, the strongest first, at most `most`: real parts of the score, without those
    /// that may not be named.
    pub fn reasons(
        &self,
        model: &Model,
        item: ItemId,
        most: usize,
        discreet: bool,
        catalogue: &dyn Catalogue,
    ) -> Result<Vec<Cause>, TrainError> {
        let history = self.history(catalogue, model.items);
        let mut causes = model.trainer.explain(&history, item)?;
        self.limited(discreet, |limits| {
            causes.retain(|cause| {
                let about = catalogue.about(cause.item);
                cause.adds > 0.0 && limits.may_name(cause.item, about.as_deref())
            });
        });
        causes.sort_by(|left, right| right.adds.total_cmp(&left.adds));
        causes.truncate(most);
        Ok(causes)
    }

    /// The same list with and without `item` in the history; nothing by chance.
    pub fn what_if(
        &self,
        ask: &Ask<'_>,
        item: ItemId,
        catalogue: &dyn Catalogue,
        shelf: &dyn Shelf,
        rng: &mut dyn Rng,
    ) -> Result<WhatIf, TrainError> {
        let wish = Wish {
            exploration: 0.0,
            ..ask.wish
        };
        let ask = Ask {
            wish,
            context: ask.context.clone(),
            ..*ask
        };
        let items = match ask.order {
            Order::Profiled(model) => model.items,
            Order::Popular(_) | Order::Editorial => 0,
        };
        let with = self.history(catalogue, items);
        let without = with.without(item);
        let mut rank = |history| {
            let ranked = self.rank(&ask, Some(history), catalogue, shelf, rng)?;
            Ok::<_, TrainError>(ranked.places)
        };
        Ok(WhatIf {
            with: rank(&with)?,
            without: rank(&without)?,
        })
    }
}

/// For lists that leave nothing to chance.
pub(crate) struct NoChance;

impl TryRng for NoChance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        Ok(())
    }
}

/// Of the scores of what is allowed.
fn deviation(scores: &[f32], allowed: &[bool]) -> f64 {
    let scores = || {
        let both = scores.iter().zip(allowed).filter(|(_, allowed)| **allowed);
        both.map(|(score, _)| f64::from(*score))
    };
    let count = scores().count().max(1) as f64;
    let mean = scores().sum::<f64>() / count;
    let squares: f64 = scores().map(|score| (score - mean) * (score - mean)).sum();
    (squares / count).sqrt()
}

/// Mean of 1 - likeness over all pairs (ILD, recommender.md 5).
fn diversity(places: &[Recommendation], shelf: &dyn Shelf) -> f64 {
    let pairs = places.iter().enumerate().flat_map(|(place, one)| {
        let rest = places.iter().skip(place + 1);
        rest.map(move |other| 1.0 - shelf.likeness(one.item, other.item))
    });
    let (sum, count) = pairs.fold((0.0, 0.0), |(sum, count), next| (sum + next, count + 1.0));
    if count > 0.0 { sum / count } else { 1.0 }
}
