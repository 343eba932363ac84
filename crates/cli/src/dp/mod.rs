//! `chorus dp`: what noise promises and costs, before anyone adds it.

mod batch;
mod calibrate;
mod curve;
mod drawing;
mod epsilon;
mod plan;
mod question;

use clap::Subcommand;

/// Actions of `chorus dp`.
#[derive(Subcommand)]
pub enum Dp {
    /// Compute epsilon: what is promised at a given noise.
    ///
    /// Examples: chorus dp epsilon --mechanism gaussian --noise-multiplier 1.1 --sampling-rate 0.01 --steps 10000 --delta 1e-6
    /// or chorus dp epsilon --mechanism discrete-gaussian --noise-multiplier 2 --steps 5 --delta 1e-6 --json
    /// or chorus dp epsilon --batch questions.csv
    Epsilon(epsilon::Epsilon),
    /// Compute the noise that a promise needs.
    ///
    /// Example: chorus dp calibrate --epsilon 2 --mechanism gaussian --sampling-rate 0.01 --steps 1000 --delta 1e-6
    Calibrate(calibrate::Calibrate),
    /// Draw epsilon against rounds, one line for each noise, as a self-contained SVG.
    ///
    /// Example: chorus dp curve --mechanism gaussian --noise-multiplier 0.8,1,2,4 --steps 1000 --sampling-rate 0.01 --delta 1e-6 --out curve.svg
    Curve(curve::Curve),
    /// Compute the grid, the noise and the ring of one sum, what they promise, and what they cost in accuracy and bytes.
    ///
    /// Examples: chorus dp plan --clients 1000 --dropout 0.1 --corrupt 0.1 --length 118592 --noise-multiplier 1
    /// or chorus dp plan --clients 1000 --dropout 0.1 --corrupt 0.1 --length 118592 --bits 16 --rotation --epsilon 8
    /// --steps 5 --json
    Plan(plan::Plan),
}

impl Dp {
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Epsilon(asked) => asked.run(),
            Self::Calibrate(asked) => asked.run(),
            Self::Curve(asked) => asked.run(),
            Self::Plan(asked) => asked.run(),
        }
    }
}
