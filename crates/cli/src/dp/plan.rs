//! `chorus dp plan`.

use chorus_privacy::{
    Encoding, LARGEST_LENGTH, LocalNoise, PrivacyError, calibrate, spent, splitting, survivors,
};
use chorus_secagg::Ring;
use clap::Args;
use serde::Serialize;

use crate::exit::{self, OrExit, stop};
use crate::learning::LawChoice;
use crate::progress;
use crate::ranges;
use crate::words::bytes;

/// Flags of `chorus dp plan`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Plan {
    /// Clients in all.
    #[arg(long, value_name = "N", value_parser = ranges::at_least(1))]
    clients: usize,
    /// Largest share of them that vanishes during the round.
    #[arg(long, value_name = "SHARE", value_parser = ranges::share)]
    dropout: f64,
    /// Largest share of them that tells the coordinator everything it knows.
    #[arg(long, value_name = "SHARE", value_parser = ranges::share)]
    corrupt: f64,
    /// Values of one update.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=LARGEST_LENGTH as u64))]
    length: u64,
    /// L2 norm that one update is clipped to.
    #[arg(long, value_name = "C", default_value_t = 1.0, value_parser = ranges::positive)]
    clip: f64,
    /// Bits of the sum: 16, 18, 20, 24 or 32.
    #[arg(long, value_name = "BITS", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=32))]
    bits: u32,
    /// Deviation of the noise in the sum, in units of what one client can change.
    #[arg(
        long,
        value_name = "Z",
        value_parser = ranges::positive,
        conflicts_with = "epsilon",
        required_unless_present = "epsilon"
    )]
    noise_multiplier: Option<f64>,
    /// Or the epsilon of all sums together: the least noise that reaches it is planned.
    #[arg(long, value_name = "E", value_parser = ranges::epsilon)]
    epsilon: Option<f64>,
    /// The probability that epsilon may fail with.
    #[arg(long, value_name = "D", default_value_t = 1e-5, value_parser = ranges::delta)]
    delta: f64,
    /// Sums like this one that each client takes part in.
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: u32,
    /// Rotate updates at random first, so that a small ring holds a finer grid.
    #[arg(long)]
    rotation: bool,
    /// The law of the noise.
    #[arg(long, value_enum, default_value_t = LawChoice::DiscreteGaussian)]
    mechanism: LawChoice,
    /// Disjoint cohorts that the clients are split into; each makes a sum of its own.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = ranges::within(1, 100_000))]
    cohorts: usize,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Figures {
    clients: usize,
    dropout: f64,
    corrupt: f64,
    length: u64,
    clip: f64,
    bits: u32,
    mechanism: LawChoice,
    rotation: bool,
    cohorts: usize,
    /// Clients of the smallest cohort; all that follows is of one such cohort, unless it says otherwise.
    cohort_clients: usize,
    survivors_min: usize,
    noise_min: usize,
    noise_multiplier: f64,
    /// Grid steps per parameter unit.
    scale: f64,
    /// Values of one update on the grid.
    words: usize,
    local_sigma: f64,
    sensitivity: f64,
    inflation: f64,
    z_eff: f64,
    epsilon: f64,
    delta: f64,
    steps: u32,
    modulus: u64,
    ring_bits: u32,
    upload_bytes: u64,
    /// Per coordinate, at most.
    wrap_probability: f64,
    /// Standard deviation of noise and rounding in a coordinate of the mean of the cohort, parameter units, everyone there.
    mean_deviation: f64,
    /// Its variance over that of a trusted coordinator's noise of the same multiplier.
    variance_over_central: f64,
    /// The same over all cohorts against one cohort of everyone with central noise.
    split_variance_over_central: f64,
    /// What splitting alone multiplies the variance with.
    split_variance: f64,
}

impl Plan {
    pub fn run(&self) -> anyhow::Result<()> {
        let figures = match self.figures() {
            Ok(figures) => figures,
            Err(error) => return Err(error).or_exit(code_of(&error)),
        };
        let figures = match figures {
            Ok(figures) => figures,
            Err(refusal) => return stop(exit::REFUSED, refusal),
        };
        if self.json {
            return progress::say_json(&figures);
        }
        progress::say(&figures.words());
        Ok(())
    }

    fn encoding(&self, clients: usize, noise: f64, bits: u32) -> Result<Encoding, PrivacyError> {
        let length = self.length as usize;
        match self.rotation {
            true => Encoding::for_rotated_sum(self.clip, length, clients, noise, bits, 0),
            false => Encoding::for_sum(self.clip, length, clients, noise, bits),
        }
    }

    fn multiplier(&self) -> Result<f64, PrivacyError> {
        match (self.noise_multiplier, self.epsilon) {
            (Some(multiplier), _) => Ok(multiplier),
            (None, epsilon) => {
                let weights = vec![1.0; self.steps as usize];
                calibrate(epsilon.unwrap_or_default(), self.delta, &weights)
            }
        }
    }

    /// The figures, or in words why there is no such sum.
    fn figures(&self) -> Result<Result<Figures, String>, PrivacyError> {
        let split = splitting(self.clients, self.cohorts)?;
        let clients = split.clients;
        let needed = survivors(clients, self.dropout, self.corrupt)?;
        let multiplier = self.multiplier()?;
        let most = multiplier * (clients as f64 / needed.honest as f64).sqrt();
        let encoding = match self.encoding(clients, most, self.bits) {
            Ok(encoding) => encoding,
            Err(error @ PrivacyError::Wraps { .. }) => {
                return Ok(Err(self.elsewhere(&error.to_string(), clients, most)));
            }
            Err(error) => return Err(error),
        };
        let noise = match LocalNoise::share_of(
            self.mechanism.into(),
            multiplier,
            &encoding,
            &needed,
        ) {
            Ok(noise) => noise,
            Err(PrivacyError::NoiseTooNarrow(variance)) => {
                let narrow = format!(
                    "one client's noise would have deviation {:.2} on the finest grid that {} bits hold, but must have at least 4: \
                     narrower shares do not add up to the noise that is promised",
                    (variance as f64).sqrt(),
                    self.bits
                );
                return Ok(Err(self.elsewhere(&narrow, clients, most)));
            }
            Err(error) => return Err(error),
        };
        let release = noise.release(&encoding, &needed)?;
        let releases = vec![release; self.steps as usize];
        let deviation = noise.deviation_of_sum(clients);
        let people = clients as f64;
        let variance = (deviation.powi(2) + people / 4.0) / (encoding.scale() * people).powi(2);
        let over_central = variance / (multiplier * self.clip / people).powi(2);
        let ring = Ring::smallest_holding(self.bits).unwrap_or(Ring::Bits32);
        Ok(Ok(Figures {
            clients: self.clients,
            dropout: self.dropout,
            corrupt: self.corrupt,
            length: self.length,
            clip: self.clip,
            bits: self.bits,
            mechanism: self.mechanism,
            rotation: self.rotation,
            cohorts: self.cohorts,
            cohort_clients: clients,
            survivors_min: needed.minimum,
            noise_min: needed.honest,
            noise_multiplier: multiplier,
            scale: encoding.scale(),
            words: encoding.words(),
            local_sigma: (noise.variance() as f64).sqrt(),
            sensitivity: encoding.sensitivity(),
            inflation: encoding.sensitivity() / (encoding.scale() * self.clip),
            z_eff: release.noise_multiplier,
            epsilon: spent(&releases, self.delta)?.epsilon,
            delta: self.delta,
            steps: self.steps,
            modulus: 1 << self.bits,
            ring_bits: ring.bits(),
            upload_bytes: ring.upload_bytes(encoding.words()) as u64,
            wrap_probability: encoding.wrap_probability(clients, deviation),
            mean_deviation: variance.sqrt(),
            variance_over_central: over_central,
            split_variance_over_central: over_central * split.variance,
            split_variance: split.variance,
        }))
    }

    /// A refusal, with the nearest rings in which there is a plan.
    fn elsewhere(&self, reason: &str, clients: usize, most: f64) -> String {
        let possible = |bits: u32| {
            let needed = survivors(clients, self.dropout, self.corrupt).ok()?;
            let encoding = self.encoding(clients, most, bits).ok()?;
            let multiplier = self.multiplier().ok()?;
            LocalNoise::share_of(self.mechanism.into(), multiplier, &encoding, &needed).ok()
        };
        let wider = [16, 18, 20, 24, 32]
            .into_iter()
            .find(|bits| *bits > self.bits && possible(*bits).is_some());
        match wider {
            Some(bits) => format!("{reason}. There is a plan with `--bits {bits}`"),
            None => format!("{reason}. Take smaller cohorts, or less noise"),
        }
    }
}

/// Numbers that are none are the caller's mistake; numbers that cannot be reached are refused.
fn code_of(error: &PrivacyError) -> u8 {
    match error {
        PrivacyError::TooFewHonest { .. }
        | PrivacyError::Unreachable(_)
        | PrivacyError::NoiseTooWide(_)
        | PrivacyError::Cohorts { .. } => exit::REFUSED,
        _ => exit::USAGE,
    }
}

impl Figures {
    fn words(&self) -> String {
        let percent = |share: f64| (share * 1e4).round() / 100.0;
        let who = match self.cohorts {
            1 => format!("{} clients", self.clients),
            cohorts => format!(
                "{} clients in {cohorts} cohorts of {} or one more",
                self.clients, self.cohort_clients
            ),
        };
        let law = match self.mechanism {
            LawChoice::DiscreteGaussian => "discrete Gaussian",
            LawChoice::Skellam => "Skellam",
        };
        let turned = match self.rotation {
            true => format!(", rotated and padded to {}", self.words),
            false => String::new(),
        };
        let wrap = match self.wrap_probability {
            never if never < 1e-300 => "never".to_owned(),
            wrap => format!("with probability {wrap:.1e} at most"),
        };
        let sums = match self.steps {
            1 => "one sum".to_owned(),
            steps => format!("{steps} sums"),
        };
        let mut lines = vec![
            format!(
                "{who}; at most {} % of them tell the coordinator all they know, and at most {} % vanish",
                percent(self.corrupt),
                percent(self.dropout)
            ),
            format!(
                "  survivors   {} at least in a sum; {} of them honest, whose noise alone suffices",
                self.survivors_min, self.noise_min
            ),
            format!(
                "  grid        {:.6} steps per unit; {} values{turned}; rounding makes what one client can change {:.6} times the clip",
                self.scale, self.length, self.inflation
            ),
            format!(
                "  noise       {law}; deviation {:.2} steps from each client; multiplier {:.4} asked for, {:.4} in effect",
                self.local_sigma, self.noise_multiplier, self.z_eff
            ),
            format!(
                "  promise     epsilon {:.3} at delta {:e} for {sums}",
                (self.epsilon * 1e3).ceil() / 1e3,
                self.delta
            ),
            format!(
                "  ring        modulo 2^{}, sent in {} bits; an upload is {}; a coordinate of the sum wraps {wrap}",
                self.bits,
                self.ring_bits,
                bytes(self.upload_bytes)
            ),
            format!(
                "  accuracy    the mean has deviation {:.3e}, {:.3} times the variance of a trusted coordinator's noise",
                self.mean_deviation, self.variance_over_central
            ),
        ];
        if self.cohorts > 1 {
            lines.push(format!(
                "  splitting   each sum carries the full noise: the mean over all cohorts has {} times the variance of one cohort of all \
                 clients",
                self.split_variance
            ));
        }
        lines.join("\n")
    }
}
