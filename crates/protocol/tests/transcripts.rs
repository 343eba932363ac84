//! Rounds told as stories: `tests/transcripts/*.txt`, blocks of a command, `----` and what came of it. A changed
//! behaviour fails; `CHORUS_BLESS=1` writes down what comes of the commands now.
//!
//! Clients are named by their numbers in the full cohort. The commands:
//!
//! ```text
//! open 12 [witness] [bits=16] [seed=3]   a round, to which so many clients are invited
//! everyone | 0-3,7 go                    all or these do what they have to do, until they wait
//! 0-3,7 say                              each says the next thing that it has to say
//! lose 4,5                               they are never heard of again
//! wait 1000                              so many milliseconds pass
//! interrupt 0-11                         their apps are ended, and started again
//! restart                                the coordinator is ended, and started again
//! again 3 | other 3                      it says the last thing again, or says something else instead
//! stranger                               somebody who was not invited says what client 0 would say
//! witness silent | back                  it does not answer, or does again
//! tell 3 survivors|sharers 0-8           the coordinator's own answer; who refuses it is put back, for the next lie
//! tell 3 proof by 0-5                    with the signatures of these, as far as they signed
//! tell 3 neighbours cohort=9 | key-root=other | without=4 | keys-of=4,5 | path=none | beacon=none
//! tell 3 seal other-witness | other-round | other-list
//! status                                 where the round and the clients are
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fmt::Write;
use std::path::Path;

use common::story::Story;

struct Block {
    /// Comments and blank lines before it, as they are.
    before: String,
    command: String,
    output: String,
}

fn blocks(text: &str) -> (Vec<Block>, String) {
    let mut blocks = Vec::new();
    let mut before = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            before += line;
            before.push('\n');
            continue;
        }
        assert_eq!(lines.next(), Some("----"), "after the command `{line}`");
        let mut output = String::new();
        while let Some(line) = lines.next_if(|line| !line.is_empty()) {
            output += line;
            output.push('\n');
        }
        blocks.push(Block {
            before: std::mem::take(&mut before),
            command: line.to_owned(),
            output,
        });
    }
    (blocks, before)
}

fn tell(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let path = folder.join(name).with_extension("txt");
    let text = std::fs::read_to_string(&path).unwrap();
    let (blocks, rest) = blocks(&text);
    let mut story = Story::default();
    let mut told = String::new();
    let mut differences = String::new();
    for block in blocks {
        let output = story.command(&block.command);
        writeln!(told, "{}{}\n----\n{output}", block.before, block.command).unwrap();
        told.truncate(told.trim_end_matches('\n').len() + 1);
        if output != block.output {
            let Block {
                command,
                output: before,
                ..
            } = block;
            write!(
                differences,
                "{command}\n---- was\n{before}---- is\n{output}\n"
            )
            .unwrap();
        }
    }
    told += &rest;
    if std::env::var_os("CHORUS_BLESS").is_some() {
        std::fs::write(&path, told).unwrap();
        return;
    }
    assert!(differences.is_empty(), "{name}:\n{differences}");
}

#[test]
fn happy() {
    tell("happy");
}

#[test]
fn late() {
    tell("late");
}

#[test]
fn dropout() {
    tell("dropout");
}

#[test]
fn replay() {
    tell("replay");
}

#[test]
fn restart() {
    tell("restart");
}

#[test]
fn cheat() {
    tell("cheat");
}

#[test]
fn witness() {
    tell("witness");
}

/// No story is forgotten.
#[test]
fn every_story_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let told = [
        "cheat.txt",
        "dropout.txt",
        "happy.txt",
        "late.txt",
        "replay.txt",
        "restart.txt",
        "witness.txt",
    ];
    assert_eq!(names, told);
}
