//! The privacy centre in a real browser: a person looks, decides, corrects and erases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

mod common;
#[path = "common/person.rs"]
mod person;

use common::Service;
use person::{catalogue, lived_in};
use rustix::process::Signal;

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
    let mut centre = Command::new(env!("CARGO_BIN_EXE_chorus"))
        .args(["client", "--home"])
        .arg(&home)
        .arg("--catalogue")
        .arg(&table)
        .args(["centre", "--task", &task, "--app", "Filmhouse"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(centre.stdout.take().unwrap())
        .read_line(&mut address)
        .unwrap();
    let pictures = pages.join("pictures");
    fs::create_dir_all(&pictures).unwrap();
    let person = Command::new(node)
        .arg("centre.mjs")
        .args([address.trim()])
        .args([&pictures, &chromium])
        .current_dir(&pages)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&person.stdout),
        String::from_utf8_lossy(&person.stderr)
    );
    if !person.status.success() {
        centre.kill().unwrap();
    }
    assert!(person.status.success(), "{said}");
    assert!(said.ends_with("done\n"), "{said}");
    // The centre closes by itself once there is nothing to show, and leaves nothing behind.
    assert!(centre.wait().unwrap().success());
    let left: Vec<_> = fs::read_dir(&home)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}

/// What a centre answers to a request: the code, and the cookie that it gives.
fn asked(host: &str, path: &str, headers: &str) -> (u16, Option<String>) {
    let address = host.parse::<SocketAddr>().unwrap();
    asked_as(address, host, path, headers)
}

fn asked_as(address: SocketAddr, host: &str, path: &str, headers: &str) -> (u16, Option<String>) {
    let mut line = TcpStream::connect(address).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n");
    line.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let cookie = answer
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .and_then(|cookie| cookie.split(';').next());
    (code, cookie.map(str::to_owned))
}

#[test]
fn the_address_lets_one_browser_in_once() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Service::saying(folder.path(), &["client", "--home", "me", "centre"]);
    let (host, path) = centre
        .address
        .trim()
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let path = format!("/{path}");
    assert!(
        path.starts_with("/enter?token=") && path.len() == 13 + 64,
        "{path}"
    );
    // Strangers, and guesses.
    for guess in [
        "/",
        "/data",
        "/export/json",
        "/enter",
        "/enter?token=",
        "/enter?token=00",
        &path[..70],
    ] {
        assert_eq!(asked(host, guess, ""), (403, None), "{guess}");
    }
    // A name that someone points at this machine, and another page: they do not use the token up.
    let address = host.parse().unwrap();
    for name in ["localhost", "evil.example", "127.0.0.1", "127.0.0.1:1"] {
        assert_eq!(asked_as(address, name, &path, ""), (403, None), "{name}");
    }
    assert_eq!(
        asked(host, &path, "Origin: http://evil.example\r\n"),
        (403, None)
    );
    let (code, cookie) = asked(host, &path, "");
    assert_eq!(code, 303);
    let cookie = format!("Cookie: {}\r\n", cookie.unwrap());
    assert_eq!(asked(host, &path, ""), (403, None), "a second time");
    assert_eq!(asked(host, "/data", &cookie).0, 200);
    assert_eq!(asked(host, "/data", "").0, 403);
    assert_eq!(asked_as(address, "evil.example", "/data", &cookie).0, 403);
    assert_eq!(
        asked(
            host,
            "/data",
            &format!("{cookie}Origin: http://evil.example\r\n")
        )
        .0,
        403
    );
    assert_eq!(asked(host, "/export/json", &cookie).0, 200);
    assert_eq!(asked(host, "/export/docx", &cookie).0, 400);
    assert_eq!(centre.end(Signal::INT), Some(0));
}
