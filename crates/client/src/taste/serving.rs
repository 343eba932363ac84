use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chorus_model::{Cause, Engine, ItemId, Parameters, Recommendation, Shelf, TrainError};
use chorus_protocol::TaskName;
use rand_core::Rng;
use serde::{Deserialize, Serialize};

use super::catalogue::Catalogue;
use super::control::{Choices, Control, Subject};
use super::event::DAY;
use super::model::Model;
use super::next::{Groups, Need};
use super::offer::{Offer, Offered};
use super::parameters::MainParameter;
use super::person::Person;
use super::rank::{Ask, Order, Ranked, Taste, WhatIf};
use super::tidy::Dated;
use crate::map::{Language, nearest, scan};
use crate::store::{Kind, Record};
use crate::{Client, Error, Purpose};

/// Topics and names of groups longer than this are texts.
const LONGEST: usize = 80;

/// How often which items were shown on one day.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Shown {
    /// Since 1970.
    pub day: i64,
    pub items: BTreeMap<ItemId, u32>,
}

impl Record for Shown {
    const KIND: Kind = Kind::Shown;

    fn key(&self) -> String {
        shown_key(self.day)
    }
}

impl Dated for Shown {
    fn day(&self) -> i64 {
        self.day
    }
}

fn shown_key(day: i64) -> String {
    format!("{day:010}")
}

impl Record for Control {
    const KIND: Kind = Kind::Control;

    fn key(&self) -> String {
        self.what.key()
    }
}

impl Subject {
    /// One for each subject.
    fn key(&self) -> String {
        match self {
            Self::Item(item) => format!("item {:010}", item.0),
            Self::Topic(topic) => format!("topic {topic}"),
            Self::Group(group) => format!("group {group}"),
        }
    }
}

impl Record for Person {
    const KIND: Kind = Kind::Person;

    fn key(&self) -> String {
        String::new()
    }
}

/// The lists of a person, and what the person says about them. Everything happens on the device.
impl Client {
    /// Hands in what the app knows about its items, for everything that follows. Without it no item is sensitive, none has a topic,
    /// and nothing is shown to somebody who muted a topic.
    pub fn set_catalogue(&mut self, catalogue: Arc<dyn Catalogue>) {
        self.catalogue = catalogue;
    }

    /// The newest model of `task` that is here, opened for any number of lists.
    ///
    /// # Errors
    /// [`Error::NoModel`] before the first model came; [`Error::Recommend`] when the engine does not have its kind.
    pub fn model(&self, task: &TaskName, engine: &dyn Engine) -> Result<Model, Error> {
        let model = self.store.model(task)?;
        let model = model.ok_or_else(|| Error::NoModel { task: task.clone() })?;
        let open = || {
            let parameters = Parameters::from_bytes(&model.bytes)?;
            Model::open(task, &parameters, engine)
        };
        open().map_err(|reason| Error::Recommend {
            task: task.clone(),
            reason,
        })
    }

    /// A list or a slot: unseen items that may be shown, by what fits the person in this moment, kept in bounds by the guards of the
    /// settings. `rng` decides what chance draws; the same gives the same list. `now`: seconds since 1970 UTC.
    ///
    /// # Errors
    /// [`Error::NoCandidates`] for [`Order::Editorial`] where neither `ask` nor the catalogue names an item; [`Error::Recommend`] when the
    /// model and the engine do not fit together; when the store cannot be used.
    ///
    /// # Privacy
    /// The list says what the person likes: it is for their screen. Nothing that was used for it leaves.
    pub fn rank(
        &mut self,
        ask: &Ask<'_>,
        shelf: &dyn Shelf,
        rng: &mut dyn Rng,
        now: i64,
    ) -> Result<Ranked, Error> {
        self.tidy(now)?;
        self.check(ask)?;
        let taste = self.taste(Some(now))?;
        let ranked = taste.rank(ask, None, &*self.catalogue, shelf, rng);
        fitting(ask.order, ranked)
    }

    /// The same list with and without `item` in the history. Nothing is stored. For a list that is not made of the history both are
    /// the same.
    ///
    /// # Errors
    /// As [`Client::rank`].
    pub fn what_if(
        &self,
        ask: &Ask<'_>,
        item: ItemId,
        shelf: &dyn Shelf,
        rng: &mut dyn Rng,
        now: i64,
    ) -> Result<WhatIf, Error> {
        self.check(ask)?;
        let taste = self.taste(Some(now))?;
        let both = taste.what_if(ask, item, &*self.catalogue, shelf, rng);
        fitting(ask.order, both)
    }

    /// Why `item` has its place: the `most` items of the history that speak for it most, as real parts of its score. Nothing muted or
    /// sensitive is ever named; `discreet`: nothing hidden either.
    ///
    /// # Errors
    /// As [`Client::rank`]; also for an item that the model does not have.
    pub fn reasons(
        &self,
        model: &Model,
        item: ItemId,
        most: usize,
        discreet: bool,
    ) -> Result<Vec<Cause>, Error> {
        let taste = self.taste(None)?;
        let reasons = taste.reasons(model, item, most, discreet, &*self.catalogue);
        fitting(Order::Profiled(model), reasons)
    }

    /// Tells that these items were on the screen at `now`, so that none is shown too often. Nothing is kept without the grant of
    /// local personalisation, and of a sensitive item nothing without the one of its category.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn shown(&mut self, items: &[ItemId], now: i64) -> Result<(), Error> {
        self.tidy(now)?;
        if self.is_private {
            return Ok(());
        }
        let day = now.div_euclid(DAY);
        let category = |item: &ItemId| (*item, self.category(*item).map(Purpose::Sensitive));
        let items: Vec<(ItemId, Option<Purpose>)> = items.iter().map(category).collect();
        self.write_granted(|batch, granted| {
            let may = |purpose: &Purpose| granted.contains(purpose);
            let seen = items
                .iter()
                .filter(|(_, purpose)| purpose.as_ref().is_none_or(may));
            let mut seen = seen.peekable();
            if !may(&Purpose::LocalPersonalisation) || seen.peek().is_none() {
                return Ok(());
            }
            let shown = batch.get::<Shown>(&shown_key(day))?;
            let mut shown = shown.unwrap_or_default();
            shown.day = day;
            for (item, _) in seen {
                let times = shown.items.entry(*item).or_default();
                *times = times.saturating_add(1);
            }
            batch.put(&shown)
        })
    }

    /// Whether the app's catalogue names items: then there is a list before there is a model.
    pub fn lists_items(&self) -> bool {
        !self.catalogue.items().is_empty()
    }

    /// Every topic of the app's catalogue: what a person can choose about.
    pub fn topics(&self) -> BTreeSet<String> {
        self.catalogue.topics()
    }

    /// Keeps a choice of the person, in the place of what was chosen about the same before; it holds from the next list on. Nothing is
    /// kept, and false is the answer, without the grant of local personalisation.
    ///
    /// While a topic is muted, an item whose topics nobody knows is not shown and not learned from either: it may be of that topic.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`] when no item of the catalogue has the topic: the choice would do nothing, and nobody would notice.
    /// [`Error::Personal`] when a topic or a group looks like something about a person; when the store cannot be written.
    pub fn choose(&mut self, control: &Control) -> Result<bool, Error> {
        if let Subject::Topic(text) | Subject::Group(text) = &control.what {
            check_text("what", text)?;
        }
        if let Subject::Topic(topic) = &control.what {
            let known = self.topics();
            if !known.contains(topic) {
                return Err(Error::UnknownTopic {
                    topic: topic.clone(),
                    nearest: nearest(topic, known.iter().map(String::as_str)).map(str::to_owned),
                });
            }
        }
        self.put_granted(control)
    }

    /// Takes a choice back; false when there was none.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn unchoose(&mut self, what: &Subject) -> Result<bool, Error> {
        let key = what.key();
        Ok(self.store.write(|batch| batch.remove::<Control>(&key))?)
    }

    /// Every choice that holds.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn choices(&self) -> Result<Vec<Control>, Error> {
        Ok(self.store.all()?)
    }

    /// What the person said about themselves.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn person(&self) -> Result<Person, Error> {
        Ok(self.store.get("")?.unwrap_or_default())
    }

    /// Keeps what the person says about themselves; nothing is kept, and false is the answer, without the grant of local
    /// personalisation.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_person(&mut self, person: &Person) -> Result<bool, Error> {
        self.put_granted(person)
    }

    /// Keeps what is only kept for personalisation; false where that is not granted.
    fn put_granted(&mut self, record: &impl Record) -> Result<bool, Error> {
        self.write_granted(|batch, granted| {
            let is_granted = granted.contains(&Purpose::LocalPersonalisation);
            if is_granted {
                batch.put(record)?;
            }
            Ok(is_granted)
        })
    }

    /// What goes with a basket: the `n` items whose vectors in the model are most like those of the items in it. None where the model
    /// has no vectors.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn goes_with(
        &self,
        model: &Model,
        basket: &[ItemId],
        n: usize,
        shelf: &dyn Shelf,
        now: i64,
    ) -> Result<Vec<Recommendation>, Error> {
        let taste = self.taste(Some(now))?;
        Ok(taste.goes_with(model, basket, n, &*self.catalogue, shelf))
    }

    /// What the person buys again and again and may need again at `now`. A plain estimate: the middle of the days between purchases.
    ///
    /// # Errors
    /// When the store cannot be read.
    ///
    /// # Privacy
    /// For timing and ranking on this device alone.
    pub fn needs(&self, now: i64) -> Result<Vec<Need>, Error> {
        let taste = self.taste(Some(now))?;
        Ok(taste.needs(now.div_euclid(DAY), &*self.catalogue))
    }

    /// The names of the groups of `rules` that the person is in at `now`. They have the last word: [`Client::choose`] with
    /// [`Choice::In`](crate::Choice::In) or [`Choice::Out`](crate::Choice::Out).
    ///
    /// # Errors
    /// When the store cannot be read.
    ///
    /// # Privacy
    /// Decided here, and no message can carry it.
    pub fn groups<'a>(&self, rules: &'a Groups, now: i64) -> Result<Vec<&'a str>, Error> {
        let taste = self.taste(Some(now))?;
        Ok(taste.groups(rules, now.div_euclid(DAY), &*self.catalogue))
    }

    /// The `n` of these offers that fit the person best, each with its reason; none without the grant of personalised offers.
    ///
    /// # Errors
    /// As [`Client::rank`].
    pub fn offers(
        &self,
        model: &Model,
        offers: &[Offer],
        n: usize,
        now: i64,
    ) -> Result<Vec<Offered>, Error> {
        let taste = self.taste(Some(now))?;
        let offered = taste.offers(model, offers, n, &*self.catalogue);
        fitting(Order::Profiled(model), offered)
    }

    /// What may be said of an item outside the app: on a locked screen, in the subject of a mail.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn notification(&self, item: ItemId, language: Language) -> Result<String, Error> {
        let taste = self.taste(None)?;
        Ok(taste.notification(item, language, &*self.catalogue))
    }

    /// The main parameters of this person's lists, for a page that everybody can read: what each does, what it is now, how to change it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn main_parameters(&self, language: Language) -> Result<Vec<MainParameter>, Error> {
        self.taste(None)?
            .main_parameters(language, &*self.catalogue)
    }

    /// There has to be something to choose from.
    fn check(&self, ask: &Ask<'_>) -> Result<(), Error> {
        let needs_catalogue = matches!(ask.order, Order::Editorial) && ask.candidates.is_none();
        match needs_catalogue && !self.lists_items() {
            true => Err(Error::NoCandidates),
            false => Ok(()),
        }
    }

    /// All that lists are made of. `now`: for what was shown on that day.
    pub(crate) fn taste(&self, now: Option<i64>) -> Result<Taste, Error> {
        let granted = self.grants()?;
        let today = match now {
            Some(now) => self.store.get::<Shown>(&shown_key(now.div_euclid(DAY)))?,
            None => None,
        };
        Ok(Taste {
            records: match granted.contains(&Purpose::LocalPersonalisation) {
                true => self.store.all()?,
                false => Vec::new(),
            },
            choices: Choices::new(self.choices()?),
            person: self.person()?,
            shown: today.unwrap_or_default().items,
            granted: granted.as_ref().clone(),
            weights: self.settings.weights.clone(),
            guards: self.settings.guards.clone(),
            offset: self.settings.utc_offset,
        })
    }
}

/// Says of which task a model is at fault.
pub(crate) fn fitting<T>(order: Order<'_>, found: Result<T, TrainError>) -> Result<T, Error> {
    found.map_err(|reason| match order {
        Order::Profiled(model) | Order::Popular(model) => Error::Recommend {
            task: model.task.clone(),
            reason,
        },
        // Without a model nothing can go wrong with one.
        Order::Editorial => Error::Rules {
            reason: reason.to_string(),
        },
    })
}

/// A text that is kept must not be about a person.
fn check_text(field: &'static str, text: &str) -> Result<(), Error> {
    if let Some(found) = scan(text).first() {
        return Err(Error::Personal {
            field,
            what: found.what,
        });
    }
    match text.chars().count() {
        1..=LONGEST => Ok(()),
        _ => Err(Error::Rules {
            reason: format!("`{field}` has 1 to {LONGEST} letters"),
        }),
    }
}
