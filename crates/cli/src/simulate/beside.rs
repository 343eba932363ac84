//! `--beside`: several tasks of the same people, who take part in one round at a time.

use std::collections::VecDeque;
use std::time::Instant;

use chorus_simulator::{Alone, Figures, Keys, Run, Simulation, Together};
use serde::Serialize;

use super::Simulate;
use super::interruption::Interruption;
use super::prepared::Watch;
use super::several::{Chosen, Planned, pair, plan, settle, table};
use crate::exit::{self, OrExit, stop};
use crate::words::bytes;
use crate::{engine, progress};

/// Tasks that one population learns at a time: more is a slip of the hand.
const MOST: usize = 100;

/// What `--json` has.
#[derive(Serialize)]
struct Beside {
    tasks: Vec<Learned>,
    together: Together,
    /// Seconds for all of them.
    wall_seconds: f64,
}

/// One task.
#[derive(Serialize)]
struct Learned {
    task: String,
    /// The keys that it has for itself, and their values.
    keys: Chosen,
    #[serde(flatten)]
    figures: Figures,
}

/// Runs all of them, a sum of each in turn.
pub fn run(base: &Simulate, keys: &Keys) -> anyhow::Result<()> {
    let began = Instant::now();
    progress::check_files(base.json.file(), [base.data.as_path()])?;
    let tasks = (1..).zip(tasks(&base.beside)?);
    let tasks = tasks.map(|(number, chosen)| (format!("task-{number}"), chosen));
    let mut planned = plan("--beside", tasks, keys)?;
    if let Some(out) = &base.out {
        settle("--beside", &mut planned, out)?;
        for one in planned.iter_mut().filter(|one| one.finished.is_none()) {
            one.begin(Some(out))?;
        }
    }
    let interruption = base.out.as_ref().map(|_| Interruption::heard());
    let Some(runs) = in_turn(&planned, interruption.transpose()?.as_ref())? else {
        return stop(
            exit::INTERRUPTED,
            "interrupted after a round; the same command goes on with every task",
        );
    };
    for (place, run) in runs {
        if let Some(one) = planned.get_mut(place) {
            one.finish(&run)?;
        }
    }
    let records = planned.iter().filter_map(|one| one.finished.as_ref());
    let together = Together::of(records).or_exit(exit::FAILED)?;
    let tasks = planned.into_iter().filter_map(|one| {
        Some(Learned {
            task: one.name,
            keys: one.chosen,
            figures: one.finished?.figures?,
        })
    });
    let beside = Beside {
        tasks: tasks.collect(),
        together,
        wall_seconds: began.elapsed().as_secs_f64(),
    };
    base.json.write(&beside)?;
    if !base.json.replaces_words() {
        beside.say();
    }
    Ok(())
}

/// The keys of each task for itself; those of the first are the command's.
fn tasks(beside: &[String]) -> anyhow::Result<Vec<Chosen>> {
    let refuse =
        |words: &str, problem: String| stop(exit::USAGE, format!("--beside {words}: {problem}"));
    let mut all = vec![Chosen::new()];
    for words in beside {
        let mut chosen = Chosen::new();
        for word in words.split(',').map(str::trim) {
            let (key, value) = match pair(word, "KEY=VALUE,KEY=VALUE, such as epsilon=2,seed=7") {
                Ok(("data" | "copies", _)) => {
                    let problem = "tasks beside each other are of the same people: leave it out";
                    return refuse(words, format!("`{word}`: {problem}"));
                }
                Ok(pair) => pair,
                Err(problem) => return refuse(words, problem),
            };
            if chosen.insert(key.to_owned(), value.to_owned()).is_some() {
                return refuse(words, format!("`{key}` is there twice"));
            }
        }
        all.push(chosen);
    }
    match all.len() > MOST {
        true => stop(exit::USAGE, format!("--beside: at most {MOST} tasks")),
        false => Ok(all),
    }
}

/// A task that is not finished.
struct Open<'a> {
    place: usize,
    planned: &'a Planned,
    simulation: Simulation<'a>,
    /// Since this command began.
    sums: usize,
}

/// A sum of each task in turn until all are finished, and which they were; nothing where somebody interrupts, which the folders
/// then hold.
fn in_turn(
    planned: &[Planned],
    interruption: Option<&Interruption>,
) -> anyhow::Result<Option<Vec<(usize, Run)>>> {
    let engine = engine::engine();
    let mut watch = Watch::new(planned.iter().map(|one| one.prepared.rounds()).sum());
    let (mut open, mut runs) = (VecDeque::new(), Vec::new());
    let unfinished = planned.iter().enumerate();
    for (place, planned) in unfinished.filter(|(_, one)| one.finished.is_none()) {
        let folder = planned.folder.as_ref();
        open.push_back(Open {
            place,
            planned,
            simulation: planned.prepared.open(&engine, &Alone, folder)?,
            sums: 0,
        });
    }
    let mut rounds: usize = open.iter().map(|one| one.simulation.rounds().len()).sum();
    while let Some(mut next) = open.pop_front() {
        let Planned {
            name,
            prepared,
            folder,
            ..
        } = next.planned;
        if !next.simulation.goes_on() {
            runs.push((
                next.place,
                prepared.close(next.simulation, folder.as_ref())?,
            ));
            continue;
        }
        let before = next.simulation.rounds().len();
        watch.next(name, rounds - before);
        let summed = next.simulation.sum(&mut |progress| watch.see(progress));
        summed.or_exit(exit::FAILED)?;
        next.sums += 1;
        rounds += next.simulation.rounds().len() - before;
        open.push_back(next);
        let ends = interruption.is_some_and(Interruption::is_asked);
        for (back, one) in open.iter().rev().enumerate() {
            if let (Some(folder), true) = (&one.planned.folder, ends || back == 0) {
                one.planned
                    .prepared
                    .keep(&one.simulation, folder, one.sums, ends)?;
            }
        }
        if ends {
            watch.end();
            return Ok(None);
        }
    }
    watch.end();
    Ok(Some(runs))
}

impl Beside {
    fn say(&self) {
        let rows = self.tasks.iter().map(|one| {
            let keys = one.keys.iter().map(|(key, value)| format!("{key}={value}"));
            let keys = keys.collect::<Vec<_>>().join(",");
            (vec![one.task.clone(), keys], &one.figures)
        });
        progress::say(&table(["task", "its own keys"], rows));
        let privacy = match (self.together.epsilon, self.together.delta) {
            (Some(epsilon), Some(delta)) => format!("epsilon {epsilon:.2} at delta {delta}"),
            _ => "no bound on privacy, as one of the tasks adds no noise".to_owned(),
        };
        progress::say(&format!(
            "together, of one client: {privacy}, {} uploaded; {:.1} s",
            bytes(self.together.upload_bytes_per_client.round() as u64),
            self.wall_seconds
        ));
    }
}
