use std::collections::BTreeMap;

use chorus_model::{Cause, ItemId};
use serde::{Deserialize, Serialize};

use super::catalogue::About;
use super::control::{Choice, Choices};
use super::person::Person;
use crate::{Category, Purpose};

/// What keeps lists from being uncanny, narrow or tiring. The default is the careful choice in every field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guards {
    /// Items of a sensitive category that the person did not grant are neither learned from nor shown: true.
    pub sensitive: bool,
    /// The share of a score that may come from the one sensitive item that adds most to it; above it the item goes behind
    /// all others: 0.2 (recommender.md 5 d).
    pub creep: f64,
    /// The least released count of an item that is shown: 2. In a model without noise a person counts 1; in one with noise one
    /// over the root of the length of their history, so that 2 are 20 people with 100 items each (recommender.md 5 f).
    pub crowd: f32,
    /// How unlike each other the items of a list are at least, mean of 1 - likeness over all pairs: 0.2. Reached as far as what
    /// may be shown allows.
    pub diversity: f64,
    /// How often an item is shown on one day at most: 10.
    pub shown: u32,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            sensitive: true,
            creep: 0.2,
            crowd: 2.0,
            diversity: 0.2,
            shown: 10,
        }
    }
}

/// What the guards ask of the person's side.
pub(crate) struct Limits<'a> {
    pub guards: &'a Guards,
    pub granted: &'a dyn Fn(Purpose) -> bool,
    pub choices: &'a Choices,
    pub person: &'a Person,
    /// How often each item was shown today.
    pub shown: &'a BTreeMap<ItemId, u32>,
    /// Somebody else may be looking.
    pub discreet: bool,
}

impl Limits<'_> {
    /// Whether the category is one that the person did not grant.
    fn is_forbidden(&self, category: Option<Category>) -> bool {
        let granted = |category| (self.granted)(Purpose::Sensitive(category));
        self.guards.sensitive && category.is_some_and(|category| !granted(category))
    }

    /// Whether an item of the history may be learned from.
    pub fn may_learn(&self, item: ItemId, about: Option<&About>) -> bool {
        !self.choices.any(item, about, &[Choice::Mute])
            && !self.is_forbidden(about.and_then(|about| about.sensitive))
    }

    /// Whether an item may be shown.
    pub fn may_show(&self, item: ItemId, about: Option<&About>) -> bool {
        let hidden: &[Choice] = match self.discreet {
            true => &[Choice::Mute, Choice::NotInterested, Choice::Hide],
            false => &[Choice::Mute, Choice::NotInterested],
        };
        let fits = |about: &About| {
            !self.is_forbidden(about.sensitive)
                && about.is_for(self.person.age, self.person.region.as_ref())
        };
        !self.choices.any(item, about, hidden)
            && self
                .shown
                .get(&item)
                .is_none_or(|times| *times < self.guards.shown)
            && about.is_none_or(fits)
    }

    /// Whether an item may be named in a reason or outside the app. One of a sensitive category never is, granted or not.
    pub fn may_name(&self, item: ItemId, about: Option<&About>) -> bool {
        let unnamed = [Choice::Mute, Choice::NotInterested, Choice::Hide];
        let unnamed = if self.discreet {
            &unnamed[..]
        } else {
            &unnamed[..1]
        };
        let plain = about.is_none_or(|about| about.sensitive.is_none());
        !self.choices.any(item, about, unnamed) && (plain || !self.guards.sensitive)
    }

    /// Whether what the sensitive items of the history add to a score is more than may be.
    pub fn is_creepy(&self, causes: &[Cause], is_sensitive: impl Fn(ItemId) -> bool) -> bool {
        creep(causes, is_sensitive) > self.guards.creep
    }
}

/// max(0, max over sensitive i of s(j, i)) / sum over i of |s(j, i)|: recommender.md 5 d.
fn creep(causes: &[Cause], is_sensitive: impl Fn(ItemId) -> bool) -> f64 {
    let total: f64 = causes.iter().map(|cause| f64::from(cause.adds.abs())).sum();
    let sensitive = causes.iter().filter(|cause| is_sensitive(cause.item));
    let most = sensitive.fold(0.0f64, |most, cause| most.max(f64::from(cause.adds)));
    if total > 0.0 { most / total } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taste::{Control, Subject};
    use crate::{AgeBand, Region};

    fn about(topic: &str, sensitive: Option<Category>) -> About {
        About {
            topics: vec![topic.to_owned()],
            sensitive,
            ..About::default()
        }
    }

    #[test]
    fn creep_is_the_largest_sensitive_share() {
        let cause = |item, adds| Cause {
            item: ItemId(item),
            adds,
        };
        let causes = [cause(1, 3.0), cause(2, -1.0), cause(3, 1.0), cause(4, 0.5)];
        let of = |sensitive: &[u32]| creep(&causes, |item| sensitive.contains(&item.0));
        assert_eq!(of(&[3, 4]), 1.0 / 5.5);
        assert_eq!(of(&[1, 3]), 3.0 / 5.5);
        assert_eq!(of(&[2]), 0.0);
        assert_eq!(of(&[]), 0.0);
        assert_eq!(creep(&[], |_| true), 0.0);
    }

    #[test]
    fn what_may_be_learned_shown_and_named() {
        let control = |what, choice| Control { what, choice };
        let topic = |topic: &str| Subject::Topic(topic.to_owned());
        let choices = Choices::new([
            control(Subject::Item(ItemId(1)), Choice::Mute),
            control(Subject::Item(ItemId(2)), Choice::NotInterested),
            control(topic("war"), Choice::Mute),
            control(topic("gifts"), Choice::Hide),
        ]);
        let (guards, person) = (Guards::default(), Person::default());
        let shown = BTreeMap::from([(ItemId(7), 10), (ItemId(8), 9)]);
        let limits = |granted, discreet| {
            let granted: &dyn Fn(Purpose) -> bool = if granted { &|_| true } else { &|_| false };
            Limits {
                guards: &guards,
                granted,
                choices: &choices,
                person: &person,
                shown: &shown,
                discreet,
            }
        };
        let all = |limits: &Limits<'_>, item: u32, about: Option<&About>| {
            let item = ItemId(item);
            [
                limits.may_learn(item, about),
                limits.may_show(item, about),
                limits.may_name(item, about),
            ]
        };
        let open = limits(false, false);
        let news = about("news", None);
        assert_eq!(all(&open, 3, Some(&news)), [true; 3]);
        assert_eq!(all(&open, 1, Some(&news)), [false; 3]);
        assert_eq!(all(&open, 2, Some(&news)), [true, false, true]);
        assert_eq!(all(&open, 3, Some(&about("war", None))), [false; 3]);
        assert_eq!(all(&open, 3, Some(&about("gifts", None))), [true; 3]);
        assert_eq!(all(&open, 7, Some(&news)), [true, false, true]);
        assert_eq!(all(&open, 8, Some(&news)), [true; 3]);
        // What nobody knows the topics of may be about war.
        assert_eq!(all(&open, 3, None), [false; 3]);
        assert_eq!(all(&open, 3, Some(&About::default())), [false; 3]);
        let health = about("x", Some(Category::Health));
        assert_eq!(all(&open, 3, Some(&health)), [false; 3]);
        assert_eq!(
            all(&limits(true, false), 3, Some(&health)),
            [true, true, false]
        );
        let discreet = limits(false, true);
        assert_eq!(
            all(&discreet, 3, Some(&about("gifts", None))),
            [true, false, false]
        );
        assert_eq!(all(&discreet, 3, Some(&news)), [true; 3]);
    }

    #[test]
    fn items_are_for_ages_and_regions() {
        let region = |code| Region::code(code).unwrap();
        let about = About {
            from_age: Some(AgeBand::From16),
            regions: vec![region("DE"), region("FR")],
            ..About::default()
        };
        let (bavaria, spain) = (region("DE-BY"), region("ES"));
        assert!(about.is_for(Some(AgeBand::From16), Some(&bavaria)));
        assert!(!about.is_for(Some(AgeBand::From13), Some(&bavaria)));
        assert!(!about.is_for(Some(AgeBand::From30), Some(&spain)));
        assert!(!about.is_for(None, Some(&bavaria)));
        assert!(!about.is_for(Some(AgeBand::From30), None));
        assert!(About::default().is_for(None, None));
    }
}
