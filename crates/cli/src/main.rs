#![doc = include_str!("../README.md")]

mod audit;
mod authority;
mod bench;
mod client;
mod coordinator;
mod data;
mod demo;
mod dp;
mod engine;
mod evaluate;
mod exit;
mod learning;
mod model;
mod progress;
mod secagg;
mod simulate;
mod task;
mod train;
mod witness;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Simulate(simulate::Simulate),
    /// Learn the same model in one place, the yardstick of every simulation.
    ///
    /// Examples: chorus train --local --data ml-1m --factors 64 --json figures.json
    /// or chorus train --local --data ml-1m --scores scores.f32
    Train(train::Train),
    /// Measure a ranking: how good it is, what its lists are like, and for whom.
    ///
    /// Examples: chorus evaluate --data ml-1m --model model.safetensors
    /// or chorus evaluate --data ml-1m --scores scores.f32 --json figures.json
    Evaluate(evaluate::Evaluate),
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
    let command = Command::parse();
    let result = match command.action {
        Action::Demo(demo) => demo.run(),
        Action::Simulate(simulate) => simulate.run(),
        Action::Train(train) => train.run(),
        Action::Evaluate(evaluate) => evaluate.run(),
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
    };
    match result {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(error) => {
            progress::complain(&exit::sentence(&error));
            ExitCode::from(exit::code_of(&error))
        }
    }
}
