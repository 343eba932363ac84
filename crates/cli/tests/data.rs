//! `chorus data`, as people run it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use common::{chorus, data};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_data_set_is_described_in_words_json_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    data(&folder.path().join("data"), 6, 30);
    let said = chorus(
        folder.path(),
        &[
            "data",
            "describe",
            "data",
            "--report",
            "page.html",
            "--json",
            "figures.json",
        ],
    )
    .well();
    assert!(said.contains("tiny: 6 users, 30 items"), "{said}");
    assert!(said.contains("split       published"), "{said}");
    let figures = json(&fs::read_to_string(folder.path().join("figures.json")).unwrap());
    assert_eq!(
        (figures["users"].as_u64(), figures["cases"].as_u64()),
        (Some(6), Some(6))
    );
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 2);
    assert!(!page.contains("NaN") && page.contains(said.lines().next().unwrap()));
    let printed = chorus(folder.path(), &["data", "describe", "data", "--json"]).well();
    assert_eq!(json(&printed), figures);
    chorus(folder.path(), &["data", "describe", "nowhere"]).with(3, &["cannot read nowhere"]);
    chorus(
        folder.path(),
        &["data", "describe", "data", "--split", "temporal"],
    )
    .with(3, &["no raw events beside it; leave the split out"]);
    chorus(
        folder.path(),
        &["data", "describe", "data", "--split", "later"],
    )
    .with(2, &["is no split"]);
    chorus(
        folder.path(),
        &["data", "describe", "data", "--json", "no/f.json"],
    )
    .with(4, &["make it first"]);
}

#[test]
fn a_table_is_simulated_by_folder_and_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "who,what,when\n".to_owned();
    for user in 0..20 {
        for step in 0..8 {
            text += &format!(
                "person {user},thing {},2024-03-0{}\n",
                (user % 2) + 2 * ((user + step * 5) % 12),
                step + 1
            );
        }
    }
    let shop = folder.path().join("shop");
    fs::create_dir(&shop).unwrap();
    fs::write(shop.join("events.csv"), &text).unwrap();
    chorus(folder.path(), &["data", "describe", "shop"]).with(
        3,
        &["has no column `user` or `user_id`, only `who`", "data.toml"],
    );
    let named = chorus(
        folder.path(),
        &[
            "data",
            "describe",
            "shop/events.csv",
            "--user-column",
            "who",
            "--item-column",
            "what",
            "--time-column",
            "when",
            "--split",
            "temporal:2024-03-07",
        ],
    );
    let named = named.well();
    assert!(named.contains("20 users, 24 items, 160 events"), "{named}");
    assert!(
        named.contains("2024-03-01T00:00:00Z to 2024-03-08T00:00:00Z"),
        "{named}"
    );
    assert!(
        named.contains("120 events to learn from, 40 held out of 20 users"),
        "{named}"
    );
    let settings = "[columns]\nuser = \"who\"\nitem = \"what\"\ntime = \"when\"\n";
    fs::write(shop.join("data.toml"), settings).unwrap();
    for data in ["shop", "shop/events.csv"] {
        let flags = [
            "simulate",
            "--data",
            data,
            "--noise",
            "off",
            "--factors",
            "4",
            "--rounds",
            "2",
            "--cohort",
            "0.5",
        ];
        let said = chorus(folder.path(), &flags).well();
        assert!(said.contains("HR@10"), "{said}");
    }
    fs::write(shop.join("events.csv"), text.replace("2024-03-05", "NaN")).unwrap();
    chorus(
        folder.path(),
        &["simulate", "--data", "shop", "--noise", "off"],
    )
    .with(
        3,
        &[
            "shop/events.csv, line 6: expected a time, but `NaN` is none",
            "take the row out",
        ],
    );
}

#[test]
fn people_are_made_up_and_fitted() {
    let folder = tempfile::tempdir().unwrap();
    let synth = |into: &str, more: &[&str]| {
        let mut flags = vec!["data", "synth", "--into", into];
        flags.extend(more);
        chorus(folder.path(), &flags)
    };
    let made = [
        "--users",
        "300",
        "--items",
        "120",
        "--events-per-user",
        "20",
        "--groups",
        "4",
        "--drift",
        "0.5",
        "--json",
    ];
    let first = json(&synth("one", &made).well());
    synth("two", &made).well();
    let read =
        |name: &str, file: &str| fs::read_to_string(folder.path().join(name).join(file)).unwrap();
    assert_eq!(read("one", "events.csv"), read("two", "events.csv"));
    assert_eq!(first["users"], 300);
    let described = json(&chorus(folder.path(), &["data", "describe", "one", "--json"]).well());
    assert_eq!(described["events"], first["events"]);
    assert_eq!(described["groups"].as_array().unwrap().len(), 4);

    let fitted = json(&synth("three", &["--fit", "one", "--groups", "4", "--json"]).well());
    assert_eq!(
        (
            fitted["users"].as_u64(),
            fitted["likeness"]["exact_copies"].as_u64()
        ),
        (Some(300), Some(0))
    );
    // Everyone alike: who is made up after them is one of them, and nothing is written.
    let same: String = (0..100)
        .flat_map(|user| (0..5).map(move |item| format!("u{user},i{item}\n")))
        .collect();
    let alike = folder.path().join("alike");
    fs::create_dir(&alike).unwrap();
    fs::write(alike.join("events.csv"), format!("user,item\n{same}")).unwrap();
    synth("four", &["--fit", "alike", "--groups", "2"])
        .with(5, &["exact copies (none allowed)", "not written"]);
    assert!(!folder.path().join("four").exists());
    synth("one", &[]).with(2, &["there are files in one already"]);
    synth("five", &["--drift", "2"]).with(2, &["--drift", "between 0 and 1"]);
    synth("five", &["--events-per-user", "90"]).with(2, &["within 5 and 61 for 240 items"]);
    synth("five", &["--skew", "NaN"]).with(2, &["--skew", "between 0 and 4"]);
    synth("five", &["--fit", "one", "--groups", "90"]).with(2, &["at most one for every 10"]);
    synth("five", &["--fit", "one", "--skew", "1"]).with(2, &["cannot be used with"]);
}

/// A server that answers every request with the same bytes, and says that they are so many.
fn serve(content: Vec<u8>, announced: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap_or(0);
            if !request[..count].starts_with(b"GET /sets/ml-100k.zip ") {
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
                continue;
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {announced}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&content));
        }
    });
    format!("http://{address}/sets/")
}

/// An archive as GroupLens packs it, with one file too many.
fn archive() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in [
        (
            "ml-100k/u.data",
            "1\t10\t5\t10\n1\t20\t5\t20\n2\t10\t4\t7\n",
        ),
        ("ml-100k/u.item", "10|One (1990)|x\n20|Two (1991)|x\n"),
        ("ml-100k/u.user", "1|24|M|student|1\n2|53|F|other|2\n"),
        ("ml-100k/u.genre", "unknown|0\n"),
        ("ml-100k/README", "The terms.\n"),
        ("../../outside", "nothing\n"),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn md5(bytes: &[u8]) -> String {
    use md5::Digest;
    md5::Md5::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_published_data_set_is_fetched_after_its_terms() {
    let folder = tempfile::tempdir().unwrap();
    let whole = archive();
    let (sum, length) = (md5(&whole), whole.len());
    let fetch = |from: &str, more: &[&str]| {
        let mut flags = vec![
            "data",
            "fetch",
            "movielens-100k",
            "--into",
            "ml",
            "--from",
            from,
        ];
        flags.extend(more);
        chorus(folder.path(), &flags)
    };
    let from = serve(whole.clone(), length);
    let here = || folder.path().join("ml").exists();

    let unasked = fetch(&from, &["--md5", &sum]);
    assert!(
        unasked.err.contains("Do not redistribute it"),
        "{unasked:?}"
    );
    unasked.with(5, &["say --accept-terms"]);
    // The checksum that is published is not the one of this archive.
    fetch(&from, &["--accept-terms"]).with(
        3,
        &[
            "not the published 0e33842e24a9c977be4e0107933c0723",
            "nothing was unpacked",
        ],
    );
    assert!(!here());
    let short = serve(whole[..length / 2].to_vec(), length);
    fetch(&short, &["--accept-terms", "--md5", &sum])
        .with(4, &["it ended after", "run this again"]);
    let endless = serve(whole.clone(), 1 << 30);
    fetch(&endless, &["--accept-terms", "--md5", &sum]).with(4, &["larger than 32 MB"]);
    let nothing = from.replace("/sets/", "/other/");
    fetch(&nothing, &["--accept-terms", "--md5", &sum]).with(4, &["404"]);
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    fetch(&format!("http://{closed}/"), &["--accept-terms"]).with(4, &["check the connection"]);
    let broken = b"PK and then nonsense".to_vec();
    let broken_sum = md5(&broken);
    let address = serve(broken.clone(), broken.len());
    fetch(&address, &["--accept-terms", "--md5", &broken_sum]).with(3, &["cannot be unpacked"]);
    assert!(!here(), "what failed leaves nothing behind");

    let fetched = fetch(&from, &["--accept-terms", "--md5", &sum, "--json"]).well();
    assert_eq!(json(&fetched)["data"]["events"], 3);
    assert_eq!(
        files(&folder.path().join("ml")),
        ["README", "u.data", "u.genre", "u.item", "u.user"]
    );
    assert_eq!(
        files(folder.path()),
        ["ml"],
        "nothing is unpacked beside it"
    );
    let described = chorus(folder.path(), &["data", "describe", "ml"]).well();
    assert!(
        described.contains("gender: female: 1 of 2 users"),
        "{described}"
    );
    fetch(&from, &["--accept-terms", "--md5", &sum])
        .with(2, &["there is a file u.data in ml already"]);
    chorus(folder.path(), &["data", "fetch", "netflix", "--into", "x"]).with(2, &["movielens-1m"]);
}
