//! `chorus bench`: what this machine does, measured in one run, with its own limits beside.

mod client;
mod clock;
mod cohort;
mod limits;
mod secagg;
mod simulate;

use clap::Subcommand;

/// Things that can be measured.
#[derive(Subcommand)]
pub enum Bench {
    /// Measure what contributing takes of a device: memory and upload of a client that trains, in a federation of real processes.
    ///
    /// Example: chorus bench client --data ml-1m --noise off --factors 64 --json
    Client(client::Client),
    /// Measure secure aggregation on one core: a client's masking, adding up uploads, unmasking the sum.
    ///
    /// Every client of the round is computed for real and the sum is compared with the plain one.
    /// Examples: chorus bench secagg --clients 1000 --length 1000000 --dropout 0.3 --bits 32 --json
    /// or chorus bench secagg --clients 1000 --length 1000000 --dropout 0.3 --kernel portable
    #[command(name = "secagg")]
    SecAgg(secagg::SecAgg),
    /// Measure how many clients a second the simulator trains, each engine in a process of its own.
    ///
    /// The workload is matrix factorisation with 32 factors (models/w1), the same as that of scripts/bench-peers.
    /// Example: chorus bench simulate --data ml-1m --clients 1000 --rounds 20 --json
    Simulate(simulate::Simulate),
}

impl Bench {
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Client(asked) => asked.run(),
            Self::SecAgg(asked) => asked.run(),
            Self::Simulate(asked) => asked.run(),
        }
    }
}
