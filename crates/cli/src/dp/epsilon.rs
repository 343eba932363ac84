//! `chorus dp epsilon`.

use std::path::PathBuf;

use chorus_privacy::{Accountant, account};
use clap::Args;
use serde::Serialize;

use super::batch;
use super::question::{Kind, Question, Terms, code};
use crate::exit::{self, OrExit, stop};
use crate::progress;
use crate::ranges::{self, MOST_STEPS};

/// Flags of `chorus dp epsilon`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Epsilon {
    /// Whose noise.
    #[arg(long, value_enum, required_unless_present = "batch")]
    mechanism: Option<Kind>,
    /// Deviation of the noise over the clip.
    #[arg(long, value_name = "Z", required_unless_present = "batch", value_parser = ranges::positive)]
    noise_multiplier: Option<f64>,
    /// How often the mechanism runs; for a tree or a matrix, its rounds.
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MOST_STEPS))]
    steps: u64,
    /// The probability that the promise may fail with.
    #[arg(long, value_name = "DELTA", required_unless_present = "batch", value_parser = ranges::delta)]
    delta: Option<f64>,
    #[command(flatten)]
    terms: Terms,
    /// Answer every row of a CSV file with the columns mechanism, noise_multiplier, sampling_rate, steps, delta and accountant:
    /// prints the same rows with epsilon added.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mechanism", "noise_multiplier", "delta", "json"])]
    batch: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Figures {
    mechanism: Kind,
    noise_multiplier: f64,
    sampling_rate: f64,
    steps: u64,
    epsilon: f64,
    delta: f64,
    /// Which bound epsilon is.
    accountant: &'static str,
    /// The truth is nowhere below; null where nothing useful is known.
    lower_bound: Option<f64>,
    /// For discrete noise: exact for continuous noise of the same size. Not a promise.
    estimate: Option<f64>,
    /// For a matrix: its sensitivity, and the deviation on the noisiest and on a typical prefix, in clip norms.
    sensitivity: Option<f64>,
    largest_error: Option<f64>,
    typical_error: Option<f64>,
}

impl Epsilon {
    pub fn run(&self) -> anyhow::Result<()> {
        if let Some(file) = &self.batch {
            return batch::run(file);
        }
        let (Some(kind), Some(noise_multiplier), Some(delta)) =
            (self.mechanism, self.noise_multiplier, self.delta)
        else {
            return stop(
                exit::USAGE,
                "give --mechanism, --noise-multiplier and --delta, or --batch",
            );
        };
        let question = self.terms.question(kind, self.steps);
        if let Err(sentence) = question.check() {
            return stop(exit::USAGE, sentence);
        }
        let figures = match answer(&question, noise_multiplier, delta, self.terms.accountant()) {
            Ok(figures) => figures,
            Err(error) => return Err(error).or_exit(code(&error)),
        };
        if self.json {
            return progress::say_json(&figures);
        }
        progress::say(&figures.words(&question));
        Ok(())
    }
}

fn answer(
    question: &Question,
    noise_multiplier: f64,
    delta: f64,
    accountant: Accountant,
) -> Result<Figures, chorus_privacy::PrivacyError> {
    let events = question.events(noise_multiplier);
    let answer = account::epsilon(&events, delta, accountant)?;
    let discrete = matches!(question.kind, Kind::DiscreteGaussian | Kind::Skellam);
    let estimate = match discrete {
        true => account::estimate(&events, delta)?.map(|estimate| estimate.value),
        false => None,
    };
    let factorisation = question.factorisation()?;
    let error = |pick: fn(&chorus_privacy::matrix::PrefixError) -> f64| {
        factorisation
            .as_ref()
            .map(|(sensitivity, error)| noise_multiplier * sensitivity * pick(error))
    };
    Ok(Figures {
        mechanism: question.kind,
        noise_multiplier,
        sampling_rate: question.sampling_rate,
        steps: question.steps,
        epsilon: answer.value,
        delta,
        accountant: answer.bound.name(),
        lower_bound: answer.lower_bound,
        estimate,
        sensitivity: factorisation.as_ref().map(|(sensitivity, _)| *sensitivity),
        largest_error: error(|error| error.largest),
        typical_error: error(|error| error.typical),
    })
}

/// Rounds so that less is promised.
pub fn up(value: f64) -> f64 {
    (value * 1e4 * (1.0 - 1e-12)).ceil() / 1e4
}

impl Figures {
    fn words(&self, question: &Question) -> String {
        let bound = match self.accountant {
            "exact" => "exact".to_owned(),
            name => format!("an upper bound ({name})"),
        };
        let mut lines = vec![
            format!(
                "epsilon = {} at delta = {:e}, {bound}",
                up(self.epsilon),
                self.delta
            ),
            format!(
                "  mechanism  {}; noise multiplier {}",
                question.words(),
                self.noise_multiplier
            ),
        ];
        if let Some(lower) = self.lower_bound.filter(|_| self.accountant != "exact") {
            let down = (lower * 1e4).floor() / 1e4;
            lines.push(format!("  truth      not below {down}"));
        }
        if let Some(estimate) = self.estimate {
            lines.push(format!(
                "  estimate   {}: exact for continuous noise of this size, not a promise for integers",
                up(estimate)
            ));
        }
        if let (Some(sensitivity), Some(largest), Some(typical)) =
            (self.sensitivity, self.largest_error, self.typical_error)
        {
            lines.push(format!(
                "  error      sensitivity {sensitivity:.4}; on a sum of all rounds so far at most {largest:.3} clips, {typical:.3} typically"
            ));
        }
        if self.sampling_rate < 1.0 {
            lines
                .push("  holds      only against those who do not know who was sampled".to_owned());
        }
        lines.join("\n")
    }
}
