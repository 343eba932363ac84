#![doc = include_str!("../README.md")]

mod audit;
mod authority;
mod bench;
mod client;
mod company;
mod coordinator;
mod data;
mod demo;
mod dp;
mod engine;
mod evaluate;
mod exchange;
mod exit;
mod json;
mod learning;
mod memory;
mod model;
mod progress;
mod ranges;
mod report;
mod secagg;
mod simulate;
mod task;
mod train;
mod witness;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use chorus_simulator::{Alone, Company};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Recommendations that know people, without anyone knowing them.
#[derive(Parser)]
#[command(name = "chorus", version, after_help = exit::HELP)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run a whole federation on this machine, over real TLS, and look at it.
    ///
    /// Examples: chorus demo, or chorus demo --noise off, or chorus demo --data ml-100k --epsilon 8
    Demo(demo::Demo),
    /// Run a federation in one process, without the network.
    ///
    /// Examples: chorus simulate --data ml-100k --noise off --json figures.json
    /// or chorus simulate --data ml-100k --epsilon 8 --seed 2 --report report.html
    /// or chorus simulate --config run.toml --sweep epsilon=2,4,8 --sweep seed=1,2,3 --out runs
    /// or chorus simulate --resume runs/first, or chorus simulate --repeat runs/first
    Simulate(Box<simulate::Simulate>),
    /// Learn the same model in one place, the yardstick of every simulation.
    ///
    /// Examples: chorus train --local --data ml-1m --factors 64 --json figures.json
    /// or chorus train --local --model models/bpr-mf --data ml-100k
    Train(train::Train),
    /// Measure a ranking: how good it is, what its lists are like, and for whom.
    ///
    /// Examples: chorus evaluate --data ml-1m --model model.safetensors
    /// or chorus evaluate --data ml-1m --scores scores.f32 --json figures.json
    Evaluate(evaluate::Evaluate),
    /// Make one page about run folders: quality, privacy, cost, fairness, what differs, and how to have it again.
    ///
    /// Examples: chorus report runs/first, or chorus report runs/sweep --out sweep.html
    /// or chorus report runs/first runs/second --no-central --json figures.json
    Report(report::Report),
    /// Enrol clients: keys, invitations, certificates, revocation.
    #[command(subcommand)]
    Authority(authority::Authority),
    /// Run the service that hears only sums.
    #[command(subcommand)]
    Coordinator(coordinator::Coordinator),
    /// Vouch, as another party than the coordinator, that all clients of a round are told the same.
    #[command(subcommand)]
    Witness(witness::Witness),
    /// Create, start and stop what is learned.
    #[command(subcommand)]
    Task(task::Task),
    /// Look at, export and roll back published models.
    #[command(subcommand)]
    Model(model::Model),
    /// Plan secure aggregation: what a round needs, promises and costs.
    #[command(subcommand, name = "secagg")]
    SecAgg(secagg::SecAgg),
    /// Check a private task: what canaries, faults and attacks can tell beside what it claims.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Look at data, make some up, fetch some.
    #[command(subcommand)]
    Data(data::Data),
    /// Account for noise: what it promises, and how much of it a promise needs.
    #[command(subcommand)]
    Dp(dp::Dp),
    /// Measure, with the limits of this machine beside.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Be a client: enrol, import events, contribute, recommend.
    Client(client::Client),
    /// Many clients of a demo in one process.
    #[command(hide = true)]
    DemoHost(demo::host::Host),
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    match simulate::is_asked_for(&words) {
        true => company::together(|company| run(words, company)),
        false => exit::ended(run(words, &Alone)),
    }
}

fn run(words: Vec<OsString>, company: &dyn Company) -> anyhow::Result<()> {
    let words = simulate::spelt_out(words)?;
    let matches = match Command::command().try_get_matches_from(words) {
        Ok(matches) => matches,
        // The first of several processes says it for all.
        Err(error) if company.size() > 1 => return exit::stop(exit::USAGE, error),
        Err(error) => error.exit(),
    };
    let command = Command::from_arg_matches(&matches)?;
    match command.action {
        Action::Demo(demo) => demo.run(),
        Action::Simulate(simulate) => simulate.run(simulate::given(&matches), company),
        Action::Train(train) => train.run(),
        Action::Evaluate(evaluate) => evaluate.run(),
        Action::Report(report) => report.run(),
        Action::Authority(authority) => authority.run(),
        Action::Coordinator(coordinator) => coordinator.run(),
        Action::Witness(witness) => witness.run(),
        Action::Task(task) => task.run(),
        Action::Model(model) => model.run(),
        Action::SecAgg(secagg) => secagg.run(),
        Action::Audit(audit) => audit.run(),
        Action::Data(data) => data.run(),
        Action::Dp(dp) => dp.run(),
        Action::Bench(bench) => bench.run(),
        Action::Client(client) => client.run(),
        Action::DemoHost(host) => host.run(),
    }
}

#[cfg(test)]
mod tests {
    use super::Command;
    use clap::error::ErrorKind;
    use clap::{ArgAction, CommandFactory};

    const EXTREMES: [&str; 8] = ["0", "-1", "NaN", "inf", "1e308", "1e-320", BEYOND, LARGEST];
    const BEYOND: &str = "9223372036854775808";
    const LARGEST: &str = "18446744073709551615";
    const NEARLY_ZERO: [&str; 2] = ["0", "1e-320"];

    /// Flags that take some of these, and which. Whatever is not here takes none.
    const TAKEN: &[(&str, &[&str])] = &[
        ("seed", &["0", BEYOND, LARGEST]),
        ("version", &["0", BEYOND, LARGEST]),
        ("head", &["0"]),
        ("item", &["0"]),
        ("measured", &["0"]),
        ("promote", &["0"]),
        ("staleness", &["0"]),
        ("port", &["0"]),
        ("at", &["0", "-1"]),
        ("value", &["0", "-1", "1e-320"]),
        ("diversity", &NEARLY_ZERO),
        ("secrecy-bits", &["0"]),
        ("correctness-bits", &["0"]),
        ("bearable-dropout", &NEARLY_ZERO),
        ("corrupt", &NEARLY_ZERO),
        ("drift", &NEARLY_ZERO),
        ("dropout", &NEARLY_ZERO),
        ("exploration", &NEARLY_ZERO),
        ("malicious", &NEARLY_ZERO),
        ("row-threshold", &NEARLY_ZERO),
        ("sampling-rate", &NEARLY_ZERO),
        ("skew", &NEARLY_ZERO),
        ("vanish", &NEARLY_ZERO),
        // Whoever asks for a plan is told what is too large.
        ("clients", &[BEYOND, LARGEST]),
    ];

    /// Every command with every flag of it that takes numbers.
    fn flags() -> Vec<(Vec<String>, String)> {
        let mut open = vec![(vec!["chorus".to_owned()], Command::command())];
        let mut all = Vec::new();
        while let Some((path, command)) = open.pop() {
            for flag in command.get_arguments() {
                let takes_value = matches!(flag.get_action(), ArgAction::Set | ArgAction::Append);
                if let (true, Some(name)) = (takes_value, flag.get_long()) {
                    all.push((path.clone(), name.to_owned()));
                }
            }
            for inner in command
                .get_subcommands()
                .filter(|inner| !inner.is_hide_set())
            {
                let mut path = path.clone();
                path.push(inner.get_name().to_owned());
                open.push((path, inner.clone()));
            }
        }
        all
    }

    /// What is said of one flag; nothing when its value is taken.
    fn said(path: &[String], flag: &str, value: &str) -> Option<String> {
        let words = path.iter().cloned().chain([format!("--{flag}={value}")]);
        let error = Command::command().try_get_matches_from(words).err()?;
        let is_of_value = matches!(
            error.kind(),
            ErrorKind::ValueValidation | ErrorKind::InvalidValue
        );
        is_of_value.then(|| error.to_string())
    }

    #[test]
    fn no_flag_takes_a_number_that_it_cannot_use() {
        let (mut numeric, mut taken_too) = (0, Vec::new());
        for (path, flag) in flags() {
            let is_number = said(&path, &flag, "x").is_some()
                && ["1", "16", "20", "0.5"]
                    .iter()
                    .any(|value| said(&path, &flag, value).is_none());
            if !is_number {
                continue;
            }
            numeric += 1;
            for value in EXTREMES {
                match said(&path, &flag, value) {
                    Some(sentence) => {
                        assert!(sentence.contains(&format!("--{flag}")), "{sentence}")
                    }
                    None => {
                        let taken = TAKEN.iter().find(|(name, _)| *name == flag);
                        let is_taken = taken.is_some_and(|(_, values)| values.contains(&value));
                        if !is_taken {
                            taken_too.push(format!("{} --{flag}={value}", path.join(" ")));
                        }
                    }
                }
            }
        }
        assert_eq!(taken_too, Vec::<String>::new());
        assert!(numeric > 60, "{numeric}");
    }
}
