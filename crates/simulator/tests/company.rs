//! Several processes simulate what one does: here threads, which add up as processes do.
#![allow(clippy::unwrap_used)]

use std::sync::{Barrier, Mutex, RwLock};
use std::thread;

use chorus_data::{Dataset, Synthesis, synthesise};
use chorus_model::{
    Direct, Evaluate, IalsPrivateRecipe, IalsRecipe, ModelPlan, Recipe, TrainedRecipe,
};
use chorus_protocol::{Consistency, Digest, Privacy, Task};
use chorus_simulator::{
    Alone, Attack, Buffer, Company, Farewell, Malice, Options, Run, Sampling, SimulateError,
    Simulation,
};

/// Where threads add up.
struct Table {
    sums: Mutex<Vec<i64>>,
    everyone: Barrier,
}

/// One thread of them.
struct Seat<'a> {
    table: &'a Table,
    rank: usize,
    size: usize,
}

impl Company for Seat<'_> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn place(&self) -> String {
        format!("seat {}", self.rank)
    }

    fn sum(&self, numbers: &mut [i64]) {
        {
            let mut sums = self.table.sums.lock().unwrap();
            sums.resize(numbers.len(), 0);
            for (sum, number) in sums.iter_mut().zip(numbers.iter()) {
                *sum += number;
            }
        }
        self.table.everyone.wait();
        let sums = self.table.sums.lock().unwrap().clone();
        numbers.copy_from_slice(&sums);
        if self.table.everyone.wait().is_leader() {
            self.table.sums.lock().unwrap().clear();
        }
        self.table.everyone.wait();
    }
}

/// What each of so many threads gets.
fn company<T: Send>(size: usize, work: impl Fn(&dyn Company) -> T + Sync) -> Vec<T> {
    let table = Table {
        sums: Mutex::default(),
        everyone: Barrier::new(size),
    };
    let (table, work) = (&table, &work);
    thread::scope(|scope| {
        let seats: Vec<_> = (0..size)
            .map(|rank| scope.spawn(move || work(&Seat { table, rank, size })))
            .collect();
        seats.into_iter().map(|seat| seat.join().unwrap()).collect()
    })
}

fn small() -> Dataset {
    synthesise(&Synthesis {
        users: 60,
        items: 50,
        tastes: 3,
        seed: 6,
        mean_history: 10,
        ..Synthesis::default()
    })
}

fn task(dataset: &Dataset, privacy: Privacy, cohort: f64, recipe: Recipe) -> Task {
    Task {
        name: "films".to_owned().try_into().unwrap(),
        population: dataset.users(),
        cohort,
        split: 1,
        dropout: 0.3,
        corrupt: 0.1,
        bits: 32,
        consistency: Consistency::Cohort,
        privacy,
        noise: Default::default(),
        evaluate: None,
        recipe,
    }
}

fn private(dataset: &Dataset) -> Task {
    let recipe = Recipe::IalsPrivate(IalsPrivateRecipe::new(dataset.items, 4, 2));
    let (epsilon, delta) = (8.0, 1e-5);
    task(
        dataset,
        Privacy::Distributed { epsilon, delta },
        1.0,
        recipe,
    )
}

fn trained(dataset: &Dataset) -> Task {
    let plan: ModelPlan =
        toml::from_str(include_str!("../../../models/bpr-mf/model.toml")).unwrap();
    let recipe = Recipe::Trained(TrainedRecipe::new(dataset.items, 4, plan));
    task(dataset, Privacy::Off, 0.2, recipe)
}

fn run(
    task: &Task,
    dataset: &Dataset,
    options: &Options,
    company: &dyn Company,
) -> Result<Run, SimulateError> {
    let simulation = Simulation::new(task, dataset, &Direct, options.clone())?;
    let mut simulation = simulation.with_company(company)?;
    while simulation.goes_on() {
        simulation.sum(&mut |_| {})?;
    }
    let mut run = simulation.end()?;
    run.figures.wall_seconds = 0.0;
    run.rounds.iter_mut().for_each(|row| row.seconds = 0.0);
    Ok(run)
}

#[test]
fn a_company_has_the_bits_of_one_process() {
    let dataset = small();
    let options = Options {
        seed: 3,
        dropout: 0.2,
        measured: 17,
        ..Options::USUAL
    };
    let mut split = private(&dataset);
    split.split = 2;
    let mut measured = private(&dataset);
    measured.evaluate = Some(Evaluate {
        every: 1,
        share: None,
    });
    let ials = Recipe::Ials(IalsRecipe::new(dataset.items, 4, 3));
    let ials = task(&dataset, Privacy::Off, 0.5, ials);
    let malice = Some(Malice {
        share: 0.2,
        attack: Attack::Promotion,
        strength: 3,
        item: Some(7),
    });
    for (task, options) in [
        (ials, options.clone()),
        (split, options.clone()),
        (measured, options.clone()),
        (
            private(&dataset),
            Options {
                noise_at_once: true,
                ..options.clone()
            },
        ),
        (
            private(&dataset),
            Options {
                central_noise: true,
                ..options.clone()
            },
        ),
        (
            trained(&dataset),
            Options {
                stragglers: 0.1,
                sampling: Sampling::Poisson,
                malice,
                ..options.clone()
            },
        ),
    ] {
        let alone = run(&task, &dataset, &options, &Alone).unwrap();
        // More processes than clients of a round, too.
        for size in [2, 3, 13] {
            for one in company(size, |seat| run(&task, &dataset, &options, seat)) {
                assert!(one.unwrap() == alone, "{size} processes, {options:?}");
            }
        }
    }
}

#[test]
fn what_fails_on_one_ends_all_with_one_sentence() {
    let (dataset, options) = (small(), Options::USUAL);
    let task = trained(&dataset);
    // The middle one fails after its first sum, as one does whose disk is full; the others are in the next round by then.
    let all = company(3, |seat| {
        if seat.rank() != 1 {
            return run(&task, &dataset, &options, seat).unwrap_err();
        }
        let simulation = Simulation::new(&task, &dataset, &Direct, options.clone()).unwrap();
        let mut simulation = simulation.with_company(seat).unwrap();
        simulation.sum(&mut |_| {}).unwrap();
        let code = 4;
        let sentence = "the disk is full".to_owned();
        let told = seat.part(Err(Farewell { code, sentence }));
        told.unwrap_err().into()
    });
    for error in all {
        let SimulateError::Company(farewell) = error else {
            panic!("{error}")
        };
        assert_eq!(farewell.code, 4);
        assert_eq!(farewell.sentence, "process 1 on seat 1: the disk is full");
    }
}

#[test]
fn a_process_with_another_model_is_found_out() {
    let dataset = small();
    let task = trained(&dataset);
    let seeds = RwLock::new([1, 1, 2]);
    let all = company(3, |seat| {
        let seed = seeds.read().unwrap()[seat.rank()];
        let options = Options {
            seed,
            ..Options::USUAL
        };
        run(&task, &dataset, &options, seat)
            .unwrap_err()
            .to_string()
    });
    for sentence in all {
        assert!(
            sentence.starts_with("process 2 on seat 2: it came to another model than process 0"),
            "{sentence}"
        );
    }
}

#[test]
fn processes_end_together_or_say_who_did_not() {
    let failed = |words: &str| Err(Farewell::failed(words));
    let ends = company(3, |seat| seat.part(Ok(())));
    assert!(ends.iter().all(Result::is_ok));
    let both = company(3, |seat| match seat.rank() {
        0 => seat.part(Ok(())),
        rank => seat.part(failed(&format!("{rank} failed"))),
    });
    for end in both {
        let sentence = end.unwrap_err().sentence;
        assert_eq!(sentence, "process 1 on seat 1: 1 failed");
    }
    let early = company(2, |seat| match seat.rank() {
        0 => seat.any(true).map(|_| ()),
        _ => seat.part(Ok(())),
    });
    for end in early {
        let sentence = end.unwrap_err().sentence;
        assert!(sentence.contains("process 1 on seat 1: it was done before the others"));
    }
    let other = company(2, |seat| {
        let digest = Digest::of(&[seat.rank() as u8]);
        seat.agree(digest, || Farewell::failed("another"))
    });
    for end in other {
        assert_eq!(end.unwrap_err().sentence, "process 1 on seat 1: another");
    }
}

#[test]
fn what_one_knows_all_know() {
    assert_eq!(
        company(3, |seat| seat.any(seat.rank() == 2).unwrap()),
        [true; 3]
    );
    assert_eq!(company(3, |seat| seat.any(false).unwrap()), [false; 3]);
    for text in [
        "",
        "a",
        "exactly8",
        "nine byte",
        "äöü, and more than two words",
    ] {
        let told = company(3, |seat| {
            let own = if seat.rank() == 0 { text } else { "not this" };
            seat.of_first(own.as_bytes().to_vec()).unwrap()
        });
        assert!(told.iter().all(|told| told == text.as_bytes()), "{text}");
    }
}

#[test]
fn what_processes_cannot_share_is_refused() {
    let dataset = small();
    let task = trained(&dataset);
    let masks = Options {
        masks: true,
        ..Options::USUAL
    };
    let buffer = Options {
        buffer: Some(Buffer {
            updates: 2,
            staleness: 3,
        }),
        ..Options::USUAL
    };
    for (options, key) in [(masks, "masks: "), (buffer, "buffer: ")] {
        for refusal in company(2, |seat| run(&task, &dataset, &options, seat).unwrap_err()) {
            let sentence = refusal.to_string();
            assert!(sentence.starts_with(key), "{sentence}");
            assert!(sentence.contains("one process"), "{sentence}");
        }
        assert!(run(&task, &dataset, &options, &Alone).is_ok(), "{key}");
    }
}

/// Whoever drives a simulation may do so from a thread of its own, as the package for Python does.
#[test]
fn a_simulation_can_go_to_another_thread() {
    let dataset = small();
    let (task, options) = (trained(&dataset), Options::USUAL);
    let mut simulation = Simulation::new(&task, &dataset, &Direct, options).unwrap();
    let is_done = thread::scope(|scope| {
        let driven = scope.spawn(|| simulation.sum(&mut |_| {}).is_ok());
        driven.join().unwrap()
    });
    assert!(is_done);
}
