//! `chorus report`: one page about one run folder, or about many beside each other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chorus_data::{Dataset, Trait};
use chorus_model::{Engine, Quality};
use chorus_simulator::{
    Comparison, Data, Evaluation, Figures, Folder, InOnePlace, Keys, Record, RoundRow, ShownRun,
    Source, Yardstick, drawn, evaluate, evaluation, popularity,
};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::exit::{self, OrExit, stop};
use crate::json::Json;
use crate::simulate::{command_line, or_exit};
use crate::{engine, progress};

/// The page, where nobody names it. A run has a `report.html` of its own.
const PAGE: &str = "runs.html";

/// Flags of `chorus report`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Report {
    /// Folders that `chorus simulate --out` filled: a run, finished or not, or a folder of runs such as a sweep makes.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The page [default: runs.html in the folder that is named; of several folders, runs.html here].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where the data is now, if it is not where the runs took it from; once for each data set.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// Leave out what the same model reaches when it is learned in one place, which takes the longest.
    #[arg(long)]
    no_central: bool,
    #[command(flatten)]
    json: Json,
}

/// A data set that was read, and what is said of it.
struct Read {
    place: PathBuf,
    data: Data,
    dataset: Dataset,
    traits: Vec<Trait>,
    popularity: Quality,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Reported<'a> {
    headline: String,
    page: &'a Path,
    runs: Vec<ReportedRun<'a>>,
}

/// One run of it.
#[derive(Serialize)]
struct ReportedRun<'a> {
    name: &'a str,
    folder: &'a str,
    finished: bool,
    data: &'a Data,
    keys: &'a Keys,
    figures: Option<&'a Figures>,
    rounds: &'a [RoundRow],
    popularity: Quality,
    in_one_place: Option<&'a InOnePlace>,
    evaluation: Option<&'a Evaluation>,
}

impl Report {
    pub fn run(&self) -> anyhow::Result<()> {
        let runs = self.found()?;
        let page = self.page();
        let of_runs = runs.iter().flat_map(|(folder, _)| folder.files());
        let read: Vec<PathBuf> = of_runs.chain(self.data.iter().cloned()).collect();
        let written = self.json.file().into_iter().chain([&*page]);
        progress::check_files(written, read.iter().map(PathBuf::as_path))?;
        let comparison = Comparison {
            runs: self.shown(runs)?,
            command: command_line(),
        };
        progress::write(&page, comparison.to_html().as_bytes())?;
        self.json.write(&reported(&comparison, &page))?;
        if !self.json.replaces_words() {
            progress::say(&headline(&comparison));
            progress::say(&format!("the page is {}", page.display()));
        }
        Ok(())
    }

    fn page(&self) -> PathBuf {
        match (&self.out, self.runs.as_slice()) {
            (Some(page), _) => page.clone(),
            (None, [folder]) => folder.join(PAGE),
            (None, _) => PathBuf::from(PAGE),
        }
    }

    /// Every run once, whatever names it.
    fn found(&self) -> anyhow::Result<Vec<(Folder, Record)>> {
        let mut known = BTreeSet::new();
        let mut runs = Vec::new();
        for path in &self.runs {
            for (folder, record) in or_exit(Folder::found(path))? {
                if known.insert(progress::whole(folder.path())) {
                    runs.push((folder, record));
                }
            }
        }
        Ok(runs)
    }

    /// The data of each run, by its number among those that are read; each is read once.
    fn sources(&self, runs: &[(Folder, Record)]) -> anyhow::Result<(Vec<Read>, Vec<usize>)> {
        let mut sources: Vec<Read> = Vec::new();
        for place in &self.data {
            sources.push(Read::at(place)?);
        }
        let mut numbers = Vec::new();
        for (folder, record) in runs {
            let is_it = |read: &Read| read.data.digest == record.data.digest;
            let known = sources.iter().position(is_it);
            let run = folder.path().display();
            if let (None, true) = (known, self.data.is_empty()) {
                let Some(place) = record.given("data") else {
                    let problem = "says not where its data is: name it with --data";
                    return stop(exit::DATA, format!("{run} {problem}"));
                };
                let read = Read::at(Path::new(&place)).map_err(|error| {
                    let moved =
                        format!("the data of {run}; if it moved, name where to with --data");
                    exit::with(exit::code_of(&error), error.context(moved))
                })?;
                sources.push(read);
            }
            let Some(number) = known.or_else(|| sources.iter().position(is_it)) else {
                let others = sources
                    .iter()
                    .map(|read| format!("{} holds {}", read.place.display(), words(&read.data)));
                let others = others.collect::<Vec<_>>().join("; ");
                let problem = format!(
                    "{run} learned from {}; {others}: name the data that it learned from with --data",
                    words(&record.data)
                );
                return stop(exit::DATA, problem);
            };
            numbers.push(number);
        }
        Ok((sources, numbers))
    }

    /// Measures what the page shows besides what the folders hold.
    fn shown(&self, runs: Vec<(Folder, Record)>) -> anyhow::Result<Vec<ShownRun>> {
        let (sources, numbers) = self.sources(&runs)?;
        let drawn = drawn(runs.iter().map(|(_, record)| record));
        let names = names(&runs);
        let bar = progress::bar(runs.len() as u64, "runs");
        let mut yardsticks = Yardsticks::default();
        let mut shown = Vec::new();
        for (run, ((folder, record), (name, source))) in runs
            .into_iter()
            .zip(names.into_iter().zip(numbers))
            .enumerate()
        {
            let Some(read) = sources.get(source) else {
                continue;
            };
            let central = match self.no_central {
                true => None,
                false => Some(yardsticks.learned(source, read, &record, &bar)?),
            };
            bar.set_message(name.clone());
            let evaluation = match drawn.contains(&run) {
                true => read.evaluation(&folder, &record)?,
                false => None,
            };
            bar.inc(1);
            shown.push(ShownRun {
                name,
                folder: folder.path().display().to_string(),
                record,
                popularity: read.popularity,
                central,
                evaluation,
            });
        }
        bar.finish_and_clear();
        Ok(shown)
    }
}

/// Those that were learned, with the number of their data.
#[derive(Default)]
struct Yardsticks(Vec<(usize, Yardstick, InOnePlace)>);

impl Yardsticks {
    /// That of a run: learned, unless another run has the same.
    fn learned(
        &mut self,
        source: usize,
        read: &Read,
        record: &Record,
        bar: &ProgressBar,
    ) -> anyhow::Result<InOnePlace> {
        let wanted = Yardstick::of(&record.task, &read.dataset);
        let is_it = |(other, yardstick, _): &&(usize, Yardstick, InOnePlace)| {
            *other == source && *yardstick == wanted
        };
        if let Some((_, _, known)) = self.0.iter().find(is_it) {
            return Ok(known.clone());
        }
        let found = read.in_one_place(&wanted, bar)?;
        self.0.push((source, wanted, found.clone()));
        Ok(found)
    }
}

/// The names of folders; where two would be the same, their paths.
fn names(runs: &[(Folder, Record)]) -> Vec<String> {
    let name = |folder: &Folder| {
        let whole = progress::whole(folder.path());
        let name = whole
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| folder.path().display().to_string())
    };
    let names: Vec<String> = runs.iter().map(|(folder, _)| name(folder)).collect();
    let is_taken = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    let unique = names
        .iter()
        .zip(runs)
        .map(|(name, (folder, _))| match is_taken(name) {
            true => folder.path().display().to_string(),
            false => name.clone(),
        });
    unique.collect()
}

fn words(data: &Data) -> String {
    format!(
        "`{}`, {} users and {} items with the digest {}",
        data.name, data.users, data.items, data.digest
    )
}

impl Read {
    fn at(place: &Path) -> anyhow::Result<Self> {
        let dataset = crate::data::read(place)?;
        Ok(Self {
            place: place.to_owned(),
            data: Data::of(&dataset),
            traits: chorus_data::traits(place, &dataset).or_exit(exit::DATA)?,
            popularity: popularity(&dataset).or_exit(exit::DATA)?,
            dataset,
        })
    }

    /// Learns a yardstick.
    fn in_one_place(&self, yardstick: &Yardstick, bar: &ProgressBar) -> anyhow::Result<InOnePlace> {
        let engine = engine::engine();
        let epochs = yardstick.epochs();
        let mut swept = |epoch| bar.set_message(format!("in one place, {epoch} of {epochs}"));
        swept(0);
        let model = yardstick
            .learn(&self.dataset, &engine, &mut swept)
            .or_exit(exit::FAILED)?;
        let trainer = engine.open(&model).or_exit(exit::FAILED)?;
        Ok(InOnePlace {
            words: yardstick.words(),
            quality: evaluate(&self.dataset, trainer.as_ref()).or_exit(exit::FAILED)?,
        })
    }

    /// Measures the model of a run over everyone; nothing where it has none yet.
    fn evaluation(&self, folder: &Folder, record: &Record) -> anyhow::Result<Option<Evaluation>> {
        let Some(model) = or_exit(folder.model(record))? else {
            return Ok(None);
        };
        let of_run = || format!("the model of {}", folder.path().display());
        let trainer = engine::engine()
            .open(&model)
            .with_context(of_run)
            .or_exit(exit::DATA)?;
        let found = evaluation(
            &self.dataset,
            Source::Model(trainer.as_ref()),
            &self.traits,
            self.dataset.categories(),
            record.options.seed,
        );
        found.with_context(of_run).or_exit(exit::DATA).map(Some)
    }
}

/// Spaces that do not break are for pages.
fn headline(comparison: &Comparison) -> String {
    comparison.headline().replace('\u{a0}', " ")
}

fn reported<'a>(comparison: &'a Comparison, page: &'a Path) -> Reported<'a> {
    let run = |run: &'a ShownRun| ReportedRun {
        name: &run.name,
        folder: &run.folder,
        finished: run.record.is_finished(),
        data: &run.record.data,
        keys: &run.record.keys,
        figures: run.record.figures.as_ref(),
        rounds: &run.record.rounds,
        popularity: run.popularity,
        in_one_place: run.central.as_ref(),
        evaluation: run.evaluation.as_ref(),
    };
    Reported {
        headline: headline(comparison),
        page,
        runs: comparison.runs.iter().map(run).collect(),
    }
}
