//! `chorus secagg`: what a round of secure aggregation needs, promises and costs, before there is one.

use chorus_privacy::LARGEST_LENGTH;
use chorus_protocol::{COHORT_MOST, WITNESS_MOST, quorum};
use chorus_secagg::{
    Achieved, Assumptions, GraphPlan, MINIMUM_CLIENTS, PlanError, Ring, Work, plan, ring_for, work,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::exit::{self, OrExit, stop};
use crate::progress;
use crate::ranges::{at_least, share};
use crate::words::bytes;

/// Actions of `chorus secagg`.
#[derive(Subcommand)]
pub enum SecAgg {
    /// Compute the graph, the threshold and the ring of a round, what they promise, and what the round costs.
    ///
    /// Examples: chorus secagg plan --clients 1000 --dropout 0.3 --corrupt 0.1
    /// or chorus secagg plan --clients 10000 --dropout 0.1 --corrupt 0.05 --length 1000000 --value-bits 10 --json
    Plan(Plan),
}

impl SecAgg {
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Plan(asked) => asked.run(),
        }
    }
}

/// Flags of `chorus secagg plan`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Plan {
    /// Clients in the cohort.
    #[arg(long, value_name = "N", value_parser = at_least(1))]
    clients: usize,
    /// Largest share of them that vanishes during the round.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    dropout: f64,
    /// Largest share of them that tells the coordinator everything it knows.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    corrupt: f64,
    /// Values of one update.
    #[arg(long, value_name = "M", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=LARGEST_LENGTH as u64))]
    length: u64,
    /// Bits of one value, sign and noise included: the ring becomes the smallest that holds the sum of all clients.
    /// Without it, the ring of 32 bits.
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(1..=32))]
    value_bits: Option<u32>,
    /// The chance that anything but the sum is revealed is at most 2^-BITS.
    #[arg(long, value_name = "BITS", default_value_t = Assumptions::DEFAULT.secrecy_bits)]
    secrecy_bits: u32,
    /// The chance that the round must be given up for want of shares is at most 2^-BITS; for whatever reason, at most
    /// 2^-20 too.
    #[arg(long, value_name = "BITS", default_value_t = Assumptions::DEFAULT.correctness_bits)]
    correctness_bits: u32,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. A probability is the logarithm to base 2, null when it cannot happen while the assumptions hold.
#[derive(Serialize)]
struct Figures {
    clients: usize,
    dropout: f64,
    corrupt: f64,
    secrecy_bits: u32,
    correctness_bits: u32,
    length: u64,
    value_bits: Option<u32>,
    degree: usize,
    threshold: usize,
    complete: bool,
    ring_bits: u32,
    upload_bytes: u64,
    float32_bytes: u64,
    upload_over_float32: f64,
    client_key_agreements: u64,
    client_keystream_bytes: u64,
    client_share_bytes_up: u64,
    client_share_bytes_down: u64,
    coordinator_key_agreements: u64,
    coordinator_keystream_bytes: u64,
    coordinator_sum_bytes: u64,
    secrecy_failure_log2: Option<f64>,
    connectivity_failure_log2: Option<f64>,
    correctness_failure_log2: Option<f64>,
    /// Survivors that any two runs of the ring must keep.
    guard: usize,
    guard_failure_log2: Option<f64>,
    /// Signatures of the cohort that prove what was told; null when only a witness can.
    quorum: Option<usize>,
    minimum_survivors: usize,
    minimum_clients: usize,
}

impl Plan {
    fn run(&self) -> anyhow::Result<()> {
        if self.clients > WITNESS_MOST {
            let cohorts = self.clients.div_ceil(WITNESS_MOST);
            let message = format!(
                "a round takes at most {WITNESS_MOST} clients, this one has {}: split them into {cohorts} cohorts",
                self.clients
            );
            return stop(exit::REFUSED, message);
        }
        let assumptions = self.assumptions();
        let graph = match plan(self.clients, &assumptions) {
            Ok(graph) => graph,
            Err(error @ PlanError::Assumptions) => return Err(error).or_exit(exit::USAGE),
            Err(error) => return stop(exit::REFUSED, self.refusal(error)),
        };
        let ring = match self.value_bits {
            None => Ring::Bits32,
            Some(bits) => match ring_for(self.clients, bits) {
                Some(ring) => ring,
                None => return stop(exit::REFUSED, self.no_ring(bits)),
            },
        };
        let work = work(&graph, ring, self.length as usize, self.dropout);
        let figures = self.figures(&graph, ring, &work);
        if self.json {
            return progress::say_json(&figures);
        }
        progress::say(&figures.words());
        Ok(())
    }

    fn assumptions(&self) -> Assumptions {
        Assumptions {
            corrupt: self.corrupt,
            dropout: self.dropout,
            secrecy_bits: self.secrecy_bits,
            correctness_bits: self.correctness_bits,
        }
    }

    /// Whether there is a plan with something changed.
    fn possible(&self, clients: usize, change: impl Fn(&mut Assumptions)) -> bool {
        let mut assumptions = self.assumptions();
        change(&mut assumptions);
        plan(clients, &assumptions).is_ok()
    }

    /// What the planner says, and the nearest demands that could be met.
    fn refusal(&self, error: PlanError) -> String {
        let below = |share: f64| {
            let most = (share * 100.0).floor() as u32;
            (0..=most).rev().map(|percent| f64::from(percent) / 100.0)
        };
        let dropout = below(self.dropout)
            .find(|share| self.possible(self.clients, |changed| changed.dropout = *share));
        let corrupt = below(self.corrupt)
            .find(|share| self.possible(self.clients, |changed| changed.corrupt = *share));
        let more = (self.clients..=(self.clients + 300).max(MINIMUM_CLIENTS))
            .find(|clients| self.possible(*clients, |_| ()));
        let parts = std::iter::successors(Some(self.clients), |clients| Some(clients / 2));
        let fewer = parts
            .take_while(|clients| *clients >= 100)
            .find(|clients| self.possible(*clients, |_| ()));
        let nearest: Vec<String> = [
            dropout.map(|share| format!("`--dropout {share}`")),
            corrupt.map(|share| format!("`--corrupt {share}`")),
            more.or(fewer)
                .map(|clients| format!("`--clients {clients}`")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if nearest.is_empty() {
            return error.to_string();
        }
        format!(
            "{error}. There is a plan with {}",
            nearest.join(", or with ")
        )
    }

    fn no_ring(&self, bits: u32) -> String {
        let most = (0..bits)
            .rev()
            .find(|bits| ring_for(self.clients, *bits).is_some());
        format!(
            "no ring holds the sum of {} values of {bits} bits: a sum has at most 32 bits, so values of these clients have at \
             most {}; use a coarser grid, or split the cohort",
            self.clients,
            most.unwrap_or_default()
        )
    }

    fn figures(&self, graph: &GraphPlan, ring: Ring, work: &Work) -> Figures {
        let assumptions = self.assumptions();
        let achieved: Achieved = graph.achieved(&assumptions);
        let log2 = |value: f64| value.is_finite().then_some(value);
        let smallest =
            (MINIMUM_CLIENTS..=self.clients).find(|clients| self.possible(*clients, |_| ()));
        Figures {
            clients: self.clients,
            dropout: self.dropout,
            corrupt: self.corrupt,
            secrecy_bits: self.secrecy_bits,
            correctness_bits: self.correctness_bits,
            length: self.length,
            value_bits: self.value_bits,
            degree: graph.degree,
            threshold: graph.threshold,
            complete: graph.complete(),
            ring_bits: ring.bits(),
            upload_bytes: work.upload_bytes,
            float32_bytes: work.float32_bytes,
            upload_over_float32: work.upload_bytes as f64 / work.float32_bytes.max(1) as f64,
            client_key_agreements: work.client_key_agreements,
            client_keystream_bytes: work.client_keystream_bytes,
            client_share_bytes_up: work.client_share_bytes_up,
            client_share_bytes_down: work.client_share_bytes_down,
            coordinator_key_agreements: work.coordinator_key_agreements,
            coordinator_keystream_bytes: work.coordinator_keystream_bytes,
            coordinator_sum_bytes: work.coordinator_sum_bytes,
            secrecy_failure_log2: log2(achieved.secrecy),
            connectivity_failure_log2: log2(achieved.connectivity),
            correctness_failure_log2: log2(achieved.correctness),
            guard: graph.guard(&assumptions),
            guard_failure_log2: log2(achieved.guard),
            quorum: (self.clients <= COHORT_MOST)
                .then(|| quorum(self.clients, assumptions.corrupt_of(self.clients))),
            minimum_survivors: self.clients - assumptions.dropped_of(self.clients),
            minimum_clients: smallest.unwrap_or(self.clients),
        }
    }
}

impl Figures {
    fn words(&self) -> String {
        let percent = |share: f64| (share * 1e4).round() / 100.0;
        let chance = |log2: Option<f64>| match log2 {
            Some(log2) => format!("probability 2^{log2:.1}"),
            None => "cannot happen while the assumptions hold".to_owned(),
        };
        let shape = match self.complete {
            true => "the complete graph: ",
            false => "",
        };
        let proof = match self.quorum {
            Some(quorum) => format!("{quorum} signatures of the cohort, or of a witness outside"),
            None => {
                format!("the signature of a witness: there are more than {COHORT_MOST} clients")
            }
        };
        let guard = match self.complete {
            true => "nothing divides a complete graph".to_owned(),
            false => format!(
                "two runs of {} places keep {} survivors, or clients give back no share ({})",
                self.degree / 2,
                self.guard,
                chance(self.guard_failure_log2)
            ),
        };
        [
            format!(
                "{} clients; at most {} % of them tell the coordinator all they know, and at most {} % vanish",
                self.clients,
                percent(self.corrupt),
                percent(self.dropout)
            ),
            format!(
                "  graph         {shape}{} neighbours for each client, {} shares open a secret",
                self.degree, self.threshold
            ),
            format!(
                "  ring          {} bits; an update of {} values is an upload of {}, {:.3} times its size in 32-bit floats",
                self.ring_bits,
                self.length,
                bytes(self.upload_bytes),
                self.upload_over_float32
            ),
            format!(
                "  client        {} key agreements; {} of keystream; {} of shares sent, {} received",
                self.client_key_agreements,
                bytes(self.client_keystream_bytes),
                bytes(self.client_share_bytes_up),
                bytes(self.client_share_bytes_down)
            ),
            format!(
                "  coordinator   when {} vanish: {} of uploads to add, {} key agreements and {} of keystream to unmask",
                self.clients - self.minimum_survivors,
                bytes(self.coordinator_sum_bytes),
                self.coordinator_key_agreements,
                bytes(self.coordinator_keystream_bytes)
            ),
            format!(
                "  secrecy       a client's secrets fall to its corrupt neighbours: {}",
                chance(self.secrecy_failure_log2)
            ),
            format!(
                "  connectivity  the honest survivors fall apart into two sums: {}",
                chance(self.connectivity_failure_log2)
            ),
            format!(
                "  correctness   too few shares are left, and the round is given up: {}",
                chance(self.correctness_failure_log2)
            ),
            format!("  guard         {guard}"),
            format!("  proof         that all were told the same: {proof}"),
            format!(
                "  needs         {} survivors at least; with these assumptions there are plans from {} clients on",
                self.minimum_survivors, self.minimum_clients
            ),
        ]
        .join("\n")
    }
}
