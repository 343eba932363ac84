//! Lists over a small world whose model is made by hand, so that what has to be on them is known.

mod guards;
mod next;
mod stored;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chorus_model::{Direct, Everything, ItemId, Parameters, Tensor, Wish};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::control::Choices;
use super::rank::Taste;
use super::*;
use crate::{Category, Language, Purpose};

/// Items, ten of each topic.
const ITEMS: u32 = 40;
const TOPICS: [&str; 4] = ["food", "music", "baby", "news"];

/// Seconds since 1970.
const NOW: i64 = 1_800_000_000;

/// Everything that the app knows, as in the tests of the guards: baby things are sensitive.
struct Shop {
    about: BTreeMap<ItemId, About>,
}

impl Catalogue for Shop {
    fn about(&self, item: ItemId) -> Option<Cow<'_, About>> {
        self.about.get(&item).map(Cow::Borrowed)
    }

    fn items(&self) -> Vec<ItemId> {
        self.about.keys().copied().collect()
    }
}

fn shop() -> Shop {
    let about = |item: u32| About {
        title: format!("Thing {item}"),
        topics: vec![TOPICS[item as usize / 10].to_owned()],
        sensitive: (item / 10 == 2).then_some(Category::PregnancyAndFamily),
        ..About::default()
    };
    Shop {
        about: (0..ITEMS).map(|item| (ItemId(item), about(item))).collect(),
    }
}

/// People touch items of one topic together, and those who buy lotion (item 0) and vitamins (item 1) buy baby things.
fn model() -> Model {
    let task = "shop".to_owned().try_into().unwrap();
    Model::open(&task, &parameters(), &Direct).unwrap()
}

fn parameters() -> Parameters {
    let row = |item: u32| {
        let mut row = [0.01f32; 4];
        row[item as usize / 10] = 1.0 - 0.02 * (item % 10) as f32;
        if item < 2 {
            (row[0], row[2]) = (0.5, 1.0);
        }
        row
    };
    let mut parameters = Parameters::default();
    let items = ITEMS as usize;
    let values = (0..ITEMS).flat_map(row).collect();
    parameters.set("items", Tensor::new("items", &[items, 4], values).unwrap());
    let counts = (0..ITEMS).map(|item| 100.0 - item as f32).collect();
    parameters.set("counts", Tensor::new("counts", &[items], counts).unwrap());
    parameters.set_scalar("alpha0", 0.1);
    parameters.set_scalar("regularisation", 0.01);
    parameters
}

/// A person who clicked these items in this order.
fn person(items: &[u32]) -> Taste {
    let record = |(place, item): (usize, &u32)| {
        let item = ItemId(*item);
        let mut record = ItemRecord::new(item);
        let event = Event::click(item, NOW - 1_000 + place as i64);
        record.add(Touch::new(&event, None, &Context::default(), NOW));
        record
    };
    Taste {
        records: items.iter().enumerate().map(record).collect(),
        choices: Choices::default(),
        person: Person::default(),
        shown: BTreeMap::new(),
        granted: BTreeSet::from([Purpose::LocalPersonalisation]),
        weights: Weights::default(),
        guards: Guards {
            diversity: 0.0,
            ..Guards::default()
        },
        offset: 0,
    }
}

fn choose(taste: &mut Taste, what: Subject, choice: Choice) {
    taste.choices = Choices::new([Control { what, choice }]);
}

fn topic(name: &str) -> Subject {
    Subject::Topic(name.to_owned())
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn ranked(taste: &Taste, ask: &Ask<'_>) -> Ranked {
    taste
        .rank(ask, None, &shop(), &Everything, &mut rng())
        .unwrap()
}

fn ids(places: &[chorus_model::Recommendation]) -> Vec<u32> {
    places.iter().map(|place| place.item.0).collect()
}

/// The best ten for a person.
fn best(taste: &Taste, model: &Model) -> Vec<u32> {
    ids(&ranked(taste, &Ask::best(Order::Profiled(model), 10)).places)
}

fn of_topic(ids: &[u32], topic: u32) -> usize {
    ids.iter().filter(|item| **item / 10 == topic).count()
}

#[test]
fn a_list_is_of_what_fits_and_a_slot_is_a_list_of_one() {
    let model = model();
    let fan = person(&[10, 11, 12]);
    let list = best(&fan, &model);
    assert_eq!(of_topic(&list[..7], 1), 7, "{list:?}");
    let slot = ranked(&fan, &Ask::best(Order::Profiled(&model), 1));
    assert_eq!(ids(&slot.places), list[..1]);
    // Of the candidates alone, and nothing that stands on the page already.
    let candidates = [ItemId(13), ItemId(14), ItemId(35), ItemId(4_000)];
    let ask = Ask {
        candidates: Some(&candidates),
        apart: &[ItemId(13)],
        ..Ask::best(Order::Profiled(&model), 10)
    };
    assert_eq!(ids(&ranked(&fan, &ask).places), [14, 35]);
}

#[test]
fn without_the_grant_and_in_an_order_without_a_profile_lists_are_the_same_for_all() {
    let model = model();
    let [mut one, mut other] = [person(&[10, 11, 12]), person(&[30, 31])];
    assert_ne!(best(&one, &model), best(&other, &model));
    let popular = |taste: &Taste| ranked(taste, &Ask::best(Order::Popular(&model), 5));
    assert_eq!(ids(&popular(&one).places), [0, 1, 2, 3, 4]);
    assert_eq!(popular(&one), popular(&other));
    assert!(!popular(&one).profiled);
    let candidates = [
        ItemId(33),
        ItemId(5),
        ItemId(33),
        ItemId(u32::MAX),
        ItemId(12),
    ];
    let ask = Ask {
        candidates: Some(&candidates),
        ..Ask::best(Order::Editorial, 5)
    };
    assert_eq!(ids(&ranked(&one, &ask).places), [33, 5, u32::MAX, 12]);
    for taste in [&mut one, &mut other] {
        taste.granted.clear();
        taste.shown.insert(ItemId(0), 99);
    }
    let none = |taste: &Taste| ranked(taste, &Ask::best(Order::Profiled(&model), 5));
    assert_eq!(none(&one), none(&other));
    assert_eq!(none(&one), popular(&one));
    assert!(one.history(&shop(), 40).is_empty());
}

#[test]
fn a_dismissed_item_is_neither_learned_from_nor_shown() {
    let model = model();
    let mut taste = person(&[10, 11]);
    assert!(best(&taste, &model).contains(&12));
    let mut record = ItemRecord::new(ItemId(12));
    let dismiss = Event {
        kind: EventKind::Dismiss,
        ..Event::click(ItemId(12), NOW)
    };
    record.add(Touch::new(&dismiss, None, &Context::default(), NOW));
    taste.records.push(record);
    assert!(!best(&taste, &model).contains(&12));
    assert_eq!(taste.history(&shop(), 40).len(), 2);
}

#[test]
fn a_pinned_topic_and_a_habit_come_up() {
    let model = model();
    let mut taste = person(&[10, 11, 30, 31]);
    let music = |taste: &Taste, context: Context| {
        let ask = Ask {
            context,
            ..Ask::best(Order::Profiled(&model), 6)
        };
        of_topic(&ids(&ranked(taste, &ask).places), 1)
    };
    assert!((2..=4).contains(&music(&taste, Context::default())));
    choose(&mut taste, topic("music"), Choice::Pin);
    assert_eq!(music(&taste, Context::default()), 6);
    choose(&mut taste, topic("music"), Choice::In);
    // Music by night, news in the afternoon, many times.
    for record in &mut taste.records {
        let hour = if record.item.0 < 20 { 1 } else { 15 };
        for day in 1..40 {
            let at = NOW.div_euclid(DAY) * DAY - day * DAY + hour * 3_600;
            let event = Event::click(record.item, at);
            record.add(Touch::new(&event, None, &Context::default(), NOW));
        }
    }
    let at = |hour: i64| Context {
        local_time: Some(hour * 3_600),
        ..Context::default()
    };
    assert_eq!(music(&taste, at(2)), 6);
    assert_eq!(music(&taste, at(14)), 0);
}

#[test]
fn reasons_are_real_and_name_nothing_that_may_not_be_named() {
    let model = model();
    let mut taste = person(&[10, 11, 20]);
    taste
        .granted
        .insert(Purpose::Sensitive(Category::PregnancyAndFamily));
    let reasons = |taste: &Taste, item| {
        let causes = taste.reasons(&model, ItemId(item), 10, false, &shop());
        let causes = causes.unwrap().into_iter();
        causes.map(|cause| cause.item.0).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&taste, 12), [10, 11]);
    // A granted sensitive item counts, and is not named.
    assert!(!reasons(&taste, 21).contains(&20));
    let history = taste.history(&shop(), 40);
    let causes = model.trainer.explain(&history, ItemId(21)).unwrap();
    assert!(
        causes
            .iter()
            .any(|cause| cause.item.0 == 20 && cause.adds > 0.1)
    );
    let score = |history: &chorus_model::TrainingSet| model.trainer.scores(history).unwrap()[12];
    assert!(score(&history.without(ItemId(10))) < score(&history));
    choose(&mut taste, Subject::Item(ItemId(10)), Choice::Mute);
    assert_eq!(reasons(&taste, 12), [11]);
}

#[test]
fn what_if_shows_both_lists_and_changes_nothing() {
    let model = model();
    let taste = person(&[10, 30]);
    let ask = Ask::best(Order::Profiled(&model), 10);
    let both = taste
        .what_if(&ask, ItemId(10), &shop(), &Everything, &mut rng())
        .unwrap();
    assert_eq!(both.with, ranked(&taste, &ask).places);
    assert_eq!(both.without, ranked(&person(&[30]), &ask).places);
    assert!(of_topic(&ids(&both.with), 1) > of_topic(&ids(&both.without), 1));
}

#[test]
fn the_main_parameters_say_what_they_do_and_what_they_are() {
    use crate::map::grade;
    let mut taste = person(&[10, 11]);
    for language in Language::ALL {
        let parameters = taste.main_parameters(language, &NoCatalogue).unwrap();
        assert_eq!(parameters.len(), 9);
        let titles: BTreeSet<&str> = parameters.iter().map(|one| one.title.as_str()).collect();
        assert!(titles.len() == 9 && !titles.contains(""), "{titles:?}");
        for parameter in parameters {
            for text in [parameter.does, parameter.change] {
                let grade = grade(&text, language);
                assert!(grade <= 8.0, "{grade:.1} years of school: {text}");
            }
            assert!(!parameter.value.is_empty());
        }
    }
    let order = |taste: &Taste| {
        taste
            .main_parameters(Language::English, &NoCatalogue)
            .unwrap()[0]
            .value
            .clone()
    };
    assert_eq!(order(&taste), "made for you");
    taste.granted.clear();
    assert_eq!(order(&taste), "the same for all");
}

/// Mean of a wish that leaves places to chance.
fn exploring(length: usize) -> Wish {
    Wish {
        exploration: 0.5,
        ..Wish::best(length)
    }
}
