//! Keys of a run: the long flags of `chorus simulate`, from a file, from a run folder, from a sweep. All of them are turned into
//! the words of flags, so that one reader judges them, whoever wrote them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use chorus_simulator::{Folder, Keys, nearest, plainly};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory};
use serde_json::Value;

use super::or_exit;
use crate::exit::{self, stop};
use crate::{Command, progress};

const SIMULATE: &str = "simulate";

/// They say where keys are from, where a run goes or that there is none, so they are given to a command and not kept.
const OF_A_COMMAND: [&str; 7] = [
    "beside", "config", "out", "plan", "repeat", "resume", "sweep",
];

/// Of those, the ones that a file may hold too.
const OF_A_FILE: [&str; 2] = ["beside", "sweep"];

/// They say where a result goes besides.
const RESULTS: [&str; 4] = ["json", "report", "save-model", "scores"];

/// Whether a command line asks for a simulation, and not for help with one.
pub fn is_asked_for(words: &[OsString]) -> bool {
    let asks_for_help = words.iter().any(|word| word == "--help" || word == "-h");
    words.get(1).is_some_and(|word| word == SIMULATE) && !asks_for_help
}

/// The command line with the keys of `--config FILE` behind `simulate`, or with those that the run in `--resume DIR` or
/// `--repeat DIR` was begun with. What stands in the command line itself comes later, and wins.
pub fn spelt_out(words: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    if !is_asked_for(&words) {
        return Ok(words);
    }
    let (before, after) = words.split_at(2);
    let mut spelt = before.to_vec();
    if let Some(file) = value(after, "--config") {
        let text = progress::read(&file, exit::USAGE)?;
        let place = file.display().to_string();
        let keys: Keys = match toml::from_str(&text) {
            Ok(keys) => keys,
            Err(error) => {
                return stop(
                    exit::USAGE,
                    format!("{place}: {}", error.to_string().trim()),
                );
            }
        };
        spelt.extend(flags(&keys, &place)?);
    }
    for flag in ["--resume", "--repeat"] {
        if let Some(folder) = value(after, flag) {
            let (_, record) = or_exit(Folder::open(&folder))?;
            let mut keys = record.keys;
            if flag == "--repeat" {
                keys.retain(|key, _| !RESULTS.contains(&key.as_str()));
            }
            spelt.extend(flags(
                &keys,
                &folder.join("run.json").display().to_string(),
            )?);
        }
    }
    spelt.extend_from_slice(after);
    Ok(spelt)
}

/// What follows a flag, or its `=`; the last where it is there twice, as clap reads it.
fn value(words: &[OsString], flag: &str) -> Option<PathBuf> {
    let mut words = words.iter().take_while(|word| *word != "--");
    let mut found = None;
    while let Some(word) = words.next() {
        let rest = word.to_str().and_then(|word| word.strip_prefix(flag));
        match rest {
            Some("") => found = words.next().map(PathBuf::from),
            Some(rest) => found = rest.strip_prefix('=').map(PathBuf::from).or(found),
            None => {}
        }
    }
    found
}

/// The flags that these keys are. `place` is where they stand, for whoever has to correct one.
pub fn flags(keys: &Keys, place: &str) -> anyhow::Result<Vec<OsString>> {
    let mut flags = Vec::new();
    for (key, value) in keys {
        let arg = match known(key) {
            Ok(arg)
                if OF_A_COMMAND.contains(&key.as_str()) && !OF_A_FILE.contains(&key.as_str()) =>
            {
                let name = arg.get_long().unwrap_or_default();
                let problem =
                    format!("{place}: `{key}` is of the command line alone: give --{name} there");
                return stop(exit::USAGE, problem);
            }
            Ok(arg) => arg,
            Err(problem) => return stop(exit::USAGE, format!("{place}: {problem}")),
        };
        match words(key, value, &arg) {
            Ok(words) => flags.extend(words.into_iter().map(OsString::from)),
            Err(expected) => {
                let problem = format!("{place}: `{key}`: expected {expected}, found `{value}`");
                return stop(exit::USAGE, problem);
            }
        }
    }
    Ok(flags)
}

/// The words of one key, or what was expected.
fn words(key: &str, value: &Value, arg: &Arg) -> Result<Vec<String>, &'static str> {
    let word = |value: &Value| match value {
        Value::String(text) => Ok(format!("--{key}={text}")),
        Value::Number(number) => Ok(format!("--{key}={}", plainly(number))),
        _ => Err("a number or a text"),
    };
    let takes_none = arg
        .get_num_args()
        .is_some_and(|range| range.min_values() == 0);
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Bool(true)) => Ok(vec![format!("--{key}")]),
        (ArgAction::SetTrue, Value::Bool(false)) => Ok(Vec::new()),
        (ArgAction::SetTrue, Value::String(text)) if text == "true" => Ok(vec![format!("--{key}")]),
        (ArgAction::SetTrue, Value::String(text)) if text == "false" => Ok(Vec::new()),
        (ArgAction::SetTrue, _) => Err("true or false"),
        (ArgAction::Set, Value::Bool(true)) if takes_none => Ok(vec![format!("--{key}")]),
        (ArgAction::Append, Value::Array(values)) => values.iter().map(word).collect(),
        (_, value) => Ok(vec![word(value)?]),
    }
}

fn arguments() -> Vec<Arg> {
    let command = Command::command();
    let simulate = command.find_subcommand(SIMULATE);
    let arguments = simulate
        .into_iter()
        .flat_map(|simulate| simulate.get_arguments());
    arguments
        .filter(|arg| arg.get_long().is_some())
        .cloned()
        .collect()
}

/// The flag of a key, or a sentence with the nearest.
fn known(key: &str) -> Result<Arg, String> {
    let arguments = arguments();
    let name = |arg: &Arg| arg.get_long().unwrap_or_default().to_owned();
    if let Some(arg) = arguments.iter().find(|arg| name(arg) == key) {
        return Ok(arg.clone());
    }
    let nearest = nearest(key, arguments.iter().filter_map(Arg::get_long));
    Err(format!(
        "unknown key `{key}`; did you mean `{nearest}`? The keys are the long flags of `chorus simulate`"
    ))
}

/// Refuses a key that several runs cannot differ in.
pub fn sweepable(key: &str) -> Result<(), String> {
    known(key)?;
    let fixed = [&OF_A_COMMAND[..], &RESULTS, &["checkpoint", "threads"]].concat();
    match fixed.contains(&key) {
        true => Err(format!("`{key}` changes no result: take another key")),
        false => Ok(()),
    }
}

/// What was given for a run, wherever it stood, but for where it goes.
pub fn given(matches: &ArgMatches) -> Keys {
    let mut keys = Keys::new();
    let text = |value: &OsStr| Value::String(value.to_string_lossy().into_owned());
    for arg in arguments() {
        let (id, name) = (arg.get_id().as_str(), arg.get_long().unwrap_or_default());
        let is_given = matches.try_contains_id(id).is_ok()
            && matches.value_source(id) == Some(ValueSource::CommandLine);
        if !is_given || OF_A_COMMAND.contains(&name) {
            continue;
        }
        let value = match arg.get_action() {
            ArgAction::SetTrue => Value::Bool(true),
            _ => matches
                .get_raw(id)
                .and_then(Iterator::last)
                .map_or(Value::Null, text),
        };
        keys.insert(name.to_owned(), value);
    }
    keys
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chorus_simulator::Settings;
    use clap::FromArgMatches;
    use serde_json::json;

    use super::*;
    use crate::Action;

    /// The settings that a command line makes; nothing where clap refuses it.
    fn by_flags(flags: &[String]) -> Option<Settings> {
        let words = ["chorus", "simulate", "--data=data"].map(str::to_owned);
        let matches = Command::command().try_get_matches_from(words.iter().chain(flags));
        let command = Command::from_arg_matches(&matches.ok()?).ok()?;
        match command.action {
            Action::Simulate(simulate) => Some(simulate.settings()),
            _ => None,
        }
    }

    fn by_keys(keys: &[(&str, &str)]) -> Option<Settings> {
        let mut all = Keys::from([("data".to_owned(), json!("data"))]);
        all.extend(
            keys.iter()
                .map(|(key, value)| ((*key).to_owned(), json!(value))),
        );
        Settings::of(&all).ok()
    }

    #[test]
    fn a_key_is_the_same_as_its_flag_on_every_surface() {
        let arguments = arguments();
        let of_the_command = [&OF_A_COMMAND[..], &RESULTS, &["checkpoint"]].concat();
        let flags = arguments.iter().filter_map(Arg::get_long);
        let flags: BTreeSet<_> = flags
            .filter(|flag| !of_the_command.contains(flag))
            .collect();
        assert_eq!(flags, Settings::KEYS.iter().copied().collect());

        assert_eq!(by_flags(&[]), by_keys(&[]));
        let values = [
            "0",
            "-1",
            "NaN",
            "inf",
            "1e308",
            "1e-320",
            "18446744073709551615",
            "1",
            "2",
            "16",
            "0.3",
            "0.5",
            "1.5",
            "8",
            "1000000",
            "5000000",
            "off",
            "local",
            "skellam",
            "discrete-gaussian",
            "1:2:3:4:5",
            "poisson",
            "sign-flip",
            "true",
        ];
        let mut taken = BTreeSet::new();
        for arg in &arguments {
            let Some(key) = arg.get_long().filter(|flag| flags.contains(flag)) else {
                continue;
            };
            for value in values {
                let flag = match (arg.get_action(), value) {
                    (ArgAction::SetTrue, "true") => format!("--{key}"),
                    _ => format!("--{key}={value}"),
                };
                let settings = by_flags(&[flag]);
                assert_eq!(settings, by_keys(&[(key, value)]), "{key} = {value}");
                taken.extend(settings.map(|_| key));
            }
        }
        assert_eq!(taken, flags);
    }
}
