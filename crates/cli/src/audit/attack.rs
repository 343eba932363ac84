//! `chorus audit attack`.

use std::path::PathBuf;

use chorus_simulator::{AttackOptions, AttackRow, Attacks, SimulateError, attack};
use clap::Args;

use super::privacy::private_task;
use crate::exit::{self, OrExit, stop};
use crate::learning::Learning;
use crate::progress;
use crate::ranges::within;
use crate::simulate::command_line;

/// Flags of `chorus audit attack`.
#[derive(Args)]
pub struct Attack {
    /// Folder of a data set.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    learning: Learning,
    /// People whose items are guessed from the sums: 2 to 1000, and at most a sixth of all.
    #[arg(long, value_name = "N", default_value = "100", value_parser = within(2, 1_000))]
    people: usize,
    /// Write a report, one HTML page.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Attack {
    pub fn run(&self) -> anyhow::Result<()> {
        progress::check_files(self.out.as_deref(), [])?;
        let dataset = crate::data::read(&self.data)?;
        let traits = chorus_data::traits(&self.data, &dataset).or_exit(exit::DATA)?;
        let task = private_task(&self.learning, dataset.users(), &dataset)?;
        let options = AttackOptions {
            seed: self.learning.seed,
            people: self.people,
        };
        let engine = crate::engine::engine();
        let bar = progress::bar(0, "attack");
        let attacks = attack(&task, &dataset, &traits, &engine, options, &mut |what| {
            bar.set_message(what.to_owned());
        });
        let mut attacks = match attacks {
            Err(few @ SimulateError::TooFewToAttack { .. }) => return stop(exit::DATA, few),
            attacks => attacks.or_exit(exit::FAILED)?,
        };
        bar.finish_and_clear();
        attacks.command = command_line();
        if let Some(path) = &self.out {
            progress::write(path, attacks.to_html().as_bytes())?;
        }
        match self.json {
            true => progress::say_json(&attacks)?,
            false => progress::say(&words(&attacks)),
        }
        match attacks.above().next() {
            None => Ok(()),
            Some(row) => stop(
                exit::REFUSED,
                format!(
                    "{} from {}: the attack reached {:.3}, and the guarantee leaves {:.3}",
                    row.question,
                    row.adversary,
                    row.auc,
                    row.ceiling.unwrap_or(1.0)
                ),
            ),
        }
    }
}

fn words(attacks: &Attacks) -> String {
    let mut lines = vec![
        format!("{}.", attacks.headline()),
        String::new(),
        format!(
            "  {:<5} {:<18} {:<36} {:>13} {:>7} {:>10} {:>8} {:>17} {:>17}",
            "noise",
            "question",
            "from",
            "AUC",
            "ceiling",
            "popularity",
            "without",
            "TPR at 1 % FPR",
            "TPR at 0.1 % FPR"
        ),
    ];
    lines.extend(attacks.rows.iter().map(line));
    lines.push(String::new());
    lines.extend(attacks.skipped.iter().cloned());
    lines.push(format!(
        "Ceilings follow from mu = {:.3} of Gaussian differential privacy (epsilon {} at delta {:e}). In brackets the ceilings of the \
         rates. `without`: the same attack on people whose contributions were zeros. An attack that fails proves nothing; the ceiling holds for all.",
        attacks.mu, attacks.epsilon, attacks.delta
    ));
    lines.join("\n")
}

fn line(row: &AttackRow) -> String {
    let maybe = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let rate = |rate: Option<f64>, ceiling: Option<f64>| match (rate, ceiling) {
        (None, _) => "-".to_owned(),
        (Some(rate), None) => format!("{rate:.4}"),
        (Some(rate), Some(ceiling)) => format!("{rate:.4} ({ceiling:.4})"),
    };
    format!(
        "  {:<5} {:<18} {:<36} {:>13} {:>7} {:>10} {:>8} {:>17} {:>17}",
        if row.noise { "on" } else { "off" },
        row.question,
        row.adversary,
        format!("{:.3} ± {:.3}", row.auc, row.error),
        maybe(row.ceiling),
        maybe(row.popularity),
        maybe(row.without),
        rate(row.tpr_at_1_percent, row.tpr_ceiling_at_1_percent),
        rate(row.tpr_at_01_percent, row.tpr_ceiling_at_01_percent)
    )
}
