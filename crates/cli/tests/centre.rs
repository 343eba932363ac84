//! The privacy centre in a real browser: a person looks, decides, corrects and erases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

mod common;
#[path = "common/person.rs"]
mod person;
#[path = "common/visitor.rs"]
mod visitor;

use common::Service;
use person::{catalogue, lived_in};
use rustix::process::Signal;
use visitor::Visitor;

fn tool(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The browser's driver, installed once into the cache of the build; nothing where the machine has none of it.
fn browser() -> Option<(PathBuf, PathBuf, PathBuf)> {
    let node = tool("node")?;
    let chromium = tool("chromium")
        .or_else(|| tool("chromium-browser"))
        .or_else(|| tool("google-chrome"))?;
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/pages");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&to).unwrap();
    for file in ["package.json", "package-lock.json", "centre.mjs"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    if !to.join("node_modules/playwright-core").is_dir() {
        let install = Command::new(tool("npm")?)
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&to)
            .output()
            .unwrap();
        if !install.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&install.stderr));
            return None;
        }
    }
    Some((node, chromium, to))
}

#[test]
fn a_person_looks_decides_corrects_and_erases() {
    let Some((node, chromium, pages)) = browser() else {
        eprintln!(
            "skipped: pages are looked at with node, npm and chromium; one of them is not here"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("client");
    let task = lived_in(&home);
    let table = folder.path().join("films.tsv");
    catalogue(&table);
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    for file in ["client.db", "client.db-tally", "client.key", "lease"] {
        fs::copy(home.join(file), other.join(file)).unwrap();
    }
    let serve = |home: &Path| {
        let (home, table) = (home.to_str().unwrap(), table.to_str().unwrap());
        let client = ["client", "--home", home, "--catalogue", table];
        let centre = ["centre", "--task", &task, "--app", "Filmhouse"];
        Service::saying(folder.path(), &[&client[..], &centre].concat())
    };
    let mut centres = [serve(&home), serve(&other)];
    let pictures = pages.join("pictures");
    fs::create_dir_all(&pictures).unwrap();
    let person = Command::new(node)
        .arg("centre.mjs")
        .args([centres[0].address.trim()])
        .args([&pictures, &chromium])
        .args([centres[1].address.trim()])
        .arg(&other)
        .current_dir(&pages)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&person.stdout),
        String::from_utf8_lossy(&person.stderr)
    );
    assert!(person.status.success(), "{said}");
    assert!(said.ends_with("done\n"), "{said}");
    // The centre closes by itself once there is nothing to show, and leaves nothing behind.
    for (centre, home) in centres.iter_mut().zip([&home, &other]) {
        assert_eq!(centre.wait(Duration::from_secs(15)), Some(0));
        let left: Vec<_> = fs::read_dir(home)
            .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
            .unwrap_or_default();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn the_address_lets_one_browser_in_once() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Service::saying(folder.path(), &["client", "--home", "me", "centre"]);
    let mut visitor = Visitor::new(&centre.address);
    let (stranger, way_in, host) = (
        visitor.stranger(),
        visitor.way_in.clone(),
        visitor.host.clone(),
    );
    let enter = format!("{}/enter?token=", visitor.folder);
    assert_eq!(way_in.len(), enter.len() + 64, "{way_in}");
    assert_eq!(visitor.folder.len(), 1 + 32);
    // Strangers, and guesses.
    for page in ["", "data", "export?format=json", "enter"] {
        assert_eq!(stranger.page(page).code, 403, "{page}");
    }
    for guess in [&enter, &format!("{enter}00"), &way_in[..way_in.len() - 1]] {
        assert_eq!(stranger.get(guess).code, 403, "{guess}");
    }
    // A name that someone points at this machine, and another page: they do not use the token up.
    for name in ["localhost", "evil.example", "127.0.0.1", "127.0.0.1:1"] {
        assert_eq!(stranger.get_as(name, &way_in, "").code, 403, "{name}");
    }
    for from in ["Origin: http://evil.example", "Sec-Fetch-Site: same-site"] {
        let from = format!("{from}\r\n");
        assert_eq!(stranger.get_as(&host, &way_in, &from).code, 403, "{from}");
    }
    visitor.enter();
    assert_eq!(stranger.get(&way_in).code, 403, "a second time");
    let data = format!("{}/data", visitor.folder);
    let of = |who: &Visitor, host: &str, headers: &str| who.get_as(host, &data, headers).code;
    assert_eq!(of(&visitor, &host, ""), 200);
    assert_eq!(of(&stranger, &host, ""), 403);
    assert_eq!(of(&visitor, "evil.example", ""), 403);
    let evil = "Origin: http://evil.example\r\n";
    assert_eq!(of(&visitor, &host, evil), 403);
    assert_eq!(visitor.page("export?format=json").code, 200);
    assert_eq!(visitor.page("export?format=docx").code, 400);
    // Outside of the folder nobody is there, whoever asks.
    assert_eq!(visitor.get("/data").code, 404);
    assert_eq!(centre.end(Signal::INT), Some(0));
}

#[test]
fn a_half_sent_request_does_not_keep_the_centre_open() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Service::saying(folder.path(), &["client", "--home", "me", "centre"]);
    let mut visitor = Visitor::new(&centre.address);
    visitor.enter();
    let mut half = TcpStream::connect(&visitor.host).unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost:").unwrap();
    assert_eq!(visitor.page("data").code, 200);
    assert_eq!(centre.end(Signal::INT), Some(0));
}

#[test]
fn what_was_not_erased_to_the_end_is_said_and_erased_again() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("me");
    lived_in(&home);
    let mut centre = Service::saying(folder.path(), &["client", "--home", "me", "centre"]);
    let mut visitor = Visitor::new(&centre.address);
    visitor.enter();
    // Among what was set aside is a folder so deep that what is in it has no path, and cannot go.
    let deep = |place: &Path| (0..15).fold(place.to_owned(), |path, _| path.join("d".repeat(200)));
    let (bottom, obstacle) = (deep(&home.join("set-aside-1")), folder.path().join("deep"));
    fs::create_dir_all(&bottom).unwrap();
    fs::create_dir_all(deep(&obstacle)).unwrap();
    fs::rename(&obstacle, bottom.join("deep")).unwrap();
    let erase = |on: &str| visitor.send(on, "erase", "sure=yes");
    for page in ["data", "", "choices"] {
        let said = match page {
            "data" => erase("data"),
            page => visitor.page(page),
        };
        assert_eq!(said.code, 503, "{said:?}");
        for words in [
            "Not all of it is gone",
            "cannot be used",
            "Erase everything",
        ] {
            assert!(said.body.contains(words), "{words}: {said:?}");
        }
    }
    assert_eq!(erase("").code, 503, "it is still there");
    assert_eq!(visitor.send("", "open", "").code, 303);
    assert_eq!(visitor.page("").code, 503);
    fs::rename(bottom.join("deep"), &obstacle).unwrap();
    let gone = erase("");
    assert_eq!(gone.code, 200, "{gone:?}");
    // The receipt says what there was before the first try.
    let receipt = gone.body.replace("&#34;", "\"").replace("&quot;", "\"");
    for words in ["All of it is gone", "You have used", "\\\"unread\\\":false"] {
        assert!(receipt.contains(words), "{words}: {receipt}");
    }
    assert_eq!(centre.wait(Duration::from_secs(15)), Some(0));
    assert_eq!(fs::read_dir(&home).map_or(0, Iterator::count), 0);
}

#[test]
fn what_does_not_open_is_opened_again_or_erased() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("me");
    lived_in(&home);
    let key = home.join("client.key");
    let right = fs::read(&key).unwrap();
    let mut wrong = right.clone();
    *wrong.last_mut().unwrap() ^= 1;
    fs::write(&key, &wrong).unwrap();
    let mut centre = Service::saying(folder.path(), &["client", "--home", "me", "centre"]);
    let mut visitor = Visitor::new(&centre.address);
    visitor.enter();
    assert_eq!(visitor.stranger().page("").code, 403);
    let shut = visitor.page("data");
    assert_eq!(shut.code, 503, "{shut:?}");
    for words in [
        "Your data does not open",
        "The key does not fit",
        "does not open with this key",
    ] {
        assert!(shut.body.contains(words), "{words}: {shut:?}");
    }
    fs::write(&key, &right).unwrap();
    assert_eq!(visitor.send("", "open", "").code, 303);
    assert_eq!(visitor.page("data").code, 200);
    assert!(centre.end(Signal::INT) == Some(0) && home.join("client.db").exists());

    fs::write(&key, &wrong).unwrap();
    centre = Service::saying(folder.path(), &["client", "--home", "me", "centre"]);
    visitor = Visitor::new(&centre.address);
    visitor.enter();
    let gone = visitor.send("", "erase", "sure=yes");
    assert!(gone.body.contains("No one could look into it"), "{gone:?}");
    assert_eq!(centre.wait(Duration::from_secs(15)), Some(0));
    assert_eq!(fs::read_dir(&home).map_or(0, Iterator::count), 0);
}
