//! `chorus simulate`: a federation in one process.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use chorus_data::Dataset;
use chorus_model::{Engine, Evaluate, Parameters};
use chorus_simulator::{Options, Progress, simulate};
use clap::Args;

use crate::exit::{self, OrExit, stop};
use crate::json::Json;
use crate::learning::Learning;
use crate::ranges::{bearable, within};
use crate::{progress, words};

/// Flags of `chorus simulate`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Simulate {
    /// A data set. A folder with NAME.train.rating[.gz], NAME.test.rating, NAME.test.negative[.gz]; or train.txt[.gz] and
    /// test.txt[.gz], a line a user; or raw GroupLens files; or events.csv, .tsv or .parquet with the columns user, item
    /// and time. Or one such file of events.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    learning: Learning,
    /// Share of a round's clients that vanish before they contribute.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = bearable)]
    dropout: f64,
    /// Run keys, shares and masks too. The sums are the same, bit for bit; it takes longer.
    #[arg(long)]
    masks: bool,
    /// Draw the noise of each sum in one piece instead of a share a client. The law of the sum is the same, it takes a
    /// fraction of the time; for large populations and catalogues.
    #[arg(long, conflicts_with = "masks")]
    noise_at_once: bool,
    /// Simulate a population so many times as large: every user is there so often, and measured once.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = within(1, 1 << 22))]
    copies: usize,
    /// People that quality is measured on after each round; 0 measures the last model alone, which is always over everyone.
    #[arg(long, value_name = "PEOPLE", default_value_t = 1_000, value_parser = within(0, 1 << 22))]
    measured: usize,
    /// Have clients evaluate the model themselves, after so many rounds each time (sweeps with noise) and at the end: everyone leaves
    /// the newest item out of training and adds its rank to a sum, as in a task with `evaluate`.
    #[arg(long, value_name = "ROUNDS", value_parser = within(1, 100_000))]
    evaluate: Option<usize>,
    #[command(flatten)]
    json: Json,
    /// Write every user's score for every item: raw little-endian f32, [users, items].
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Write the learned model: a safetensors file, for `chorus evaluate`.
    #[arg(long, value_name = "FILE")]
    save_model: Option<PathBuf>,
    /// Write a report, one HTML page.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Simulate {
    pub fn run(&self) -> anyhow::Result<()> {
        let Some(privacy) = self.learning.privacy()? else {
            return stop(
                exit::USAGE,
                "decide about noise: `--epsilon E` adds noise for that privacy bound, `--noise off` adds none",
            );
        };
        let files = [&self.scores, &self.report, &self.save_model];
        let files = files.into_iter().flatten().map(PathBuf::as_path);
        progress::check_files(files.chain(self.json.file()), [self.data.as_path()])?;
        let mut dataset = crate::data::read(&self.data)?;
        if self.copies > 1 {
            dataset = dataset.repeated(self.copies).or_exit(exit::USAGE)?;
        }
        let mut task = self
            .learning
            .task("simulated", dataset.users(), &dataset, privacy)?;
        if let Some(every) = self.evaluate {
            task.evaluate = Some(Evaluate { every, share: None });
            task.validate().or_exit(exit::USAGE)?;
        }
        if task.split > 1 {
            let split = task.split;
            progress::tell(&format!(
                "each sum is split over {split} cohorts: the variance of its noise is {split} times as large"
            ));
        }
        let engine = crate::engine::engine();
        let options = Options {
            seed: self.learning.seed,
            dropout: self.dropout,
            masks: self.masks,
            noise_at_once: self.noise_at_once,
            measured: self.measured,
        };
        let bar = progress::bar(0, "rounds");
        let mut watch = |progress: Progress<'_>| match progress {
            Progress::Began { rounds, name, .. } => {
                bar.set_length(rounds as u64);
                bar.set_message(name.to_owned());
            }
            Progress::Learned { .. } => {}
            Progress::Ended { round, row, .. } => {
                bar.set_position(round as u64);
                if let Some(quality) = row.quality {
                    bar.set_message(format!("HR@10 {:.3}", quality.hr_at_10));
                }
            }
        };
        let mut run =
            simulate(&task, &dataset, &engine, options, &mut watch).or_exit(exit::FAILED)?;
        run.figures.command = command_line();
        bar.finish_and_clear();
        if let Some(path) = &self.scores {
            write_scores(path, &run.parameters, &dataset, &engine)?;
        }
        if let Some(path) = &self.save_model {
            progress::write(path, &run.parameters.to_bytes()?)?;
        }
        self.json.write(&run.figures)?;
        if let Some(path) = &self.report {
            let page = run.report().to_html();
            progress::write(path, page.as_bytes())?;
        }
        if self.json.replaces_words() {
            return Ok(());
        }
        progress::say(&words::figures(&run.figures));
        if privacy.bound().is_some() {
            progress::say(&task.guarantee()?);
        }
        Ok(())
    }
}

/// Writes everyone's scores for every item.
pub fn write_scores(
    path: &Path,
    model: &Parameters,
    dataset: &Dataset,
    engine: &dyn Engine,
) -> anyhow::Result<()> {
    let file = File::create(path)
        .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))
        .or_exit(exit::ENVIRONMENT)?;
    Ok(chorus_simulator::scores(
        model,
        dataset,
        engine,
        &mut BufWriter::new(file),
    )?)
}

/// The command as it was given, to repeat it.
pub fn command_line() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    format!("chorus {}", words.join(" "))
}
