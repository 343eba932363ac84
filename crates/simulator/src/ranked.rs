//! What sums of ranks say beside the same figures computed in the open, for the same people and items.

use chorus_data::{Dataset, Synthesis, synthesise};
use chorus_model::{
    Case, Direct, Engine, Evaluate, IalsPrivateRecipe, IalsRecipe, Quality, Recipe,
};
use chorus_protocol::{Consistency, Privacy, RoundId, Task, noise_share};

use crate::draw::{Stream, stream};
use crate::{Figures, Live, Options, Run, simulate};

const OPTIONS: Options = Options {
    seed: 5,
    ..Options::USUAL
};

fn people(users: usize) -> Dataset {
    synthesise(&Synthesis {
        users,
        items: 600,
        seed: 6,
        ..Synthesis::default()
    })
}

/// Everyone takes part in each sum.
fn task(dataset: &Dataset, privacy: Privacy, recipe: Recipe) -> Task {
    Task {
        name: "films".to_owned().try_into().unwrap(),
        population: dataset.users(),
        cohort: 1.0,
        split: 1,
        dropout: 0.1,
        corrupt: 0.1,
        bits: 32,
        consistency: Consistency::Cohort,
        privacy,
        noise: Default::default(),
        evaluate: Some(Evaluate {
            every: 100,
            share: None,
        }),
        recipe,
    }
}

/// The figures of the last model for everyone's newest item, with the draws that each client made.
fn in_the_open(run: &Run, dataset: &Dataset, task: &Task) -> Quality {
    let trainer = Direct.open(&run.parameters).unwrap();
    let rounds = run.rounds.len();
    let digest = chorus_protocol::Digest::ZERO;
    let plan = task
        .plan(
            rounds - 1,
            dataset.users(),
            RoundId(rounds as u64),
            1,
            digest,
        )
        .unwrap();
    let mut quality = Quality::default();
    for user in 0..dataset.users() {
        let (earlier, newest) = dataset.training_set(user).newest_apart();
        let mut rng = stream(OPTIONS.seed, rounds as u64, Stream::Client(user));
        noise_share(&plan, &mut rng).unwrap();
        let case = Case::draw(earlier, newest.unwrap(), dataset.items, &mut rng);
        let scores = trainer.scores(&case.history).unwrap();
        quality.add(&scores, &case).unwrap();
    }
    quality
}

#[test]
fn without_noise_they_are_the_same() {
    let dataset = people(700);
    let recipe = Recipe::Ials(IalsRecipe::new(dataset.items, 8, 6));
    let task = task(&dataset, Privacy::Off, recipe);
    let run = simulate(&task, &dataset, &Direct, OPTIONS, &mut |_| {}).unwrap();
    let (open, live) = (in_the_open(&run, &dataset, &task), &run.figures.live);
    assert_eq!((live.len(), live[0].round.as_str()), (1, "ranks-1"));
    let shown = live[0].measured.as_ref().unwrap();
    let near = |shown: f64, open: f64| assert!((shown - open).abs() < 1e-12, "{shown} {open}");
    near(shown.sampled.hr_at_10.mean, open.hr_at_10);
    near(shown.full.hr_at_10.mean, open.full_hr_at_10);
    near(shown.full.recall_at_20.mean, open.full_recall_at_20);
    // Of a joined cell only its best and its worst rank are known.
    for (shown, open) in [
        (shown.sampled.ndcg_at_10, open.ndcg_at_10),
        (shown.full.ndcg_at_10, open.full_ndcg_at_10),
    ] {
        assert!(shown.low < open && open < shown.high, "{shown:?} {open}");
    }
    let page = run.report().to_html();
    assert!(page.contains("What clients said of the model") && page.contains("ranks-1"));
    // It learned something, of items that it had not seen.
    assert!(open.hr_at_10 > shown.popularity_sampled.hr_at_10.mean + 0.05);
}

#[test]
fn with_noise_they_lie_in_their_interval() {
    let dataset = people(700);
    let recipe = Recipe::IalsPrivate(IalsPrivateRecipe::new(dataset.items, 8, 2));
    let (epsilon, delta) = (4.0, 1e-5);
    let task = task(&dataset, Privacy::Distributed { epsilon, delta }, recipe);
    let run = simulate(&task, &dataset, &Direct, OPTIONS, &mut |_| {}).unwrap();
    assert!(run.figures.epsilon.unwrap() <= epsilon * (1.0 + 1e-9));
    let open = in_the_open(&run, &dataset, &task);
    let shown = run.figures.live[0].measured.as_ref().unwrap();
    for (shown, open) in [
        (shown.sampled.hr_at_10, open.hr_at_10),
        (shown.sampled.ndcg_at_10, open.ndcg_at_10),
        (shown.full.hr_at_10, open.full_hr_at_10),
        (shown.full.ndcg_at_10, open.full_ndcg_at_10),
        (shown.full.recall_at_20, open.full_recall_at_20),
    ] {
        assert!(shown.low < open && open < shown.high, "{shown:?} {open}");
        // Noise there is, and an interval that says something.
        assert!(shown.mean != open && shown.tells(), "{shown:?} {open}");
    }
}

/// With much noise over few people nothing is left to show; the sum is there all the same, so that it can be said.
#[test]
fn a_sum_that_shows_nothing_is_there_too() {
    let dataset = people(55);
    let recipe = Recipe::IalsPrivate(IalsPrivateRecipe::new(dataset.items, 8, 2));
    let (epsilon, delta) = (0.5, 1e-5);
    let task = task(&dataset, Privacy::Distributed { epsilon, delta }, recipe);
    let run = simulate(&task, &dataset, &Direct, OPTIONS, &mut |_| {}).unwrap();
    let served = run.figures.served().unwrap();
    assert_eq!(
        (served.round.as_str(), &served.measured),
        ("ranks-1", &None)
    );
    assert!(run.report().to_html().contains("ranks-1"));
}

#[test]
fn the_model_that_is_served_is_the_one_that_took_its_place() {
    let live = |round: &str, back_to: Option<&str>| Live {
        round: round.to_owned(),
        measured: None,
        back_to: back_to.map(str::to_owned),
    };
    let (first, second) = (live("ranks-1", None), live("ranks-2", None));
    let mut figures = Figures {
        live: vec![first.clone(), second, live("ranks-3", Some("ranks-1"))],
        ..Figures::default()
    };
    assert_eq!(figures.served(), Some(&first));
    figures.live.push(live("ranks-4", None));
    assert_eq!(figures.served(), figures.live.last());
    assert_eq!(Figures::default().served(), None);
}
