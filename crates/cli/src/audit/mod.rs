//! `chorus audit`: claimed privacy beside measured.

mod attack;
mod privacy;

use clap::Subcommand;

/// Actions of `chorus audit`.
#[derive(Subcommand)]
pub enum Audit {
    /// Put canaries, participants that are nobody, into a private task, and measure what can be told about them: an
    /// estimate and a proven minimum beside the claimed epsilon.
    ///
    /// Example: chorus audit privacy --data ml-100k --epsilon 8 --out audit.html
    /// or chorus audit privacy --self-test
    #[command(after_help = EXITS)]
    Privacy(privacy::Privacy),
    /// Attack a private task, and the same without noise: which items a client touched, whether it took part, what kind of
    /// person it is.
    ///
    /// Example: chorus audit attack --data ml-1m --epsilon 8 --out attack.html
    #[command(after_help = EXITS)]
    Attack(attack::Attack),
}

const EXITS: &str = "Exit codes: 0 nothing contradicts the claim, 5 the claim is contradicted: a proven minimum above it, an \
    attack above its ceiling, or a control that was not caught, 6 there were too few canaries to contradict it; others as everywhere.";

impl Audit {
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Audit::Privacy(privacy) => privacy.run(),
            Audit::Attack(attack) => attack.run(),
        }
    }
}
