//! What follows from the history besides lists: what goes with a basket, what will be needed next, which group somebody is in,
//! which offers fit.

use std::collections::BTreeMap;

use chorus_model::{ItemId, Recommendation, Shelf, TrainError, TrainingSet, Wish, list};
use serde::{Deserialize, Serialize};

use super::catalogue::{About, Catalogue};
use super::control::Choice;
use super::event::{DAY, EventKind};
use super::guard::Limits;
use super::model::Model;
use super::offer::{Offer, Offered};
use super::rank::{Guarded, NoChance, Taste};
use crate::map::Language;
use crate::{Error, Purpose};

/// Something that the person buys again and again, and when they usually do.
///
/// # Privacy
/// For this person's lists and screens alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The item.
    pub item: ItemId,
    /// The middle of the days between one purchase and the next; of two middles the smaller.
    pub every: i64,
    /// Days since the last purchase.
    pub since: i64,
}

/// Published rules that say who is in which group of people. Devices read them; nobody learns who is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// The groups.
    #[serde(default, rename = "group")]
    pub groups: Vec<Group>,
}

/// One group, and its rule: all of its conditions hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What it is called in files and choices.
    pub name: String,
    /// What it is called for people.
    pub title: BTreeMap<Language, String>,
    /// The conditions.
    pub all: Vec<Condition>,
}

/// So many events with items of a topic in so many days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The topic, as the app's catalogue names it.
    pub topic: String,
    /// Events at least.
    pub least: u32,
    /// With items that were touched in so many days.
    pub days: u32,
}

impl Groups {
    /// Reads published rules, TOML: `[[group]]` with `name`, `title` and `all = [{ topic = …, least = …, days = … }]`.
    ///
    /// # Errors
    /// [`Error::Rules`], with what was expected where.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| Error::Rules {
            reason: error.to_string(),
        })
    }
}

impl Taste {
    /// What people touch together with what is in the basket: the `n` items whose vectors are most like those of the basket. Nothing
    /// of the history is used but what the person may be shown.
    pub fn goes_with(
        &self,
        model: &Model,
        basket: &[ItemId],
        n: usize,
        catalogue: &dyn Catalogue,
        shelf: &dyn Shelf,
    ) -> Vec<Recommendation> {
        let items = (0..model.items as u32).map(ItemId);
        let scores: Option<Vec<f32>> = items
            .clone()
            .map(|item| model.goes_with(basket, item).map(|score| score as f32))
            .collect();
        let Some(scores) = scores else {
            return Vec::new();
        };
        let crowd = |item: ItemId| {
            let counts = model.counts.as_ref();
            let count = counts.and_then(|counts| counts.get(item.0 as usize));
            count.is_none_or(|count| *count >= self.guards.crowd)
        };
        let allowed = self.limited(false, |limits| {
            let may = |item| {
                let about = catalogue.about(item);
                crowd(item) && limits.may_show(item, about.as_deref()) && shelf.may_show(item)
            };
            items.map(may).collect()
        });
        let guarded = Guarded {
            allowed,
            shelf,
            catalogue,
        };
        let basket = TrainingSet::of(basket.iter().copied(), model.items);
        list(&scores, &basket, Wish::best(n), &guarded, &mut NoChance)
    }

    /// What was bought on three days or more and is due again on the day `today` (since 1970): at least four fifths of the usual
    /// days have gone, and not yet three times as many; the most overdue first. An estimate from a person's own days and nothing else.
    pub fn needs(&self, today: i64, catalogue: &dyn Catalogue) -> Vec<Need> {
        if !self.is_granted(Purpose::LocalPersonalisation) {
            return Vec::new();
        }
        let third_party = self.is_granted(Purpose::ThirdPartySource);
        let mut needs: Vec<Need> = Vec::new();
        for record in &self.records {
            let about = catalogue.about(record.item);
            let may = self.limited(false, |limits| {
                limits.may_learn(record.item, about.as_deref())
                    && limits.may_show(record.item, about.as_deref())
            });
            let total = record.counts();
            let bought = total.counted(third_party);
            let bought = bought.filter(|tally| tally.kind == EventKind::Purchase);
            let mut days: Vec<i64> = bought.flat_map(|tally| tally.days.clone()).collect();
            days.sort_unstable();
            days.dedup();
            let mut gaps: Vec<i64> = days
                .iter()
                .zip(days.iter().skip(1))
                .map(|(one, next)| next - one)
                .collect();
            gaps.sort_unstable();
            let middle = gaps.len().saturating_sub(1) / 2;
            if let (true, true, Some(every), Some(last)) =
                (may, gaps.len() >= 2, gaps.get(middle), days.last())
            {
                needs.push(Need {
                    item: record.item,
                    every: *every,
                    since: today - last,
                });
            }
        }
        needs.retain(|need| 5 * need.since >= 4 * need.every && need.since < 3 * need.every);
        // By since / every, without fractions.
        needs.sort_by(|one, other| {
            let overdue = (other.since * one.every).cmp(&(one.since * other.every));
            overdue.then(one.item.cmp(&other.item))
        });
        needs
    }

    /// The names of the groups that the person is in on the day `today`: by the rules, and by what the person chose.
    pub fn groups<'a>(
        &self,
        rules: &'a Groups,
        today: i64,
        catalogue: &dyn Catalogue,
    ) -> Vec<&'a str> {
        if !self.is_granted(Purpose::LocalPersonalisation) {
            return Vec::new();
        }
        let third_party = self.is_granted(Purpose::ThirdPartySource);
        // Items of a sensitive category put nobody into a group, granted or not.
        let known = self.records.iter().filter_map(|record| {
            let about = catalogue.about(record.item)?;
            let may = self.limited(false, |limits| is_plain(record.item, Some(&about), limits));
            may.then(|| (about, record.counts()))
        });
        let known: Vec<_> = known.collect();
        let holds = |condition: &Condition| {
            let from = (today - i64::from(condition.days)) * DAY;
            let of_topic = known
                .iter()
                .filter(|(about, _)| about.topics.contains(&condition.topic));
            let events = of_topic.flat_map(|(_, total)| total.counted(third_party));
            let events =
                events.filter(|tally| tally.last >= from && tally.kind != EventKind::Dismiss);
            let count = events.map(|tally| u64::from(tally.count)).sum::<u64>();
            count >= u64::from(condition.least)
        };
        let is_in = |group: &&Group| match self.choices.group(&group.name) {
            Some(Choice::In) => true,
            Some(_) => false,
            None => !group.all.is_empty() && group.all.iter().all(holds),
        };
        let groups = rules.groups.iter().filter(is_in);
        groups.map(|group| group.name.as_str()).collect()
    }

    /// The `n` offers that fit the person best, and why. None of a sensitive item, and none because of one, granted or not; nothing
    /// without the grant of personalised offers.
    pub fn offers(
        &self,
        model: &Model,
        offers: &[Offer],
        n: usize,
        catalogue: &dyn Catalogue,
    ) -> Result<Vec<Offered>, TrainError> {
        if !self.is_granted(Purpose::PersonalisedOffers) {
            return Ok(Vec::new());
        }
        let history = self.history_of(model.items, is_plain, catalogue);
        let scores = model.trainer.scores(&history)?;
        let mut fitting: Vec<(f32, &Offer)> = offers
            .iter()
            .filter_map(|offer| {
                let item = offer.item();
                let about = catalogue.about(item);
                let may = self.limited(false, |limits| {
                    limits.may_show(item, about.as_deref())
                        && is_plain(item, about.as_deref(), limits)
                });
                let score = scores.get(item.0 as usize)?;
                may.then_some((*score, offer))
            })
            .collect();
        fitting.sort_by(|(one, left), (other, right)| {
            other.total_cmp(one).then(left.item().cmp(&right.item()))
        });
        fitting.truncate(n);
        let why = |(_, offer): (f32, &Offer)| {
            let mut causes = model.trainer.explain(&history, offer.item())?;
            causes.retain(|cause| cause.adds > 0.0);
            causes.sort_by(|left, right| right.adds.total_cmp(&left.adds));
            Ok(Offered {
                offer: offer.clone(),
                because: causes.iter().take(2).map(|cause| cause.item).collect(),
            })
        };
        fitting.into_iter().map(why).collect()
    }

    /// What may stand outside the app, on a locked screen or in the subject of a mail: the title of an item where nothing about it
    /// is sensitive, hidden or muted, and otherwise a sentence that says nothing.
    pub fn notification(
        &self,
        item: ItemId,
        language: Language,
        catalogue: &dyn Catalogue,
    ) -> String {
        let about = catalogue.about(item);
        let title = about.as_deref().filter(|about| {
            self.limited(true, |limits| {
                about.sensitive.is_none()
                    && limits.may_show(item, Some(about))
                    && limits.may_name(item, Some(about))
            })
        });
        match (title, language) {
            (Some(about), Language::English) => format!("New for you: {}", about.title),
            (Some(about), Language::German) => format!("Neu für dich: {}", about.title),
            (None, Language::English) => "There is something new for you.".to_owned(),
            (None, Language::German) => "Es gibt etwas Neues für dich.".to_owned(),
        }
    }
}

/// May be learned from, and is of no sensitive category at all.
fn is_plain(item: ItemId, about: Option<&About>, limits: &Limits<'_>) -> bool {
    limits.may_learn(item, about) && about.is_none_or(|about| about.sensitive.is_none())
}
