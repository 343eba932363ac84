use std::collections::{BTreeMap, BTreeSet};

use chorus_model::ItemId;
use serde::{Deserialize, Serialize};

use super::catalogue::About;

/// What a person can choose about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// One item.
    Item(ItemId),
    /// Every item of a topic, as the app's catalogue names it.
    Topic(String),
    /// A group of people that this device's rules put the person in, by its name.
    Group(String),
}

/// What a person chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// As if it did not exist: not shown, not learned from, not named in a reason.
    Mute,
    /// Not shown any more; what was done with it still counts.
    NotInterested,
    /// More of it.
    Pin,
    /// Not shown and not named while somebody else may be looking.
    Hide,
    /// In the group, whatever its rule says.
    In,
    /// Not in the group, whatever its rule says.
    Out,
}

/// One choice of a person. There is one for each subject; the last one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// About what.
    pub what: Subject,
    /// What.
    pub choice: Choice,
}

/// All choices of a person, by what they are about.
#[derive(Clone, Default)]
pub(crate) struct Choices {
    items: BTreeMap<ItemId, Choice>,
    topics: BTreeMap<String, Choice>,
    groups: BTreeMap<String, Choice>,
}

impl Choices {
    pub fn new(controls: impl IntoIterator<Item = Control>) -> Self {
        let mut choices = Self::default();
        for Control { what, choice } in controls {
            match what {
                Subject::Item(item) => choices.items.insert(item, choice),
                Subject::Topic(topic) => choices.topics.insert(topic, choice),
                Subject::Group(group) => choices.groups.insert(group, choice),
            };
        }
        choices
    }

    /// Whether one of these was chosen about an item or one of its topics.
    ///
    /// While it was chosen about any topic, it holds for every item whose topics nobody knows: without a catalogue, of an item that
    /// is not in it, of one that it gives no topic. Such an item may be of just that topic, and none of it was promised; a list that
    /// is too short can be seen and mended, a broken promise cannot.
    pub fn any(&self, item: ItemId, about: Option<&About>, chosen: &[Choice]) -> bool {
        let is_chosen =
            |choice: Option<&Choice>| choice.is_some_and(|choice| chosen.contains(choice));
        let topics = about.map_or(&[][..], |about| &about.topics);
        is_chosen(self.items.get(&item))
            || match topics {
                [] => self.topics.values().any(|choice| is_chosen(Some(choice))),
                topics => topics.iter().any(|topic| is_chosen(self.topics.get(topic))),
            }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len() + self.topics.len() + self.groups.len()
    }

    /// What was chosen about a group.
    pub fn group(&self, name: &str) -> Option<Choice> {
        self.groups.get(name).copied()
    }

    /// The topics that the person wants more of.
    pub fn pinned(&self) -> BTreeSet<&str> {
        let pinned = self
            .topics
            .iter()
            .filter(|(_, choice)| **choice == Choice::Pin);
        pinned.map(|(topic, _)| topic.as_str()).collect()
    }
}
