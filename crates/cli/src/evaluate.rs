//! `chorus evaluate`: how good a ranking is, and for whom.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::PathBuf;

use chorus_model::{Engine, Parameters};
use chorus_simulator::{Evaluation, Explanations, Group, Source, evaluation};
use clap::Args;

use crate::exit::{self, OrExit};
use crate::json::Json;
use crate::progress;

/// Flags of `chorus evaluate`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Evaluate {
    /// The data: its held-out items are asked for.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    ranking: Ranking,
    /// Decides the draws of the bootstrap.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    json: Json,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Ranking {
    /// A published model, a safetensors file: of `chorus model export`, or of `--save-model`.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Everyone's scores for every item: raw little-endian f32, `[users, items]`.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
}

impl Evaluate {
    pub fn run(&self) -> anyhow::Result<()> {
        let read = [&self.ranking.model, &self.ranking.scores];
        let read = read.into_iter().flatten().chain([&self.data]);
        progress::check_files(self.json.file(), read.map(PathBuf::as_path))?;
        let dataset = crate::data::read(&self.data)?;
        let traits = chorus_data::traits(&self.data, &dataset).or_exit(exit::DATA)?;
        let categories = dataset.categories();
        let measure = |source: Source<'_>| {
            evaluation(&dataset, source, &traits, categories.clone(), self.seed).or_exit(exit::DATA)
        };
        let found = match (&self.ranking.model, &self.ranking.scores) {
            (Some(path), _) => {
                let bytes = fs::read(path)
                    .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))
                    .or_exit(exit::DATA)?;
                let parameters = Parameters::from_bytes(&bytes).or_exit(exit::DATA)?;
                let known = parameters.get("counts").map(|counts| counts.values.len());
                if known != Some(dataset.items) {
                    return exit::stop(
                        exit::DATA,
                        format!(
                            "the model is of {} items and {} has {}: name the data that it was learned from",
                            known.unwrap_or_default(),
                            dataset.name,
                            dataset.items
                        ),
                    );
                }
                let trainer = crate::engine::engine()
                    .open(&parameters)
                    .or_exit(exit::DATA)?;
                measure(Source::Model(trainer.as_ref()))?
            }
            (None, path) => {
                let path = path.clone().unwrap_or_default();
                let file = File::open(&path)
                    .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))
                    .or_exit(exit::DATA)?;
                measure(Source::Rows(&mut BufReader::with_capacity(1 << 20, file)))?
            }
        };
        self.json.write(&found)?;
        if !self.json.replaces_words() {
            progress::say(&text(&found));
        }
        Ok(())
    }
}

/// The figures for reading.
fn text(found: &Evaluation) -> String {
    let (quality, within, popularity) = (&found.quality, &found.intervals, &found.popularity);
    let row = |name: &str, [value, within, popular]: [f64; 3]| {
        format!("  {name:<30} {value:>8.4} ± {within:.4} {popular:>12.4}")
    };
    let mut lines = vec![
        String::new(),
        format!(
            "  {:<30} {:>8} {:>8} {:>12}",
            format!("{} people of {}", quality.cases, found.data),
            "ranking",
            "95 %",
            "popularity"
        ),
        row(
            "HR@10, against 99 others",
            [quality.hr_at_10, within.hr_at_10, popularity.hr_at_10],
        ),
        row(
            "NDCG@10, against 99 others",
            [quality.ndcg_at_10, within.ndcg_at_10, popularity.ndcg_at_10],
        ),
        row(
            "HR@10, against all items",
            [
                quality.full_hr_at_10,
                within.full_hr_at_10,
                popularity.full_hr_at_10,
            ],
        ),
        row(
            "NDCG@10, against all items",
            [
                quality.full_ndcg_at_10,
                within.full_ndcg_at_10,
                popularity.full_ndcg_at_10,
            ],
        ),
        row(
            "Recall@20, against all items",
            [
                quality.full_recall_at_20,
                within.full_recall_at_20,
                popularity.full_recall_at_20,
            ],
        ),
        row(
            "NDCG@20, against all items",
            [
                quality.full_ndcg_at_20,
                within.full_ndcg_at_20,
                popularity.full_ndcg_at_20,
            ],
        ),
        String::new(),
        format!(
            "  {:<30} {:>8} {:>21}",
            "lists of ten", "ranking", "popularity"
        ),
    ];
    let (lists, popular) = (&found.lists, &found.popularity_lists);
    let figures = [
        (
            "diversity within a list",
            lists.diversity,
            popular.diversity,
        ),
        (
            "distance from own tastes",
            lists.calibration,
            popular.calibration,
        ),
        (
            "share of the catalogue shown",
            Some(lists.coverage),
            Some(popular.coverage),
        ),
        ("novelty, bits", Some(lists.novelty), Some(popular.novelty)),
        (
            "popularity lift",
            Some(lists.popularity_lift),
            Some(popular.popularity_lift),
        ),
        ("Gini of exposure", Some(lists.gini), Some(popular.gini)),
        (
            "share from the tail",
            Some(lists.tail_share),
            Some(popular.tail_share),
        ),
    ];
    for (name, ours, popular) in figures {
        if let (Some(ours), Some(popular)) = (ours, popular) {
            lines.push(format!("  {name:<30} {ours:>8.4} {popular:>21.4}"));
        }
    }
    lines.extend(found.explanations.iter().flat_map(explained));
    lines.push(String::new());
    lines.push("  NDCG@10 against all items, by group".to_owned());
    for groups in &found.groups {
        lines.extend(groups.groups.iter().map(group));
        if let Some(gap) = &groups.gap {
            let [low, high] = gap.interval;
            let worst = match low > 0.0 {
                true => format!("worst: {}", gap.worst),
                false => "may be chance".to_owned(),
            };
            lines.push(format!(
                "  {:<30} {:>8.4}   ({low:.4} to {high:.4}); {worst}",
                format!("gap by {}", groups.by),
                gap.value
            ));
        }
    }
    lines.join("\n")
}

/// What is under the lists about their reasons.
fn explained(found: &Explanations) -> [String; 5] {
    let people = format!("reasons of {} people's first item", found.people);
    let row = |name: &str, value: f64| format!("  {name:<30} {value:>8.4}");
    [
        format!("\n  {people:<30}"),
        row("places lost without three", found.fall),
        row("share that leaves the ten", found.left),
        row("what three carry of all", found.carried),
        row("what the causes leave over", found.remainder),
    ]
}

fn group(group: &Group) -> String {
    let name = format!("{} ({} people)", group.name, group.people);
    match group.full_ndcg_at_10 {
        Some(gain) => format!("  {name:<38} {:.4} ± {:.4}", gain.mean, gain.within),
        None => format!("  {name:<38} too few to show"),
    }
}
