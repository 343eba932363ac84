//! Tables with named columns: CSV, TSV and Parquet say the same, and what is wrong with one is said by file and row.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chorus_data::{Columns, Dataset, Reading, read, read_as};
use chorus_model::ItemId;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn good(files: &[(&str, &str)]) -> Dataset {
    let read = read(folder(files).path());
    read.map_err(|error| error.to_string()).unwrap()
}

/// The message, without the folder of the test.
fn complaint(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let message = read(folder.path()).err().unwrap().to_string();
    message.replace(&folder.path().display().to_string(), "DIR")
}

fn ids(items: &[u32]) -> Vec<ItemId> {
    items.iter().copied().map(ItemId).collect()
}

const EVENTS: &str = "time,user,rating,item\n30,zoe,5,pear\n10,zoe,4,fig\n20,zoe,1,fig\n5,al,3,\"kiwi, green\"\n40,zoe,2,kiwi\n";

fn assert_is_events(dataset: &Dataset) {
    // pear 0, fig 1, `kiwi, green` 2, kiwi 3; zoe 0, al 1. The latest event of each item counts.
    assert_eq!(dataset.user_ids.as_ref().unwrap(), &["zoe", "al"]);
    assert_eq!(
        dataset.item_ids.as_ref().unwrap(),
        &["pear", "fig", "kiwi, green", "kiwi"]
    );
    assert_eq!(dataset.titles, dataset.item_ids);
    assert_eq!(dataset.histories, [ids(&[1, 0]), ids(&[2])]);
    assert_eq!(
        dataset.times.as_ref().unwrap(),
        &[vec![20_000, 30_000], vec![5_000]]
    );
    let held = dataset.cases[0].as_ref().unwrap();
    assert_eq!((held.positive, &held.times), (ItemId(3), &vec![40_000]));
    assert!(dataset.cases[1].is_none());
}

/// The events of EVENTS, with text ids, times in nanoseconds as pandas writes them, and ratings that may be missing.
fn write_parquet(file: &Path, unit: &str, scale: i64, missing: Option<usize>) {
    let schema = parse_message_type(&format!(
        "message events {{ required binary user (UTF8); required binary item (UTF8); \
         optional int64 time (TIMESTAMP({unit},true)); optional double rating; }}"
    ))
    .unwrap();
    let file = fs::File::create(file).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::default()).unwrap();
    let rows = [
        ("zoe", "pear", 30, 5.0),
        ("zoe", "fig", 10, 4.0),
        ("zoe", "fig", 20, 1.0),
        ("al", "kiwi, green", 5, 3.0),
        ("zoe", "kiwi", 40, 2.0),
    ];
    // Two row groups: numbers of rows go on over them.
    for (start, rows) in [(0, &rows[..2]), (2, &rows[2..])] {
        let mut group = writer.next_row_group().unwrap();
        let bytes = |text: &str| ByteArray::from(text);
        let mut column = group.next_column().unwrap().unwrap();
        let users: Vec<_> = rows.iter().map(|row| bytes(row.0)).collect();
        column
            .typed::<ByteArrayType>()
            .write_batch(&users, None, None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let items: Vec<_> = rows.iter().map(|row| bytes(row.1)).collect();
        column
            .typed::<ByteArrayType>()
            .write_batch(&items, None, None)
            .unwrap();
        column.close().unwrap();
        let is_there = |place: usize| missing != Some(start + place);
        let levels: Vec<i16> = (0..rows.len())
            .map(|place| i16::from(is_there(place)))
            .collect();
        let there = rows
            .iter()
            .enumerate()
            .filter(|(place, _)| is_there(*place));
        let times: Vec<_> = there.map(|(_, row)| row.2 * scale).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<Int64Type>()
            .write_batch(&times, Some(&levels), None)
            .unwrap();
        column.close().unwrap();
        let ratings: Vec<_> = rows.iter().map(|row| row.3).collect();
        let all = vec![1; rows.len()];
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<DoubleType>()
            .write_batch(&ratings, Some(&all), None)
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn text_and_parquet_say_the_same() {
    let csv = good(&[("events.csv", EVENTS)]);
    assert_is_events(&csv);
    // Tab-separated, a quote is a quote and a comma a comma; a byte order mark and carriage returns are nothing.
    let tsv = EVENTS
        .replace("\"kiwi, green\"", "kiwi; green")
        .replace(',', "\t");
    let tsv = format!("\u{feff}{}", tsv.replace(';', ",").replace('\n', "\r\n"));
    assert_is_events(&good(&[("events.tsv", &tsv)]));
    for (unit, scale) in [
        ("NANOS", 1_000_000_000),
        ("MICROS", 1_000_000),
        ("MILLIS", 1_000),
    ] {
        let folder = folder(&[]);
        let file = folder.path().join("events.parquet");
        write_parquet(&file, unit, scale, None);
        assert_is_events(&read(folder.path()).map_err(|e| e.to_string()).unwrap());
        let alone = read(&file).map_err(|e| e.to_string()).unwrap();
        assert_is_events(&alone);
        assert_eq!(alone.name, "events");
    }
}

#[test]
fn a_missing_time_and_a_damaged_file_are_named() {
    let folder = folder(&[]);
    let file = folder.path().join("events.parquet");
    write_parquet(&file, "MICROS", 1_000_000, Some(3));
    let message = read(folder.path()).err().unwrap().to_string();
    assert!(
        message.contains("events.parquet, row 4: expected a time, but `` is none"),
        "{message}"
    );
    // Whatever byte is wrong: an error or another data set, never a panic.
    write_parquet(&file, "MICROS", 1_000_000, None);
    let whole = fs::read(&file).unwrap();
    let mut refused = 0usize;
    // Every fifth byte, or it takes half a minute; all of them pass.
    for place in (0..whole.len()).step_by(5) {
        for value in [1, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[place] ^= value;
            fs::write(&file, damaged).unwrap();
            refused += usize::from(read(folder.path()).is_err());
        }
    }
    for length in (0..whole.len()).step_by(5) {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(read(folder.path()).is_err(), "the first {length} bytes");
    }
    println!(
        "{refused} of {} damaged files were refused",
        3 * whole.len().div_ceil(5)
    );
    assert!(refused > whole.len() / 10);
}

#[test]
fn columns_that_say_the_same_are_refused_and_those_that_nothing_reads_are_named() {
    let doubtful =
        |header: &str| complaint(&[("events.csv", &format!("{header}\na,x,3\na,y,4\n"))]);
    assert_eq!(
        doubtful("user,item,user"),
        "DIR/events.csv: the columns `user` and `user` could both be the user: rename one, or name the right one in data.toml"
    );
    assert!(doubtful("user,item,item_id").contains("`item` and `item_id` could both be the item"));
    for empty in ["", "\n"] {
        assert_eq!(
            complaint(&[("events.csv", empty)]),
            "DIR/events.csv holds no events"
        );
    }
    let noted = |header: &str| good(&[("events.csv", &format!("{header}\na,x,3\na,y,4\n"))]).notes;
    assert!(noted("user,item,tiem")[0].ends_with("events.csv: nothing reads `tiem`"));
    assert_eq!(noted("user,item,time"), Vec::<String>::new());
    assert_eq!(noted("user,item,session"), Vec::<String>::new());
}

#[test]
fn columns_are_named_beside_the_data_or_by_the_caller() {
    let events = "customer,product,bought\na,x,2001-01-01\na,y,2001-01-02 12:00:00\n";
    assert_eq!(
        complaint(&[("events.csv", events)]),
        "DIR/events.csv has no column `user` or `user_id`, only `customer`, `product`, `bought`; rename it, or name \
         yours in data.toml beside it: under [columns], user = \"...\""
    );
    let settings = "split = \"temporal:2001-01-02\"\n[columns]\nuser = \"customer\"\nitem = \"product\"\ntime = \"bought\"\n";
    let dataset = good(&[("events.csv", events), ("data.toml", settings)]);
    assert_eq!(dataset.split.to_string(), "temporal:2001-01-02T00:00:00Z");
    assert_eq!(dataset.histories, [ids(&[0])]);
    assert_eq!(dataset.cases[0].as_ref().unwrap().positive, ItemId(1));
    let folder = folder(&[("events.csv", events)]);
    let name = |name: &str| Some(name.to_owned());
    let reading = Reading {
        columns: Columns {
            user: name("customer"),
            item: name("product"),
            ..Columns::default()
        },
        ..Reading::default()
    };
    let dataset = read_as(folder.path(), &reading)
        .map_err(|e| e.to_string())
        .unwrap();
    assert!(
        dataset.times.is_none(),
        "without times the order is that of the file"
    );
    assert_eq!(dataset.cases[0].as_ref().unwrap().positive, ItemId(1));
    // A column that was asked for must be there.
    let settings = "[columns]\nuser = \"customer\"\nitem = \"product\"\nrating = \"stars\"\n";
    let message = complaint(&[("events.csv", events), ("data.toml", settings)]);
    assert!(message.contains("has no column `stars`"), "{message}");
    for (settings, said) in [
        (
            "split = \"tempora\"\n",
            "DIR/data.toml: `tempora` is no split: write published",
        ),
        (
            "\n[columns]\nuse = \"x\"\n",
            "DIR/data.toml: line 3: unknown field `use`",
        ),
        ("split = temporal", "DIR/data.toml: line 1: "),
    ] {
        let message = complaint(&[("events.csv", events), ("data.toml", settings)]);
        assert!(message.starts_with(said), "{message}");
    }
}

#[test]
fn items_have_titles_and_genres_and_bound_the_catalogue() {
    let items = "item,title,genres\nkiwi,Kiwi (1999),Fruit|Green\npear,\"Pear, ripe\",Fruit\nfig,,\n\"kiwi, green\",Green kiwi,\nplum,Plum,Fruit\n";
    let dataset = good(&[("events.csv", EVENTS), ("items.csv", items)]);
    assert_eq!(
        dataset.items, 5,
        "an item that nobody touched yet is in the catalogue"
    );
    assert_eq!(
        dataset.titles.unwrap(),
        ["Pear, ripe", "fig", "Green kiwi", "Kiwi (1999)", "Plum"]
    );
    assert_eq!(dataset.item_ids.unwrap()[4], "plum");
    assert_eq!(dataset.features.unwrap().names()[..2], ["Fruit", "Green"]);
    // The catalogue shrank.
    let shrunk = items.replace("pear,\"Pear, ripe\",Fruit\n", "");
    assert_eq!(
        complaint(&[("events.csv", EVENTS), ("items.csv", &shrunk)]),
        "DIR/events.csv, line 2: expected an item of DIR/items.csv, but `pear` is not in it: the catalogue shrank, or \
         the id is wrong; add the item there, or take its events out"
    );
    let twice = format!("{items}pear,Pear again,\n");
    assert_eq!(
        complaint(&[("events.csv", EVENTS), ("items.csv", &twice)]),
        "DIR/items.csv, line 7: expected each item once, but this one has a row above"
    );
}

#[test]
fn bad_rows_are_named_with_what_to_do() {
    let take_out = "write one, or take the row out";
    for (rows, said) in [
        (
            "a,x,1,NaN\n",
            format!("line 2: expected a rating, but `NaN` is no number: {take_out}"),
        ),
        (
            "a,x,1,5\na,y,2,inf\n",
            format!("line 3: expected a rating, but `inf` is no number: {take_out}"),
        ),
        (
            "a,x,NaN,5\n",
            "line 2: expected a time, but `NaN` is none: write seconds since 1970".to_owned(),
        ),
        (
            "a,x,99999999999999999,5\n",
            "line 2: expected a time, but `99999999999999999` is none".to_owned(),
        ),
        (
            ",x,1,5\n",
            "line 2: expected an id of the user, but there is none: fill it in".to_owned(),
        ),
        (
            "a,,1,5\n",
            "line 2: expected an id of the item, but there is none: fill it in".to_owned(),
        ),
        (
            "a,x,1\n",
            "line 2: expected 4 values as in the first row, but there are 3; a value with"
                .to_owned(),
        ),
    ] {
        let text = format!("user,item,time,rating\n{rows}");
        let message = complaint(&[("events.csv", &text)]);
        assert!(
            message.starts_with(&format!("DIR/events.csv, {said}")),
            "{message}"
        );
    }
    assert_eq!(
        complaint(&[("events.csv", "user,item\n")]),
        "DIR/events.csv holds no events"
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("events.csv"), b"user,item\na,\xff\n").unwrap();
    let message = read(folder.path()).err().unwrap().to_string();
    assert!(
        message.ends_with("events.csv, line 2: expected UTF-8 text"),
        "{message}"
    );
}

/// The file that the README shows.
#[test]
fn the_settings_of_the_readme_are_read() {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (settings, _) = rest.split_once("```").unwrap();
    let events = "customer,product,bought\na,x,2024-02-01\na,y,2024-03-02\n";
    let dataset = good(&[("events.csv", events), ("data.toml", settings)]);
    assert_eq!(dataset.split.to_string(), "temporal:2024-03-01T00:00:00Z");
    assert_eq!(dataset.cases.iter().flatten().count(), 1);
}
