//! `chorus dp curve`.

use std::path::PathBuf;

use chorus_privacy::account;
use clap::Args;
use serde::Serialize;

use super::drawing::{Line, draw};
use super::question::{Kind, Terms, code};
use crate::exit::{self, OrExit, stop};
use crate::progress;
use crate::ranges::{self, MOST_STEPS};

/// Points of one line.
const POINTS: i32 = 16;
/// Lines that can be told apart.
const MOST_LINES: usize = 6;

/// Flags of `chorus dp curve`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Curve {
    /// Whose noise.
    #[arg(long, value_enum)]
    mechanism: Kind,
    /// Deviations of the noise over the clip, a line for each: at most six, separated by commas.
    #[arg(
        long,
        value_name = "Z,Z,...",
        value_delimiter = ',',
        value_parser = ranges::positive,
        default_value = "0.7,1,2,4"
    )]
    noise_multiplier: Vec<f64>,
    /// The most rounds that are drawn.
    #[arg(long, value_name = "T", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=MOST_STEPS))]
    steps: u64,
    /// The probability that the promise may fail with.
    #[arg(long, value_name = "DELTA", value_parser = ranges::delta)]
    delta: f64,
    #[command(flatten)]
    terms: Terms,
    /// Where the drawing goes. Without it, to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the numbers as JSON.
    #[arg(long, requires = "out")]
    json: bool,
}

/// One number of the drawing.
#[derive(Serialize)]
struct Point {
    noise_multiplier: f64,
    steps: u64,
    epsilon: f64,
    delta: f64,
    accountant: &'static str,
}

impl Curve {
    pub fn run(&self) -> anyhow::Result<()> {
        if self.noise_multiplier.len() > MOST_LINES {
            let sentence = format!(
                "noise_multiplier has {} values, but more than {MOST_LINES} lines cannot be told apart",
                self.noise_multiplier.len()
            );
            return stop(exit::USAGE, sentence);
        }
        let mut points = Vec::new();
        let mut lines = Vec::new();
        for noise_multiplier in self.noise_multiplier.iter().copied() {
            let mut line = Line {
                label: format!("z = {noise_multiplier}"),
                points: Vec::new(),
            };
            for steps in self.rounds() {
                let point = self.point(noise_multiplier, steps)?;
                line.points.push((steps as f64, point.epsilon));
                points.push(point);
            }
            lines.push(line);
        }
        let sampled = match self.terms.sampling_rate < 1.0 {
            true => format!(", sampling rate {}", self.terms.sampling_rate),
            false => String::new(),
        };
        let setting = format!("{}, δ = {:e}{sampled}", self.mechanism.name(), self.delta);
        let picture = draw(&lines, &setting);
        match &self.out {
            None => progress::say(&picture),
            Some(file) => {
                progress::write(file, picture.as_bytes())?;
                if self.json {
                    return progress::say_json(&points);
                }
                progress::say(&format!(
                    "{}: {} lines of {} points",
                    file.display(),
                    lines.len(),
                    self.rounds().len()
                ));
            }
        }
        Ok(())
    }

    /// Rounds in equal ratios, from 1 on.
    fn rounds(&self) -> Vec<u64> {
        let most = self.steps.max(1) as f64;
        let at = |index: i32| most.powf(f64::from(index) / f64::from(POINTS - 1)).round() as u64;
        let mut rounds: Vec<u64> = (0..POINTS).map(at).collect();
        rounds.dedup();
        rounds
    }

    fn point(&self, noise_multiplier: f64, steps: u64) -> anyhow::Result<Point> {
        let question = self.terms.question(self.mechanism, steps);
        if let Err(sentence) = question.check() {
            return stop(exit::USAGE, sentence);
        }
        let events = question.events(noise_multiplier);
        match account::upper_bound(&events, self.delta, self.terms.accountant()) {
            Ok((epsilon, bound)) => Ok(Point {
                noise_multiplier,
                steps,
                epsilon,
                delta: self.delta,
                accountant: bound.name(),
            }),
            Err(error) => Err(error).or_exit(code(&error)),
        }
    }
}
