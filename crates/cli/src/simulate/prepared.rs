//! A run that was checked and can begin, and how it is driven.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chorus_data::Dataset;
use chorus_model::Engine;
use chorus_protocol::Task;
use chorus_simulator::{
    Alone, Company, Data, Folder, Keys, Progress, Record, Run, SettingsError, Simulation,
};
use indicatif::ProgressBar;

use super::interruption::Interruption;
use super::keys::flags;
use super::{Simulate, or_exit};
use crate::exit::{self, OrExit, stop};
use crate::learning::{in_flags, task_name};
use crate::{company, engine, progress};

/// Data sets that were read: runs beside each other read each once.
#[derive(Default)]
pub struct Shelf(BTreeMap<(PathBuf, usize), (Arc<Dataset>, Data)>);

impl Shelf {
    /// The data set with so many copies of its people, and what it is without them.
    fn take(&mut self, path: &Path, copies: usize) -> anyhow::Result<(Arc<Dataset>, Data)> {
        let key = (path.to_owned(), copies);
        if let Some(found) = self.0.get(&key) {
            return Ok(found.clone());
        }
        let mut dataset = crate::data::read(path)?;
        let data = Data::of(&dataset);
        if copies > 1 {
            dataset = dataset.repeated(copies).or_exit(exit::USAGE)?;
        }
        let read = (Arc::new(dataset), data);
        self.0.insert(key, read.clone());
        Ok(read)
    }
}

/// A run that can begin.
pub struct Prepared {
    pub dataset: Arc<Dataset>,
    pub record: Record,
    /// Sums between two checkpoints.
    every: usize,
    /// How it can be asked for again.
    command: String,
}

impl Prepared {
    /// Checks everything that can be checked before anything is learned.
    pub fn new(asked: &Simulate, keys: Keys, shelf: &mut Shelf) -> anyhow::Result<Self> {
        let settings = asked.settings();
        // Said before data is read, which takes a while.
        if in_flags(settings.privacy())?.is_none() {
            return in_flags(Err(SettingsError::NoiseUndecided));
        }
        let (dataset, data) = shelf.take(&asked.data, asked.copies)?;
        let recipe = asked.learning.recipe(&dataset)?;
        let name = task_name("simulated")?;
        let (task, options) = in_flags(settings.prepare(name, &dataset, recipe))?;
        let began = SystemTime::now().duration_since(UNIX_EPOCH);
        let command = spelt(&keys)?;
        let record = Record {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: engine::NAME.to_owned(),
            began: began.unwrap_or_default().as_secs(),
            keys,
            data,
            task,
            options,
            model: None,
            figures: None,
            rounds: Vec::new(),
            releases: Vec::new(),
        };
        Ok(Self {
            dataset,
            record,
            every: asked.checkpoint,
            command,
        })
    }

    /// What is worth knowing before it begins.
    pub fn tell(&self) {
        let split = self.task().split;
        if split > 1 {
            progress::tell(&format!(
                "each sum is split over {split} cohorts: the variance of its noise is {split} times as large"
            ));
        }
    }

    /// Only the same version promises the same bits.
    pub fn tell_version(&self, first: &Record) {
        let (first, now) = (&first.version, &self.record.version);
        if first != now {
            progress::tell(&format!(
                "chorus {first} began this run and this is chorus {now}, which may compute other bits"
            ));
        }
    }

    /// What it learns.
    pub fn task(&self) -> &Task {
        &self.record.task
    }

    /// Rounds that it has.
    pub fn rounds(&self) -> usize {
        self.task().sums().len() * self.task().split
    }

    /// A new folder for it.
    pub fn begin(&self, path: &Path) -> anyhow::Result<Folder> {
        let folder = or_exit(Folder::new(path).and_then(Folder::hold))?;
        or_exit(folder.begin(&self.record))?;
        Ok(folder)
    }

    /// The folder of the same run that is to be gone on with.
    pub fn go_on(&mut self, path: &Path) -> anyhow::Result<Folder> {
        let (folder, record) = or_exit(Folder::open(path))?;
        let (other, place) = (record.other_run(&self.record), path.display());
        if !other.is_empty() {
            let other = other.join("; ");
            return stop(exit::USAGE, format!("{place} holds another run: {other}"));
        }
        if record.is_finished() {
            let problem = format!("the run in {place} is finished: there is nothing to go on with");
            return stop(exit::USAGE, problem);
        }
        self.tell_version(&record);
        // The files that are named after it are then those of the same run.
        self.record.began = record.began;
        or_exit(folder.hold())
    }

    /// Runs it in this process alone.
    pub fn run(
        &self,
        folder: Option<&Folder>,
        interruption: Option<&Interruption>,
        watch: &mut Watch,
    ) -> anyhow::Result<Option<Run>> {
        self.run_in(&Alone, folder, interruption, watch)
    }

    /// Runs it, from the last checkpoint of the folder if there is one; nothing where it was interrupted, which the folder then holds.
    /// Of several processes the first alone has the folder, and all have the interruption.
    pub fn run_in(
        &self,
        company: &dyn Company,
        folder: Option<&Folder>,
        interruption: Option<&Interruption>,
        watch: &mut Watch,
    ) -> anyhow::Result<Option<Run>> {
        let engine = engine::engine();
        let mut simulation = self.open(&engine, company, folder)?;
        watch.advance(simulation.rounds().len());
        let mut sums = 0;
        while simulation.goes_on() {
            simulation
                .sum(&mut |progress| watch.see(progress))
                .or_exit(exit::FAILED)?;
            sums += 1;
            let Some(interruption) = interruption else {
                continue;
            };
            let ends = company::in_words(company.any(interruption.is_asked()))?;
            if let Some(folder) = folder {
                self.keep(&simulation, folder, sums, ends)?;
            }
            if ends {
                return Ok(None);
            }
        }
        self.close(simulation, folder).map(Some)
    }

    /// A simulation of it, from the last checkpoint of the folder if there is one.
    pub fn open<'a>(
        &'a self,
        engine: &'a dyn Engine,
        company: &'a dyn Company,
        folder: Option<&Folder>,
    ) -> anyhow::Result<Simulation<'a>> {
        let options = self.record.options.clone();
        let simulation = Simulation::new(self.task(), &self.dataset, engine, options);
        let simulation = simulation.or_exit(exit::FAILED)?.with_company(company);
        let mut simulation = simulation.or_exit(exit::USAGE)?;
        let checkpoint = folder.map(Folder::checkpoint).transpose();
        let checkpoint = or_exit(checkpoint)?.flatten();
        if let Some(checkpoint) = company::checkpoint(company, checkpoint)? {
            simulation.go_on_from(checkpoint);
        }
        Ok(simulation)
    }

    /// After so many sums: a checkpoint where it is time for one, and where it ends here what can be read of it so far.
    pub fn keep(
        &self,
        simulation: &Simulation<'_>,
        folder: &Folder,
        sums: usize,
        ends: bool,
    ) -> anyhow::Result<()> {
        if ends {
            or_exit(folder.leave(self.record.clone(), &simulation.checkpoint()))?;
        } else if sums.is_multiple_of(self.every) {
            or_exit(folder.save(&simulation.checkpoint()))?;
        }
        Ok(())
    }

    /// Measures it at its end, and writes what came out into the folder.
    pub fn close(
        &self,
        simulation: Simulation<'_>,
        folder: Option<&Folder>,
    ) -> anyhow::Result<Run> {
        let mut run = simulation.end().or_exit(exit::FAILED)?;
        run.figures.command.clone_from(&self.command);
        if let Some(folder) = folder {
            or_exit(folder.finish(self.record.clone(), &run))?;
        }
        Ok(run)
    }
}

/// A command with these keys.
fn spelt(keys: &Keys) -> anyhow::Result<String> {
    let words = flags(keys, "keys")?;
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    Ok(format!("chorus simulate {}", words.join(" ")))
}

/// What a person at a terminal sees of rounds: how many, how good, how long still.
pub struct Watch {
    bar: ProgressBar,
    /// Rounds of the runs before this one.
    before: usize,
    /// What this run is, where there are several.
    name: String,
}

impl Watch {
    /// Over so many rounds.
    pub fn new(rounds: usize) -> Self {
        Self {
            bar: progress::bar(rounds as u64, "rounds"),
            before: 0,
            name: String::new(),
        }
    }

    /// The next of several runs.
    pub fn next(&mut self, name: &str, before: usize) {
        (self.name, self.before) = (format!("{name}: "), before);
        self.bar.set_position(before as u64);
        self.bar.set_message(name.to_owned());
    }

    /// Rounds that were done earlier, and say nothing of how fast this is.
    fn advance(&self, rounds: usize) {
        self.bar.set_position((self.before + rounds) as u64);
        self.bar.reset_eta();
    }

    /// Shows it.
    pub fn see(&self, progress: Progress<'_>) {
        match progress {
            Progress::Began { name, .. } => self.bar.set_message(format!("{}{name}", self.name)),
            Progress::Learned { .. } => {}
            Progress::Ended { round, row, .. } => {
                self.bar.set_position((self.before + round) as u64);
                if let Some(quality) = row.quality {
                    let said = format!("{}HR@10 {:.3}", self.name, quality.hr_at_10);
                    self.bar.set_message(said);
                }
            }
        }
    }

    /// Leaves nothing on the screen.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
