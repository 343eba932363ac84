//! `chorus train`: the same model learned in one place, as a yardstick.

use std::path::{Path, PathBuf};
use std::time::Instant;

use chorus_data::Dataset;
use chorus_model::{Engine, IalsRecipe, Parameters, Quality, Recipe};
use chorus_simulator::{
    Central, CentralPlan, Yardstick, evaluate, popularity, train_centrally, train_plan_centrally,
    width,
};
use clap::Args;
use serde::Serialize;

use crate::exit::{self, OrExit};
use crate::json::Json;
use crate::learning::trained;
use crate::ranges::within;
use crate::simulate::{command_line, write_scores};
use crate::{progress, words};

/// Flags of `chorus train`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Train {
    /// Learn in one place, from every history in the open: `ials` by exact alternating least squares, the model of a plan by
    /// stochastic gradient descent over batches of people, who are each learned from by the plan's own trainer. Nothing is
    /// clipped, rounded, noised or lost.
    #[arg(long, required = true)]
    local: bool,
    /// Train the model of a plan: a file such as `models/bpr-mf/model.toml`, or its folder. Left out: `ials`.
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["factors", "no_head"])]
    model: Option<PathBuf>,
    /// Folder of a data set, as for `chorus simulate`.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Width of the item table [default: 32, 128 from 1,000 people].
    #[arg(long, value_name = "N", value_parser = within(1, 1_024))]
    factors: Option<usize>,
    /// Sweeps over all people, then all items; of a plan, passes over everyone [default: 12, of a plan 10].
    #[arg(long, value_name = "N", value_parser = within(1, 10_000))]
    epochs: Option<usize>,
    /// With --model: people whose mean change makes one step of the plan's optimiser [default: a tenth of all].
    #[arg(long, value_name = "N", value_parser = within(1, 1 << 22), requires = "model")]
    batch: Option<usize>,
    /// Leave out the low-rank EASE model that ranks beside the item table.
    #[arg(long)]
    no_head: bool,
    /// Decides the first item table.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    json: Json,
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
    #[serde(flatten)]
    learned: Learned,
    epochs: usize,
    seed: u64,
    wall_seconds: f64,
    command: String,
}

/// What was learned, with what of its settings is its own.
#[derive(Serialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
enum Learned {
    Ials { factors: usize, head: bool },
    Plan { name: String, batch: usize },
}

impl Train {
    pub fn run(&self) -> anyhow::Result<()> {
        let files = [&self.scores, &self.save_model];
        let files = files.into_iter().flatten().map(PathBuf::as_path);
        progress::check_files(files.chain(self.json.file()), [self.data.as_path()])?;
        let dataset = crate::data::read(&self.data)?;
        let engine = crate::engine::engine();
        let began = Instant::now();
        let epochs = self.epochs.unwrap_or(match self.model {
            Some(_) => Yardstick::EPOCHS,
            None => Yardstick::SWEEPS,
        });
        let bar = progress::bar(epochs as u64, "epochs");
        let mut swept = |epoch: usize| bar.set_position(epoch as u64);
        let (learned, model) = match &self.model {
            Some(path) => self.plan(path, &dataset, &engine, epochs, &mut swept)?,
            None => self.ials(&dataset, &engine, epochs, &mut swept)?,
        };
        bar.finish_and_clear();
        let trainer = engine.open(&model)?;
        let figures = Figures {
            quality: evaluate(&dataset, trainer.as_ref())?,
            popularity: popularity(&dataset)?,
            data: dataset.name.clone(),
            learned,
            epochs,
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
        self.json.write(&figures)?;
        if self.json.replaces_words() {
            return Ok(());
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

    fn ials(
        &self,
        dataset: &Dataset,
        engine: &dyn Engine,
        epochs: usize,
        swept: &mut dyn FnMut(usize),
    ) -> anyhow::Result<(Learned, Parameters)> {
        let factors = self.factors.unwrap_or_else(|| width(dataset.users()));
        let central = Central {
            recipe: IalsRecipe {
                head: self.no_head.then_some(0),
                ..IalsRecipe::new(dataset.items, factors, 1)
            },
            epochs,
            seed: self.seed,
        };
        let model = train_centrally(dataset, engine, &central, swept).or_exit(exit::FAILED)?;
        let head = !self.no_head;
        Ok((Learned::Ials { factors, head }, model))
    }

    fn plan(
        &self,
        path: &Path,
        dataset: &Dataset,
        engine: &dyn Engine,
        epochs: usize,
        swept: &mut dyn FnMut(usize),
    ) -> anyhow::Result<(Learned, Parameters)> {
        let recipe = trained(path, dataset, 1)?;
        Recipe::Trained(recipe.clone())
            .validate()
            .or_exit(exit::USAGE)?;
        let name = recipe.plan()?.name.clone();
        let batch = self.batch.unwrap_or_else(|| Yardstick::batch(dataset));
        let central = CentralPlan {
            recipe,
            epochs,
            batch,
            seed: self.seed,
        };
        let model = train_plan_centrally(dataset, engine, &central, swept).or_exit(exit::FAILED)?;
        Ok((Learned::Plan { name, batch }, model))
    }
}
