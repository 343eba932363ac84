//! Every split holds out what it says, and no leak gets past the check.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use chorus_data::{Cut, Dataset, Flaw, Held, Reading, Split, check, read_as};
use chorus_model::ItemId;
use proptest::prelude::*;

/// `user,item,time` rows, split so.
fn split(rows: &str, split: &str) -> Result<Dataset, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("events.csv"),
        format!("user,item,time\n{rows}"),
    )
    .unwrap();
    let reading = Reading {
        split: Some(split.parse()?),
        ..Reading::default()
    };
    let read = read_as(folder.path(), &reading).map_err(|error| error.to_string());
    read.map_err(|error| error.replace(&folder.path().display().to_string(), "DIR"))
}

fn ids(items: &[u32]) -> Vec<ItemId> {
    items.iter().copied().map(ItemId).collect()
}

/// Items are numbered in the order of the rows: a 0, b 1, c 2, d 3.
const ROWS: &str = "u,a,10\nu,b,20\nv,c,15\nu,c,30\nu,a,40\nw,d,35\nv,d,50\nv,c,45\n";

#[test]
fn one_cut_in_time_for_everyone() {
    for cut in [
        "temporal:30",
        "temporal:1970-01-01T00:00:30Z",
        "temporal:0.6",
    ] {
        let dataset = split(ROWS, cut).unwrap();
        assert_eq!(dataset.split, Split::Temporal(Cut::At(30_000)), "{cut}");
        assert_eq!(dataset.histories, [ids(&[0, 1]), ids(&[2]), ids(&[])]);
        // u comes back to a, which is no question; v too to c. w has nothing before the cut.
        let held: Vec<_> = dataset
            .cases
            .iter()
            .map(|held| {
                held.as_ref()
                    .map(|held| (held.positive.0, held.times.clone()))
            })
            .collect();
        assert_eq!(
            held,
            [Some((2, vec![30_000])), Some((3, vec![50_000])), None]
        );
    }
    let several = split("u,a,1\nu,b,5\nu,c,4\nu,b,6\n", "temporal:4").unwrap();
    let held = several.cases[0].as_ref().unwrap();
    assert_eq!(
        (held.positive, &held.also, &held.times),
        (ItemId(2), &ids(&[1]), &vec![4_000, 5_000])
    );
}

#[test]
fn a_split_that_the_data_does_not_allow_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("events.csv"), "user,item\nu,a\nu,b\n").unwrap();
    let asked = |split: &str| {
        let reading = Reading {
            split: Some(split.parse().unwrap()),
            ..Reading::default()
        };
        read_as(folder.path(), &reading).err().unwrap().to_string()
    };
    assert!(asked("temporal").ends_with("events.csv cannot be split `temporal:0.2`: its events have no times; split it `leave-one-out`"));
    assert!(
        asked("published").ends_with("cannot be split `published`: no split was published with it")
    );
    assert_eq!(
        split(ROWS, "temporal:1").err().unwrap(),
        "DIR/events.csv cannot be split `temporal:1970-01-01T00:00:01Z`: no event is before the cut, so there is nothing \
         to learn from; cut later"
    );
    for text in [
        "temporal:",
        "temporal:0",
        "temporal:NaN",
        "published:1",
        "",
        "last",
    ] {
        match text.parse::<Split>() {
            Err(error) => assert!(error.contains("is no split: write published"), "{error}"),
            // The first second of 1970 is a time.
            Ok(split) => assert_eq!((text, split), ("temporal:0", Split::Temporal(Cut::At(0)))),
        }
    }
}

/// Two users with times, split leave-one-out.
fn sound() -> Dataset {
    split(
        "u,a,1\nu,b,2\nu,c,3\nv,d,1\nv,e,2\nv,f,9\n",
        "leave-one-out",
    )
    .unwrap()
}

fn held(dataset: &mut Dataset) -> &mut Held {
    dataset.cases[0].as_mut().unwrap()
}

/// What a planted leak does to a data set.
type Plant = fn(&mut Dataset);

#[test]
fn every_planted_leak_is_found() {
    assert_eq!(check(&sound()), Ok(()));
    let leaks: [(Plant, Flaw); 11] = [
        (
            |data| data.histories[0][0] = ItemId(2),
            Flaw::HeldInHistory { user: 0, item: 2 },
        ),
        (
            |data| held(data).also = vec![ItemId(1)],
            Flaw::HeldInHistory { user: 0, item: 1 },
        ),
        (
            |data| held(data).negatives[0] = ItemId(2),
            Flaw::HeldAmongNegatives { user: 0, item: 2 },
        ),
        (
            |data| held(data).negatives[0] = ItemId(1),
            Flaw::NegativeInHistory { user: 0, item: 1 },
        ),
        (
            |data| held(data).times[0] = 1_999,
            Flaw::AskedBeforeLearned {
                user: 0,
                learned: 2_000,
                asked: 1_999,
            },
        ),
        (
            |data| data.split = Split::Temporal(Cut::At(2_000)),
            Flaw::AskedBeforeLearned {
                user: 0,
                learned: 2_000,
                asked: 2_000,
            },
        ),
        (
            // Nobody learns from the cut on, but user 0 is asked about an event before it.
            |data| data.split = Split::Temporal(Cut::At(3_001)),
            Flaw::AskedBeforeLearned {
                user: 0,
                learned: 3_001,
                asked: 3_000,
            },
        ),
        (
            |data| data.histories[1][0] = ItemId(6),
            Flaw::ItemBeyondCatalogue {
                user: 1,
                item: 6,
                items: 6,
            },
        ),
        (
            |data| held(data).negatives[0] = ItemId(u32::MAX),
            Flaw::ItemBeyondCatalogue {
                user: 0,
                item: u32::MAX,
                items: 6,
            },
        ),
        (
            |data| data.cases.push(None),
            Flaw::WrongLength {
                what: "the list of held-out items",
                length: 3,
                wanted: 2,
            },
        ),
        (
            |data| data.histories[1][1] = ItemId(3),
            Flaw::Repeated { user: 1, item: 3 },
        ),
    ];
    for (plant, flaw) in leaks {
        let mut dataset = sound();
        plant(&mut dataset);
        assert_eq!(check(&dataset), Err(flaw));
    }
}

/// What a publisher listed twice is read, and the metrics drop it; what would leak is refused all the same.
#[test]
fn published_splits_may_name_the_answer_among_the_negatives_but_not_in_the_history() {
    let mut dataset = sound();
    dataset.split = Split::Published;
    held(&mut dataset).negatives[0] = ItemId(2);
    assert_eq!(check(&dataset), Ok(()));
    dataset.histories[0][0] = ItemId(2);
    assert_eq!(
        check(&dataset),
        Err(Flaw::HeldInHistory { user: 0, item: 2 })
    );
}

#[test]
fn a_population_of_copies_is_sound() {
    assert_eq!(check(&sound().repeated(3).unwrap()), Ok(()));
    for copies in [100_000_000, usize::MAX] {
        let refused = sound().repeated(copies).err().unwrap().to_string();
        assert!(refused.contains("take fewer copies"), "{refused}");
    }
}

#[test]
fn the_raw_files_of_ml_100k_are_split_both_ways() {
    let Some(folder) = std::env::var_os("CHORUS_DATA") else {
        println!("skipped: splits of ml-100k (CHORUS_DATA is not set)");
        return;
    };
    let folder = Path::new(&folder).join("ml-100k");
    let reading = |split| Reading {
        split: Some(split),
        ..Reading::default()
    };
    let read = |split| {
        read_as(&folder, &reading(split))
            .map_err(|e| e.to_string())
            .unwrap()
    };
    let latest = read(Split::LeaveOneOut);
    assert_eq!(latest.cases.iter().flatten().count(), 943);
    assert_eq!(latest.histories.iter().map(Vec::len).sum::<usize>(), 99_057);
    let later = read(Split::Temporal(Cut::Share(0.2)));
    let held: usize = later
        .cases
        .iter()
        .flatten()
        .map(|held| held.all().count())
        .sum();
    let learned: usize = later.histories.iter().map(Vec::len).sum();
    println!(
        "ml-100k, last fifth: {learned} to learn from, {held} held out of {} users",
        later.cases.iter().flatten().count()
    );
    assert!((79_900..=80_000).contains(&learned));
    // Most people came once: few have events on both sides of the cut.
    assert!(held < 20_000 && later.cases.iter().flatten().count() < 400);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happened when, every split of it passes the check, in which every leak above is found.
    #[test]
    fn every_split_of_any_events_is_sound(
        events in prop::collection::vec((0..6u8, 0..30u8, 0..20i64), 2..120), share in 0.05..0.95f64
    ) {
        let rows: String = events.iter().map(|(user, item, at)| format!("{user},{item},{at}\n")).collect();
        for asked in ["leave-one-out".to_owned(), format!("temporal:{share}")] {
            match split(&rows, &asked) {
                Ok(dataset) => prop_assert_eq!(check(&dataset), Ok(())),
                Err(error) => prop_assert!(error.contains("nothing to learn from"), "{}", error),
            }
        }
    }
}
