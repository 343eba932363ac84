//! `chorus dp calibrate`.

use chorus_privacy::account;
use clap::Args;
use serde::Serialize;

use super::epsilon::up;
use super::question::{Kind, Question, Terms, code};
use crate::exit::{self, OrExit, stop};
use crate::progress;
use crate::ranges::{self, MOST_STEPS};

/// Flags of `chorus dp calibrate`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Calibrate {
    /// What is to be promised.
    #[arg(long, value_name = "EPSILON", value_parser = ranges::epsilon)]
    epsilon: f64,
    /// Whose noise.
    #[arg(long, value_enum)]
    mechanism: Kind,
    /// How often the mechanism runs; for a tree or a matrix, its rounds.
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MOST_STEPS))]
    steps: u64,
    /// The probability that the promise may fail with.
    #[arg(long, value_name = "DELTA", value_parser = ranges::delta)]
    delta: f64,
    #[command(flatten)]
    terms: Terms,
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
    /// What this noise promises: at most what was asked.
    epsilon: f64,
    delta: f64,
    accountant: &'static str,
    lower_bound: Option<f64>,
}

impl Calibrate {
    pub fn run(&self) -> anyhow::Result<()> {
        let question = self.terms.question(self.mechanism, self.steps);
        if let Err(sentence) = question.check() {
            return stop(exit::USAGE, sentence);
        }
        let figures = match self.figures(&question) {
            Ok(figures) => figures,
            Err(error) => return Err(error).or_exit(code(&error)),
        };
        if self.json {
            return progress::say_json(&figures);
        }
        progress::say(&format!(
            "noise multiplier {} for epsilon = {} at delta = {:e}: it gives {} ({})\n  mechanism  {}",
            up(figures.noise_multiplier),
            self.epsilon,
            self.delta,
            up(figures.epsilon),
            figures.accountant,
            question.words()
        ));
        Ok(())
    }

    fn figures(&self, question: &Question) -> Result<Figures, chorus_privacy::PrivacyError> {
        let accountant = self.terms.accountant();
        let events = |multiplier| question.events(multiplier);
        let noise_multiplier =
            account::noise_multiplier(self.epsilon, self.delta, accountant, events)?;
        let answer = account::epsilon(&question.events(noise_multiplier), self.delta, accountant)?;
        Ok(Figures {
            mechanism: self.mechanism,
            noise_multiplier,
            sampling_rate: question.sampling_rate,
            steps: self.steps,
            epsilon: answer.value,
            delta: self.delta,
            accountant: answer.bound.name(),
            lower_bound: answer.lower_bound,
        })
    }
}
