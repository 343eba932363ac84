//! Every layout is read, the published split wins, and a bad line is named with file, number and expectation.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::Path;

use chorus_data::{DataError, Dataset, Held, read};
use chorus_model::ItemId;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use tempfile::TempDir;

/// A file's name and bytes.
type File<'a> = (&'a str, &'a [u8]);

fn folder(files: &[File<'_>]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn good(files: &[File<'_>]) -> Dataset {
    read(folder(files).path())
        .map_err(|e| e.to_string())
        .unwrap()
}

/// The message, without the folder of the test.
fn complaint(files: &[File<'_>]) -> String {
    let folder = folder(files);
    let message = read(folder.path()).err().unwrap().to_string();
    message.replace(&folder.path().display().to_string(), "DIR")
}

fn ids(items: &[u32]) -> Vec<ItemId> {
    items.iter().copied().map(ItemId).collect()
}

fn held(positive: u32, negatives: &[u32], seconds: i64) -> Option<Held> {
    Some(Held {
        positive: ItemId(positive),
        also: Vec::new(),
        negatives: ids(negatives),
        times: vec![1_000 * seconds],
    })
}

const TRAIN: (&str, &[u8]) = ("tiny.train.rating", b"0\t1\t1\n0\t2\t1\n1\t0\t1\n");
const TEST: (&str, &[u8]) = ("tiny.test.rating", b"0\t3\t5\t100\n1\t2\t4\t200\n");
const NEGATIVE: (&str, &[u8]) = ("tiny.test.negative", b"(0,3)\t0\t4\n(1,2)\t1\t2\n");

#[test]
fn people_of_the_test_file_alone_are_told() {
    assert_eq!(good(&[TRAIN, TEST, NEGATIVE]).notes, Vec::<String>::new());
    let test: File<'_> = (TEST.0, b"0\t3\n1\t2\n7\t3\n");
    let negative: File<'_> = (NEGATIVE.0, b"(0,3)\t0\t4\n(1,2)\t1\t2\n(7,3)\t1\n");
    let lists: [File<'_>; 2] = [("train.txt", b"0 1 2\n"), ("test.txt", b"0 3\n4 1\n")];
    for files in [&[TRAIN, test, negative][..], &lists] {
        let notes = good(files).notes;
        assert!(
            notes[0].contains("not in the training file, 1;"),
            "{notes:?}"
        );
    }
}

#[test]
fn a_published_split_is_read() {
    let dataset = good(&[TRAIN, TEST, NEGATIVE]);
    assert_eq!(
        (dataset.name.as_str(), dataset.items, dataset.users()),
        ("tiny", 5, 2)
    );
    assert_eq!(dataset.histories, [ids(&[1, 2]), ids(&[0])]);
    assert!(dataset.cases == [held(3, &[0, 4], 100), held(2, &[1, 2], 200)]);
    assert!(dataset.titles.is_none());
}

#[test]
fn a_line_a_user_is_read_with_everything_that_it_holds_out() {
    let train = ("train.txt", b"0 1 2\n1 0\n2 3 4\n".as_slice());
    let test = ("test.txt", b"0 3 4\n1 5 0\n".as_slice());
    let dataset = good(&[train, test]);
    assert_eq!((dataset.items, dataset.users()), (6, 3));
    assert_eq!(dataset.histories, [ids(&[1, 2]), ids(&[0]), ids(&[3, 4])]);
    let case = dataset.cases[0].as_ref().unwrap();
    assert_eq!((case.positive, &case.also), (ItemId(3), &ids(&[4])));
    let mut negatives = case.negatives.clone();
    negatives.sort_unstable();
    assert_eq!(negatives, ids(&[0, 5]));
    // An item that the history holds already is no question.
    let case = dataset.cases[1].as_ref().unwrap();
    assert_eq!((case.positive, case.also.len()), (ItemId(5), 0));
    assert!(dataset.cases[2].is_none());
    assert_eq!(
        complaint(&[("train.txt", b"0 1\n"), ("test.txt", b"0 one\n")]),
        "DIR/test.txt, line 1: expected a user number and item numbers, separated by spaces, each number from 0 and below \
         16777216"
    );
}

/// Every layout that says something about films says the same.
#[test]
fn genres_and_years_become_features() {
    let flags = |on: &[usize]| {
        let flag = |place| if on.contains(&place) { "|1" } else { "|0" };
        (0..19).map(flag).collect::<String>()
    };
    let item = format!(
        "1|Old (1950)|||{}\n2|New (1999)|||{}\n",
        flags(&[8, 17]),
        flags(&[0, 8])
    );
    let ratings = b"1\t1\t5\t10\n1\t2\t5\t20\n".as_slice();
    let from_flags = good(&[("u.data", ratings), ("u.item", item.as_bytes())]);
    let ratings = b"1::1::5::10\n1::2::5::20\n".as_slice();
    let films = b"1::Old (1950)::Drama|War\n2::New (1999)::Drama\n".as_slice();
    let from_dat = good(&[("ratings.dat", ratings), ("movies.dat", films)]);
    let ratings = b"1,1,5,10\n1,2,5,20\n".as_slice();
    let films =
        b"movieId,title,genres\n1,\"Old (1950)\",Drama|War\n2,New (1999),Drama\n".as_slice();
    let from_csv = good(&[("ratings.csv", ratings), ("movies.csv", films)]);
    let features = from_dat.features.unwrap();
    assert_eq!(features.names()[..2], ["Drama", "War"]);
    assert_eq!(Some(&features), from_flags.features.as_ref());
    assert_eq!(Some(&features), from_csv.features.as_ref());
    let titles = good(&[TRAIN, TEST, NEGATIVE]);
    assert!(titles.features.is_none());
}

#[test]
fn compressed_files_are_read_and_titles_found() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(TRAIN.1).unwrap();
    let train = encoder.finish().unwrap();
    let titles =
        "item\tmovie_id\ttitle\tgenres\n1\t7\tGlockenspiel – Das Stück\tDrama\n".as_bytes();
    let dataset = good(&[
        ("tiny.train.rating.gz", &train),
        TEST,
        NEGATIVE,
        ("items.tsv", titles),
    ]);
    let titles = dataset.titles.unwrap();
    assert_eq!(titles[1], "Glockenspiel – Das Stück");
    assert_eq!(titles[4], "item 4");
}

#[test]
fn the_published_split_wins_over_raw_files() {
    let raw: (&str, &[u8]) = ("u.data", b"1\t1\t5\t10\n1\t2\t5\t20\n");
    assert_eq!(good(&[raw, TRAIN, TEST, NEGATIVE]).name, "tiny");
}

#[test]
fn raw_ratings_are_split_by_time() {
    // User 10: items 5 and 9 at the same, latest time; the one further down is held out.
    let tabs: &[u8] = b"10\t5\t3\t20\n10\t7\t3\t10\n20\t5\t1\t5\n10\t9\t4\t20\n";
    let colons: &[u8] = b"10::5::3::20\n10::7::3::10\n20::5::1::5\n10::9::4::20\n";
    let commas: &[u8] =
        b"userId,movieId,rating,timestamp\r\n10,5,3.5,20\r\n10,7,3,10\r\n20,5,1,5\r\n10,9,4,20\r\n";
    for (name, bytes) in [
        ("u.data", tabs),
        ("ratings.dat", colons),
        ("ratings.csv", commas),
    ] {
        let dataset = good(&[(name, bytes)]);
        assert_eq!(dataset.items, 3);
        assert_eq!(dataset.histories, [ids(&[1, 0]), ids(&[0])]);
        assert_eq!(dataset.times.unwrap(), [vec![10_000, 20_000], vec![5_000]]);
        assert_eq!(dataset.user_ids.unwrap(), ["10", "20"]);
        assert_eq!(dataset.item_ids.unwrap(), ["5", "7", "9"]);
        assert!(
            dataset.cases == [held(2, &[], 20), None],
            "a user with one item is not measured"
        );
    }
}

/// With times in its fourth column, a published history is put in their order; without, the order of the file stays.
#[test]
fn published_histories_are_sequences_of_distinct_items() {
    let mixed = b"0\t1\t5\t30\n0\t2\t5\t10\n0\t1\t5\t5\n1\t0\t5\t1\n".as_slice();
    let timed = good(&[("tiny.train.rating", mixed), TEST, NEGATIVE]);
    assert_eq!(timed.sequence(0), ids(&[2, 1]));
    assert_eq!(timed.times.unwrap(), [vec![10_000, 30_000], vec![1_000]]);
    let untimed = b"0\t2\t5\n0\t1\t5\t30\n0\t2\t5\n1\t0\t5\t1\n".as_slice();
    let untimed = good(&[("tiny.train.rating", untimed), TEST, NEGATIVE]);
    assert_eq!(untimed.sequence(0), ids(&[1, 2]));
    assert!(untimed.times.is_none() && untimed.sequence(9).is_empty());
}

#[test]
fn drawn_negatives_are_unseen_and_the_same_every_time() {
    let lines: String = (0..400)
        .map(|line| format!("{}\t{}\t3\t{}\n", line % 4 + 1, line * 7 % 300 + 1, line))
        .collect();
    let files: [(&str, &[u8]); 1] = [("u.data", lines.as_bytes())];
    let dataset = good(&files);
    for (history, held) in dataset.histories.iter().zip(&dataset.cases) {
        let held = held.as_ref().unwrap();
        assert_eq!(held.negatives.len(), 99);
        assert!(!history.contains(&held.positive));
        assert!(
            held.negatives
                .iter()
                .all(|item| !history.contains(item) && *item != held.positive)
        );
    }
    assert!(good(&files).cases == dataset.cases);
}

#[test]
fn titles_of_raw_folders() {
    let raw: (&str, &[u8]) = ("u.data", b"1\t10\t5\t10\n1\t20\t5\t20\n");
    let latin1 = good(&[raw, ("u.item", b"10|Caf\xe9|x\n30|Elsewhere|x\n")]);
    assert_eq!(latin1.titles.unwrap(), ["Café", "item 1"]);
    let csv: (&str, &[u8]) = ("ratings.csv", b"1,10,5,10\n1,20,5,20\n");
    let quoted = good(&[
        csv,
        (
            "movies.csv",
            b"movieId,title,genres\n10,\"One, \"\"Two\"\"\",x\n20,Three,y\n",
        ),
    ]);
    assert_eq!(quoted.titles.unwrap(), ["One, \"Two\"", "Three"]);
}

#[test]
fn bad_lines_are_named() {
    let numbers = "each number from 0 and below";
    let cases: [(&[File<'_>], String); 13] = [
        (
            &[("a.train.rating", b"0\t1\n\n0\tx\n"), ("a.test.rating", b""), ("a.test.negative", b"")],
            format!(
                "DIR/a.train.rating, line 3: expected a user number, a tab, an item number, {numbers} 16777216"
            ),
        ),
        (
            &[TRAIN, ("tiny.test.rating", b"4194304\t1\n"), NEGATIVE],
            format!(
                "DIR/tiny.test.rating, line 1: expected a user number, a tab, the number of the held-out item, \
                 {numbers} 4194304"
            ),
        ),
        (
            &[TRAIN, ("tiny.test.rating", b"0\t3\n0\t4\n"), NEGATIVE],
            "DIR/tiny.test.rating, line 2: expected one held-out item a user, but this user has another above".into(),
        ),
        (
            &[TRAIN, ("tiny.test.rating", b"0\t2\n"), NEGATIVE],
            "DIR/tiny.test.rating, line 1: expected an item that is not in the user's training history".into(),
        ),
        (
            &[TRAIN, TEST, ("tiny.test.negative", b"(0,4)\t1\n")],
            "DIR/tiny.test.negative, line 1: expected the pair of a user and its held-out item in \
             DIR/tiny.test.rating"
                .into(),
        ),
        (
            &[TRAIN, TEST, ("tiny.test.negative", b"(0,3)\t0\n")],
            "DIR/tiny.test.negative, line 1: expected a line with the negatives of user 1 somewhere".into(),
        ),
        (&[TRAIN, TEST], "DIR/tiny.test.negative is missing (or the same name with .gz)".into()),
        (
            &[("u.data", b"1\t2\t3\t4\n1\t2\t3\n")],
            "DIR/u.data, line 2: expected user, item, rating and unix time, separated by tabs".into(),
        ),
        (
            &[("ratings.csv", b"userId,movieId,rating,timestamp\n1,2,NaN,4\n")],
            "DIR/ratings.csv, line 2: expected user,item,rating,unix time; the rating is NaN, and no number: write one, \
             or take the line out"
                .into(),
        ),
        (
            &[("ratings.csv", b"1,2,3,NaN\n")],
            "DIR/ratings.csv, line 1: expected user,item,rating,unix time".into(),
        ),
        (
            &[("ratings.dat", b"1::2::3::9000000000000000\n")],
            "DIR/ratings.dat, line 1: expected user::item::rating::unix time; the time 9000000000000000 is past the year \
             9999"
                .into(),
        ),
        (
            &[("train.txt", b"0 1\n1\n"), ("test.txt", b"0 2\n1\n")],
            "DIR/train.txt, line 2: expected a user number and item numbers, separated by spaces; this history is empty, \
             so nothing can be learned from it: take the line out"
                .into(),
        ),
        (&[("ratings.dat", b"\n")], "DIR/ratings.dat holds no events".into()),
    ];
    for (files, expected) in cases {
        assert_eq!(complaint(files), expected);
    }
}

#[test]
fn folders_without_a_data_set_are_named() {
    assert!(
        complaint(&[("readme.txt", b"")])
            .starts_with("no data set in DIR: expected events.csv, events.tsv or events.parquet")
    );
    let other: (&str, &[u8]) = ("other.train.rating", b"0\t1\n");
    assert_eq!(
        complaint(&[TRAIN, other]),
        "DIR holds several splits: other, tiny; keep one a folder"
    );
    assert!(matches!(
        read(Path::new("no/such/folder")),
        Err(DataError::Unreadable { .. })
    ));
}

#[test]
fn a_damaged_gzip_file_is_named() {
    let message = complaint(&[("u.data.gz", b"\x1f\x8b\x08 and then nonsense")]);
    assert!(
        message.starts_with("cannot read DIR/u.data.gz: "),
        "{message}"
    );
}

/// Bytes that look like data often enough to get past the first field.
fn rubbish() -> impl Strategy<Value = Vec<u8>> {
    let texty = prop::collection::vec(
        prop::sample::select(&b"0123456789\t\n:,()|\" u\xff"[..]),
        0..200,
    );
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), texty]
}

proptest! {
    // Each case writes eight folders.
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(
        first in rubbish(), second in rubbish(), third in rubbish(), titles in rubbish(), gz in any::<bool>()
    ) {
        let ending = if gz { ".gz" } else { "" };
        let name = |stem: &str| format!("{stem}{ending}");
        let (train, test, negative) = (name("a.train.rating"), name("a.test.rating"), name("a.test.negative"));
        let items = name("items.tsv");
        for (events, titles_of) in [("events.csv", "items.csv"), ("events.tsv", "items.tsv")] {
            let (events, titles_of) = (name(events), name(titles_of));
            let _ = read(folder(&[(&events, &first), (&titles_of, &titles), ("data.toml", &second)]).path());
            let headed = [b"user,item,time,rating\n".as_slice(), &first].concat();
            let _ = read(folder(&[(events.trim_end_matches(".gz"), &headed), (&titles_of, &titles)]).path());
        }
        let _ = read(folder(&[("events.parquet", &first)]).path());
        let _ = read(folder(&[(&train, &first), (&test, &second), (&negative, &third), (&items, &titles)]).path());
        let _ = read(folder(&[(&train, TRAIN.1), (TEST.0, TEST.1), (NEGATIVE.0, &third)]).path());
        for (raw, names) in [("u.data", "u.item"), ("ratings.dat", "movies.dat"), ("ratings.csv", "movies.csv")] {
            let (raw, names) = (name(raw), name(names));
            let _ = read(folder(&[(&raw, &first), (&names, &titles)]).path());
            let _ = read(folder(&[(raw.trim_end_matches(".gz"), b"1\t2\t3\t4\n"), (&names, &titles)]).path());
        }
    }
}
