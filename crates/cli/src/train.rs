//! `chorus train`: the same model learned in one place, as a yardstick.

use std::path::PathBuf;
use std::time::Instant;

use chorus_model::{Engine, IalsRecipe, Quality};
use chorus_simulator::{Central, evaluate, popularity, train_centrally};
use clap::Args;
use serde::Serialize;

use crate::exit::{self, OrExit};
use crate::learning::{at_least, width};
use crate::simulate::{command_line, write_scores};
use crate::{progress, words};

/// Flags of `chorus train`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Train {
    /// Learn in one place, from every history in the open: `ials` by exact alternating least squares.
    #[arg(long, required = true)]
    local: bool,
    /// Folder of a data set, as for `chorus simulate`.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Width of the item table [default: 32, 128 from 1,000 people].
    #[arg(long, value_name = "N")]
    factors: Option<usize>,
    /// Sweeps over all people, then all items.
    #[arg(long, value_name = "N", default_value_t = 12)]
    epochs: usize,
    /// Leave out the low-rank EASE model that ranks beside the item table.
    #[arg(long)]
    no_head: bool,
    /// Decides the first item table.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least(0))]
    seed: usize,
    /// Write the figures to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write every user's score for every item: raw little-endian f32, [users, items].
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Write the model, a safetensors file.
    #[arg(long, value_name = "FILE")]
    save_model: Option<PathBuf>,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Figures {
    #[serde(flatten)]
    quality: Quality,
    popularity: Quality,
    data: String,
    factors: usize,
    epochs: usize,
    head: bool,
    seed: usize,
    wall_seconds: f64,
    command: String,
}

impl Train {
    pub fn run(&self) -> anyhow::Result<()> {
        let files = [&self.json, &self.scores, &self.save_model];
        progress::check_folders(files.into_iter().flatten().map(PathBuf::as_path))?;
        let dataset = chorus_data::read(&self.data).or_exit(exit::DATA)?;
        let factors = self.factors.unwrap_or_else(|| width(dataset.users()));
        let recipe = IalsRecipe {
            head: self.no_head.then_some(0),
            ..IalsRecipe::new(dataset.items, factors, 1)
        };
        let central = Central {
            recipe,
            epochs: self.epochs,
            seed: self.seed as u64,
        };
        let engine = crate::engine::engine();
        let bar = progress::bar(self.epochs as u64, "epochs");
        let began = Instant::now();
        let model = train_centrally(&dataset, &engine, &central, &mut |epoch| {
            bar.set_position(epoch as u64);
        });
        bar.finish_and_clear();
        let model = model.or_exit(exit::FAILED)?;
        let trainer = engine.open(&model)?;
        let figures = Figures {
            quality: evaluate(&dataset, trainer.as_ref())?,
            popularity: popularity(&dataset)?,
            data: dataset.name.clone(),
            factors,
            epochs: self.epochs,
            head: !self.no_head,
            seed: self.seed,
            wall_seconds: began.elapsed().as_secs_f64(),
            command: command_line(),
        };
        if let Some(path) = &self.scores {
            write_scores(path, &model, &dataset, &engine)?;
        }
        if let Some(path) = &self.save_model {
            progress::write(path, &model.to_bytes()?)?;
        }
        if let Some(path) = &self.json {
            progress::write(path, &serde_json::to_vec_pretty(&figures)?)?;
        }
        let mut table = chorus_simulator::Figures::default();
        table.set_quality(&figures.quality, &figures.popularity);
        progress::say(&words::qualities(&table));
        progress::say(&format!(
            "\n  time      {:.1} s, in one place, from every history in the open",
            figures.wall_seconds
        ));
        Ok(())
    }
}
