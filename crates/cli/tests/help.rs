//! What `--help` says, and that the README says nothing that the command does not understand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{chorus, root};

/// Commands whose help has an example.
const WITH_EXAMPLES: [&str; 32] = [
    "audit attack",
    "audit privacy",
    "data describe",
    "data synth",
    "data fetch",
    "demo",
    "simulate",
    "train",
    "evaluate",
    "report",
    "client --home me explain",
    "authority invite",
    "secagg plan",
    "dp epsilon",
    "dp calibrate",
    "dp curve",
    "dp plan",
    "witness enrol",
    "witness run",
    "witness status",
    "client --home me enrol",
    "client --home me run",
    "client --home me centre",
    "client --home me consent grant",
    "client --home me consent withdraw",
    "client --home me correct",
    "client --home me erase",
    "client --home me export",
    "client --home me activity",
    "client --home me status",
    "client --home me remove",
    "client --home me consent show",
];

/// The subcommands that a help page lists.
fn listed(help: &str) -> Vec<String> {
    let names = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let name = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    names.map(name).filter(|name| name != "help").collect()
}

/// Every command, the flags that it cannot do without included, and its help.
fn commands() -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut open = vec![String::new()];
    let mut all = BTreeMap::new();
    while let Some(command) = open.pop() {
        let mut flags: Vec<&str> = command.split_whitespace().collect();
        flags.push("--help");
        let help = chorus(folder.path(), &flags).well();
        let home = if command == "client" {
            " --home me"
        } else {
            ""
        };
        for name in listed(&help) {
            open.push(format!("{command}{home} {name}").trim().to_owned());
        }
        all.insert(command, help);
    }
    all
}

#[test]
fn every_command_has_help() {
    let commands = commands();
    assert!(commands.len() >= 23, "{commands:?}");
    for (command, help) in &commands {
        assert!(help.contains("Usage: chorus"), "{command}: {help}");
        assert!(
            help.lines().next().is_some_and(|line| line.len() > 10),
            "{command}: {help}"
        );
        if WITH_EXAMPLES.contains(&command.as_str()) {
            assert!(help.contains("Example"), "{command}: {help}");
        }
    }
    for command in WITH_EXAMPLES {
        assert!(commands.contains_key(command), "{command}");
    }
    for command in ["", "demo", "simulate"] {
        let help = &commands[command];
        assert!(help.contains("Exit codes: 0 done"), "{help}");
    }
    let folder = tempfile::tempdir().unwrap();
    let version = chorus(folder.path(), &["--version"]).well();
    assert!(version.starts_with("chorus 0."), "{version}");
}

/// The words of a shell command; those in quotes are one.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in command.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What in a text is a `chorus` command: in blocks of `sh`, and between backticks.
fn commands_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, part) in text.split("```").enumerate() {
        match part.strip_prefix("sh\n") {
            Some(block) if number % 2 == 1 => {
                let block = block.replace("\\\n", " ");
                for line in block.lines() {
                    // What is put in for a word is a command of its own.
                    let mut line = line.split(" #").next().unwrap_or_default().to_owned();
                    while let Some((before, rest)) = line.split_once("$(") {
                        let (inner, after) = rest.split_once(')').expect("a closed bracket");
                        found.push(inner.to_owned());
                        line = format!("{before}CODE{after}");
                    }
                    found.extend(
                        line.split("&&")
                            .map(|one| one.trim_end_matches(" &").to_owned()),
                    );
                }
            }
            None if number % 2 == 0 => {
                found.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
            }
            _ => {}
        }
    }
    // What a launcher starts stands behind its own flags.
    let launched = |one: String| match one.split_once(" chorus ") {
        Some((launcher, rest)) if launcher.starts_with("mpirun ") => format!("chorus {rest}"),
        _ => one,
    };
    let trimmed = found
        .iter()
        .map(|one| launched(one.trim().replace("scripts/demo", "chorus demo")));
    trimmed
        .filter(|one| one.starts_with("chorus ") && !one.contains('|'))
        .collect()
}

/// With `--help` behind it, a command is read to its end but not run.
fn is_understood(command: &str) -> Result<(), String> {
    let words = words(command);
    let flags: Vec<&str> = words[1..]
        .iter()
        .map(String::as_str)
        .filter(|word| *word != "--")
        .chain(["--help"])
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let said = chorus(folder.path(), &flags);
    match said.code {
        0 => Ok(()),
        _ => Err(format!("{command}: {}", said.err)),
    }
}

#[test]
fn commands_in_the_documentation_are_understood() {
    assert!(is_understood("chorus demo --frobnicate").is_err());
    assert!(is_understood("chorus demos").is_err());
    for (file, least) in [
        ("README.md", 10),
        ("models/README.md", 0),
        ("crates/centre/README.md", 1),
        ("crates/client/README.md", 0),
        ("crates/witness/README.md", 4),
        ("crates/cli/README.md", 1),
        ("crates/mpi/README.md", 2),
        ("crates/data/README.md", 4),
        ("crates/simulator/README.md", 5),
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let commands = commands_of(&text);
        assert!(commands.len() >= least, "{file}: {commands:?}");
        for command in commands {
            if let Err(error) = is_understood(&command) {
                panic!("{file}: {error}");
            }
        }
    }
}
