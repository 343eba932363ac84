//! The same on a real store, over restarts and days.

use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::store::StoredModel;
use crate::testing::{decide, films};
use crate::{Answer, Client, FileKey, Recorded, Settings};

fn open(home: &TempDir, now: i64) -> Client {
    let keys = FileKey::beside(home.path());
    let mut client = Client::open(home.path(), &keys, Settings::default(), now).unwrap();
    client.set_catalogue(Arc::new(shop()));
    client
}

/// A client who clicked these items, with the model of the shop.
fn client(items: &[u32]) -> (TempDir, Client) {
    let home = tempfile::tempdir().unwrap();
    let mut client = open(&home, NOW);
    decide(&mut client, Answer::Yes, [Purpose::LocalPersonalisation]);
    let clicks = items.iter().map(|item| Event::click(ItemId(*item), NOW));
    client.record_all(clicks, NOW).unwrap();
    let stored = StoredModel {
        task: films(),
        version: 1,
        bytes: parameters().to_bytes().unwrap(),
    };
    client.store.put_model(&stored).unwrap();
    (home, client)
}

fn list(client: &mut Client, now: i64) -> Vec<u32> {
    let model = client.model(&films(), &Direct).unwrap();
    let ask = Ask::best(Order::Profiled(&model), 10);
    ids(&client
        .rank(&ask, &Everything, &mut rng(), now)
        .unwrap()
        .places)
}

#[test]
fn what_was_chosen_holds_after_a_restart_until_it_is_taken_back() {
    let (home, mut client) = client(&[10, 11, 30]);
    let before = list(&mut client, NOW);
    assert!(of_topic(&before, 1) > 0);
    let mute = Control {
        what: topic("music"),
        choice: Choice::Mute,
    };
    assert!(client.choose(&mute).unwrap());
    drop(client);
    let mut client = open(&home, NOW + DAY);
    assert_eq!(of_topic(&list(&mut client, NOW), 1), 0);
    assert_eq!(client.history(40).unwrap().items(), [ItemId(30)]);
    assert_eq!(client.choices().unwrap(), [mute]);
    assert!(client.unchoose(&topic("music")).unwrap());
    assert!(!client.unchoose(&topic("music")).unwrap());
    assert_eq!(list(&mut client, NOW), before);
    // The same list as of the values alone, and the same reasons.
    assert_eq!(before, best(&person(&[10, 11, 30]), &model()));
    let opened = client.model(&films(), &Direct).unwrap();
    let reasons = client.reasons(&opened, ItemId(12), 1, false).unwrap();
    let explained = client.explain(&films(), &Direct, ItemId(12), 1).unwrap();
    assert_eq!(reasons, explained.causes);
    let named = Control {
        what: topic("anna@example.org"),
        choice: Choice::Pin,
    };
    let error = client.choose(&named).unwrap_err().to_string();
    assert!(
        error.contains("e-mail") && !error.contains("anna"),
        "{error}"
    );
}

/// On the first day there is no model, and a list all the same: of the catalogue, in its order, as far as it may be shown.
#[test]
fn before_the_first_model_the_list_is_the_catalogue_s() {
    let home = tempfile::tempdir().unwrap();
    let mut client = open(&home, NOW);
    let editorial = |client: &mut Client| {
        let ask = Ask::best(Order::Editorial, 12);
        client.rank(&ask, &Everything, &mut rng(), NOW)
    };
    let recommended = client.recommend(&films(), &Direct, 12).unwrap();
    let list = editorial(&mut client).unwrap();
    assert_eq!(list.places, recommended);
    assert!(!list.profiled);
    // The floor of diversity holds here too.
    assert_eq!(ids(&list.places)[0], 0);
    assert!(list.diversity >= 0.2, "{}", list.diversity);
    assert_eq!(
        of_topic(&ids(&list.places), 2),
        0,
        "sensitive things are not shown"
    );
    decide(&mut client, Answer::Yes, [Purpose::LocalPersonalisation]);
    let what = topic("food");
    let choice = Choice::Mute;
    client.choose(&Control { what, choice }).unwrap();
    assert_eq!(ids(&editorial(&mut client).unwrap().places)[0], 10);
    // Where nobody says what there is, the error says what is missing.
    client.set_catalogue(Arc::new(NoCatalogue));
    let error = editorial(&mut client).unwrap_err();
    assert!(matches!(error, crate::Error::NoCandidates), "{error}");
    let error = client.recommend(&films(), &Direct, 12).unwrap_err();
    assert!(matches!(error, crate::Error::NoModel { .. }), "{error}");
}

/// The shop, with nothing known of some of its items.
struct Gappy(Shop);

impl Catalogue for Gappy {
    fn about(&self, item: ItemId) -> Option<Cow<'_, About>> {
        match item.0 % 3 {
            0 => self.0.about(item),
            1 => Some(Cow::Owned(About::default())),
            _ => None,
        }
    }

    fn items(&self) -> Vec<ItemId> {
        self.0.items()
    }
}

#[test]
fn while_a_topic_is_muted_what_nobody_knows_the_topics_of_is_not_shown() {
    let (home, mut client) = client(&[10, 11, 30]);
    let mute = Control {
        what: topic("music"),
        choice: Choice::Mute,
    };
    assert!(client.choose(&mute).unwrap());
    drop(client);
    // The app comes back without its catalogue, and then with a part of it.
    let keys = FileKey::beside(home.path());
    let mut client = Client::open(home.path(), &keys, Settings::default(), NOW).unwrap();
    let model = client.model(&films(), &Direct).unwrap();
    let mut rng = rng();
    let mut draw = |client: &mut Client, order| {
        let ask = Ask {
            wish: exploring(4),
            ..Ask::best(order, 4)
        };
        let ranked = client.rank(&ask, &Everything, &mut rng, NOW).unwrap();
        ids(&ranked.places)
    };
    for order in [Order::Profiled(&model), Order::Popular(&model)] {
        assert!(draw(&mut client, order).is_empty());
    }
    assert!(client.history(40).unwrap().is_empty());
    client.set_catalogue(Arc::new(Gappy(shop())));
    for _ in 0..10_000 {
        let list = draw(&mut client, Order::Profiled(&model));
        assert_eq!(list.len(), 4);
        assert!(list.iter().all(|item| item / 10 != 1 && item % 3 == 0));
    }
    assert_eq!(client.history(40).unwrap().items(), [ItemId(30)]);
    // The control.
    assert!(client.unchoose(&topic("music")).unwrap());
    assert!(list(&mut client, NOW).iter().any(|item| item % 3 != 0));
}

#[test]
fn a_topic_that_no_item_has_is_an_error_and_no_choice() {
    let (_home, mut client) = client(&[10]);
    let choose = |client: &mut Client, name: &str, choice| {
        let what = topic(name);
        client.choose(&Control { what, choice })
    };
    for choice in [Choice::Mute, Choice::Pin, Choice::Hide] {
        let error = choose(&mut client, "Musik", choice).unwrap_err();
        assert!(
            matches!(&error, crate::Error::UnknownTopic { topic, nearest: Some(nearest) } if topic == "Musik" && nearest == "music")
        );
        assert!(error.to_string().contains("`music`"), "{error}");
    }
    client.set_catalogue(Arc::new(NoCatalogue));
    let error = choose(&mut client, "music", Choice::Mute).unwrap_err();
    assert!(
        error.to_string().contains("hand in the catalogue"),
        "{error}"
    );
    assert_eq!(client.choices().unwrap(), []);
}

#[test]
fn what_is_shown_ten_times_rests_until_tomorrow() {
    let (_home, mut client) = client(&[10, 11]);
    let first = ItemId(list(&mut client, NOW)[0]);
    for _ in 0..10 {
        assert!(list(&mut client, NOW).contains(&first.0));
        client.shown(&[first], NOW).unwrap();
    }
    assert!(!list(&mut client, NOW).contains(&first.0));
    assert!(list(&mut client, NOW + DAY).contains(&first.0));
}

#[test]
fn time_folds_and_forgets_and_the_taste_stays_the_same_meanwhile() {
    let (home, mut client) = client(&[10, 11, 30]);
    let records = |client: &Client| client.store.all::<ItemRecord>().unwrap();
    let before = list(&mut client, NOW);
    let events = |client: &Client| {
        records(client)
            .iter()
            .map(|record| record.events.len())
            .sum::<usize>()
    };
    assert_eq!(events(&client), 3);
    for day in 1..30 {
        assert_eq!(list(&mut client, NOW + day * DAY), before);
        assert_eq!(events(&client), 3, "day {day}");
    }
    // An app that is never closed is tidied as well, by what it does every day.
    assert_eq!(list(&mut client, NOW + 30 * DAY), before);
    assert_eq!(events(&client), 0);
    assert_eq!(client.count_events().unwrap(), 3);
    // The same file again changes nothing.
    let known = client
        .record(Event::click(ItemId(10), NOW), NOW + 31 * DAY)
        .unwrap();
    assert_eq!(known, Recorded::Known);
    drop(client);
    let client = open(&home, NOW + 729 * DAY);
    assert_eq!(records(&client).len(), 3);
    drop(client);
    let mut client = open(&home, NOW + 730 * DAY);
    assert_eq!(records(&client).len(), 0);
    let popular = Ask::best(Order::Popular(&model()), 10).wish;
    assert_eq!(popular.length, list(&mut client, NOW).len());
}

#[test]
fn an_event_that_makes_no_sense_leaves_no_trace() {
    let (_home, mut client) = client(&[10]);
    let before = client.store.all::<ItemRecord>().unwrap();
    for at in [i64::MIN, -1, NOW + 2 * DAY, i64::MAX] {
        let refused = client.record(Event::click(ItemId(11), at), NOW).unwrap();
        assert!(matches!(refused, Recorded::Refused(_)));
    }
    let others = Event {
        source: Source::ThirdParty,
        ..Event::click(ItemId(11), NOW)
    };
    let refused = client.record(others, NOW).unwrap();
    assert_eq!(refused, Recorded::NotGranted(Purpose::ThirdPartySource));
    assert!(client.store.all::<ItemRecord>().unwrap() == before);
}

/// Recorded, imported, brought by others, shown: without the grant of its category a sensitive item is nowhere, and no list knows.
#[test]
fn a_sensitive_item_leaves_no_trace_without_the_grant_of_its_category() {
    let baby = Purpose::Sensitive(Category::PregnancyAndFamily);
    let (_home, mut without) = client(&[10, 11]);
    let (_home, mut with) = client(&[10, 11]);
    let before = everything(&with);
    let click = |item| Event::click(ItemId(item), NOW);
    assert_eq!(
        with.record(click(20), NOW).unwrap(),
        Recorded::NotGranted(baby)
    );
    let imported = with.record_all([click(21), click(22)], NOW).unwrap();
    assert_eq!((imported.added, imported.not_granted), (0, 2));
    assert_eq!(imported.missing, BTreeSet::from([baby]));
    with.import("babies.tsv", &b"23\n24\n"[..], NOW).unwrap();
    with.shown(&[ItemId(25)], NOW).unwrap();
    assert!(everything(&with) == before, "not even the name of the file");
    // What it came with is kept as if it had come alone.
    for (client, items) in [(&mut with, &[12, 25][..]), (&mut without, &[12])] {
        let clicks = items.iter().map(|item| click(*item));
        client.record_all(clicks, NOW).unwrap();
        let seen: Vec<ItemId> = items.iter().map(|item| ItemId(*item)).collect();
        client.shown(&seen, NOW).unwrap();
    }
    let taste = |client: &Client| {
        let kept = everything(client).into_iter();
        let of_taste = |kind| matches!(kind, crate::store::Kind::Item | crate::store::Kind::Shown);
        kept.filter(|record| of_taste(record.0)).collect::<Vec<_>>()
    };
    assert!(taste(&with) == taste(&without));
    let bits = |client: &mut Client| {
        let model = client.model(&films(), &Direct).unwrap();
        let ask = Ask::best(Order::Profiled(&model), 40);
        let ranked = client.rank(&ask, &Everything, &mut rng(), NOW).unwrap();
        let bits = ranked
            .places
            .iter()
            .map(|place| (place.item, place.score.to_bits()));
        bits.collect::<Vec<_>>()
    };
    assert_eq!(bits(&mut with), bits(&mut without));
    // Of several that are missing each is named in its turn.
    let others = Event {
        source: Source::ThirdParty,
        ..click(20)
    };
    let mut missing = Vec::new();
    while let Recorded::NotGranted(purpose) = with.record(others, NOW).unwrap() {
        decide(&mut with, Answer::Yes, [purpose]);
        missing.push(purpose);
    }
    assert_eq!(missing, [Purpose::ThirdPartySource, baby]);
    // Granted, it is kept and counts; withdrawn, it stays for its person to see, and counts no more.
    assert_eq!(with.record(click(20), NOW).unwrap(), Recorded::Kept);
    assert_ne!(bits(&mut with), bits(&mut without));
    decide(&mut with, Answer::No, [baby]);
    assert_eq!(bits(&mut with), bits(&mut without));
    assert!(
        with.items()
            .unwrap()
            .iter()
            .any(|kept| kept.item == ItemId(20))
    );
}

/// What was kept under a grant is not counted as used without it, and goes when its person says so.
#[test]
fn what_a_withdrawal_leaves_is_not_used_and_can_be_removed() {
    let family = Category::PregnancyAndFamily;
    let used = |client: &Client| {
        let parameters = client.main_parameters(crate::Language::English).unwrap();
        let history = parameters.into_iter().find(|one| one.name == "history");
        history.unwrap().value
    };
    let (_home, mut client) = client(&[10, 11]);
    let purposes = [Purpose::Sensitive(family), Purpose::ThirdPartySource];
    decide(&mut client, Answer::Yes, purposes);
    let click = |item| Event::click(ItemId(item), NOW);
    let others = Event {
        source: Source::ThirdParty,
        ..click(30)
    };
    client
        .record_all([click(20), click(21), others], NOW)
        .unwrap();
    assert_eq!(used(&client), "5 items");
    decide(&mut client, Answer::No, purposes);
    assert_eq!(used(&client), "2 items");
    let kept = client.items().unwrap();
    assert_eq!(kept.len(), 5);
    let mut unused: Vec<u32> = kept
        .iter()
        .filter(|kept| !kept.used)
        .map(|kept| kept.item.0)
        .collect();
    unused.sort_unstable();
    assert_eq!(unused, [20, 21, 30]);
    assert_eq!(client.items_of(family).unwrap(), [ItemId(20), ItemId(21)]);
    assert_eq!(client.remove_category(Category::Health).unwrap(), 0);
    assert_eq!(client.remove_category(family).unwrap(), 2);
    assert_eq!(client.remove_category(family).unwrap(), 0);
    assert_eq!(client.items().unwrap().len(), 3);
    assert_eq!(used(&client), "2 items");
}

#[test]
fn what_is_done_in_a_moment_is_counted_there() {
    let (_home, mut client) = client(&[10]);
    let context = Context {
        device: Some(Device::Car),
        region: Some(crate::Region::near(48.137_154, 11.576_124).unwrap()),
        ..Context::default()
    };
    let event = Event::click(ItemId(11), NOW);
    client.record_in(event, &context, NOW).unwrap();
    let record = client.store.get::<ItemRecord>(&item_key(ItemId(11)));
    let total = record.unwrap().unwrap().total(0);
    assert_eq!(total.bands[&Band::Device(Device::Car)], 1);
    assert!(
        serde_json::to_string(&total)
            .unwrap()
            .contains("cell:48:10")
    );
}

/// What is there of each kind, the mark of the tidying itself left out.
fn everything(client: &Client) -> Vec<(crate::store::Kind, String, String)> {
    let all = client.store.everything().unwrap().into_iter();
    all.filter(|record| record.0 != crate::store::Kind::Tidied)
        .map(|(kind, key, value, _)| (kind, key, value.to_string()))
        .collect()
}

/// In the year 2100 all of it would be too old.
const FAR: i64 = 4_102_444_800;

#[test]
fn a_clock_that_is_wrong_for_a_moment_makes_nobody_forget() {
    let (home, mut client) = client(&[10, 11]);
    client.shown(&[ItemId(12)], NOW).unwrap();
    client.note_sent(crate::Message::CheckIn, None, Purpose::ContributeTraining);
    client.write_activity().unwrap();
    let before = everything(&client);
    // For one call, for one opening, and for a whole day of both, each time on another day of its own.
    for wrong in [FAR, FAR * 2, FAR + 90 * DAY] {
        list(&mut client, wrong);
        assert!(everything(&client) == before);
        drop(client);
        client = open(&home, wrong + 60);
        list(&mut client, wrong + 3_600);
        assert!(everything(&client) == before);
        list(&mut client, NOW + 60);
        assert!(everything(&client) == before);
    }
    // The control: a clock that says so on a later day as well is right.
    list(&mut client, FAR);
    list(&mut client, FAR + DAY);
    assert!(client.store.all::<ItemRecord>().unwrap().is_empty());
    assert!(client.activity().unwrap().is_empty());
}

#[test]
fn after_a_long_absence_what_is_too_old_goes_on_the_second_day() {
    let (home, client) = client(&[10]);
    drop(client);
    let mut client = open(&home, NOW + 800 * DAY);
    let click = Event::click(ItemId(11), NOW + 800 * DAY);
    client.record(click, click.at).unwrap();
    let items = |client: &Client| {
        let records = client.store.all::<ItemRecord>().unwrap();
        records
            .iter()
            .map(|record| record.item.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(items(&client), [10, 11]);
    drop(client);
    // What was done meanwhile stays.
    let client = open(&home, NOW + 805 * DAY);
    assert_eq!(items(&client), [11]);
}

/// Everything that the map gives an end ends on its day, while the app is used.
#[test]
fn every_record_goes_on_the_day_that_the_map_says() {
    use crate::store::{Kind, LocalReport};
    let (_home, mut client) = client(&[]);
    client
        .import("/home/anna/likes of anna@example.org.tsv", &b"5\n"[..], NOW)
        .unwrap();
    client.shown(&[ItemId(12)], NOW).unwrap();
    client.now = NOW;
    client.note_sent(crate::Message::CheckIn, None, Purpose::ContributeTraining);
    client.write_activity().unwrap();
    let round = chorus_protocol::RoundId(1);
    let report = LocalReport { round, at: NOW };
    client.store.write(|batch| batch.put(&report)).unwrap();
    let file = everything(&client);
    let file = file.iter().find(|record| record.0 == Kind::Import).unwrap();
    assert!(
        file.2.contains("first-party") && file.2.contains("likes of"),
        "{}",
        file.2
    );
    assert!(
        !file.2.contains("anna@") && !file.2.contains("home"),
        "{}",
        file.2
    );
    let mut last = std::collections::BTreeMap::new();
    for day in 0..740 {
        client.tidy(NOW + day * DAY).unwrap();
        for (kind, ..) in everything(&client) {
            last.insert(kind, day);
        }
    }
    for kind in [
        Kind::Item,
        Kind::Import,
        Kind::Shown,
        Kind::Activity,
        Kind::LocalReport,
    ] {
        let days = crate::map::DataMap::get().days(kind.name()).unwrap().0;
        assert_eq!(last[&kind], i64::from(days) - 1, "{}", kind.name());
    }
    // The control: what has no end is still there.
    assert_eq!(last[&Kind::Decision], 739);
}
