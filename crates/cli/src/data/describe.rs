//! `chorus data describe`.

use std::path::PathBuf;

use chorus_data::{Description, describe, traits};
use clap::Args;

use super::{Source, page};
use crate::exit::{self, OrExit};
use crate::json::Json;
use crate::progress;

/// Flags of `chorus data describe`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Describe {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    json: Json,
    /// Write a page with two pictures: popularity and history lengths.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Describe {
    pub fn run(&self) -> anyhow::Result<()> {
        let files = self.json.file().into_iter().chain(self.report.as_deref());
        progress::check_files(files, [self.source.data.as_path()])?;
        let dataset = self.source.read()?;
        let traits = traits(&self.source.data, &dataset).or_exit(exit::DATA)?;
        let description = describe(&dataset, &traits);
        self.json.write(&description)?;
        if let Some(file) = &self.report {
            progress::write(
                file,
                page::page(&description, &words(&description)).as_bytes(),
            )?;
        }
        if !self.json.replaces_words() {
            progress::say(&words(&description));
        }
        Ok(())
    }
}

/// The same figures for reading.
pub fn words(data: &Description) -> String {
    let per_user = data.items_per_user;
    let mut lines = vec![
        format!(
            "{}: {} users, {} items, {} events",
            data.name, data.users, data.items, data.events
        ),
        format!(
            "  per user    {} to {} items, {:.1} on average, half at most {}",
            per_user.min, per_user.max, per_user.mean, per_user.median
        ),
        format!(
            "  density     {:.3} % of all pairs of a user and an item",
            100.0 * data.density
        ),
        format!(
            "  popularity  Gini {:.3}; the top 10 % of the items have {:.1} % of the events; {} items have none",
            data.gini,
            100.0 * data.top_tenth_share,
            data.untouched_items
        ),
        match (&data.times, data.in_order_of_time) {
            (Some([first, last]), true) => format!("  times       {first} to {last}"),
            (Some([first, last]), false) => format!(
                "  times       {first} to {last}, of what is held out alone; histories are in the order of the file"
            ),
            (None, _) => {
                "  times       not known; histories are in the order of the file".to_owned()
            }
        },
        format!(
            "  split       {}: {} events to learn from, {} held out of {} users",
            data.split, data.train_events, data.held_out, data.cases
        ),
        match data.features {
            0 => "  features    none known of the items".to_owned(),
            features => format!("  features    {features} of the items, public"),
        },
    ];
    for group in &data.groups {
        let unknown = match group.unknown {
            0 => String::new(),
            unknown => format!(", {unknown} unknown"),
        };
        lines.push(format!(
            "  group       {}: {} of {} users{unknown}",
            group.name,
            group.yes,
            group.yes + group.no
        ));
    }
    let flagged = [
        (data.empty_histories, "users have nothing to learn from"),
        (
            data.positives_among_negatives,
            "users have the held-out item among their own negatives, as published; the metrics drop it",
        ),
        (
            data.repaired,
            "held-out events were dropped, because the history has them too",
        ),
    ];
    let flagged = flagged.into_iter().filter(|(count, _)| *count > 0);
    lines.extend(flagged.map(|(count, what)| format!("  note        {count} {what}")));
    lines.join("\n")
}
