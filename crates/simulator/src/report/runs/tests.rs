use chorus_data::{Dataset, Synthesis, Trait, synthesise};
use chorus_model::{IalsPrivateRecipe, IalsRecipe, Recipe};
use chorus_protocol::{Consistency, Digest, NoiseMaking, Task};
use serde_json::Value;

use super::*;
use crate::report::tests::{invented, show, stands_alone};
use crate::{Data, Noise, Options, Source, evaluation};

fn dataset() -> Dataset {
    synthesise(&Synthesis {
        users: 240,
        items: 60,
        ..Synthesis::default()
    })
}

/// A finished run that was never run: its figures are those of `invented`, its quality `better` than there.
fn run(dataset: &Dataset, keys: &[(&str, &str)], rounds: usize, better: f64) -> ShownRun {
    let given = |key: &str| {
        keys.iter()
            .find(|(other, _)| *other == key)
            .map(|(_, value)| *value)
    };
    let epsilon: Option<f64> = given("epsilon").map(|text| text.parse().unwrap());
    let privacy = epsilon.map_or(Privacy::Off, |epsilon| Privacy::Distributed {
        epsilon,
        delta: 1e-5,
    });
    let noise = match epsilon {
        Some(_) => Noise::Distributed,
        None => Noise::Off,
    };
    let mut invented = invented(rounds, noise);
    for row in &mut invented.rounds {
        if let Some(quality) = &mut row.quality {
            quality.hr_at_10 += better;
        }
    }
    let recipe = match epsilon {
        Some(_) => Recipe::IalsPrivate(IalsPrivateRecipe::new(dataset.items, 4, 2)),
        None => Recipe::Ials(IalsRecipe::new(dataset.items, 4, rounds)),
    };
    let name: Vec<String> = keys
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    ShownRun {
        name: name.join(","),
        folder: format!("runs/{}", name.join(",")),
        record: Record {
            version: "0".into(),
            engine: "plain Rust".into(),
            began: 1,
            keys: keys
                .iter()
                .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
                .collect(),
            data: Data::of(dataset),
            task: Task {
                name: "films".to_owned().try_into().unwrap(),
                population: dataset.users(),
                cohort: 1.0,
                split: 1,
                dropout: 0.1,
                corrupt: 0.1,
                bits: 32,
                consistency: Consistency::Cohort,
                privacy,
                noise: NoiseMaking::default(),
                evaluate: None,
                recipe,
            },
            options: Options::default(),
            model: Some(Digest::of(b"model")),
            figures: Some(invented.figures),
            rounds: invented.rounds,
            releases: Vec::new(),
        },
        popularity: invented.popularity,
        central: Some(InOnePlace {
            words: "exact alternating least squares".into(),
            quality: Quality {
                hr_at_10: 0.61,
                ..invented.popularity
            },
        }),
        evaluation: None,
    }
}

/// What is measured of lists that show everyone the same items.
fn evaluated(dataset: &Dataset) -> Evaluation {
    let row = (0..dataset.items).map(|item| item as f32);
    let row: Vec<u8> = row.flat_map(f32::to_le_bytes).collect();
    let matrix = row.repeat(dataset.users());
    let halves = (0..dataset.users())
        .map(|user| Some(user % 2 == 0))
        .collect();
    let traits = [Trait::new("gender: female", halves)];
    evaluation(
        dataset,
        Source::Rows(&mut matrix.as_slice()),
        &traits,
        dataset.categories(),
        1,
    )
    .unwrap()
}

fn page(runs: Vec<ShownRun>) -> String {
    let command = "chorus report runs".to_owned();
    let page = Comparison { runs, command }.to_html();
    stands_alone(&page);
    page
}

/// `rounds` of each value of epsilon with each seed; more budget, better quality.
fn sweep(dataset: &Dataset, epsilons: &[&str], seeds: &[&str]) -> Vec<ShownRun> {
    let mut runs = Vec::new();
    for (number, epsilon) in epsilons.iter().enumerate() {
        for (seed, name) in seeds.iter().enumerate() {
            let better = 0.01 * number as f64 + 0.001 * seed as f64;
            runs.push(run(
                dataset,
                &[("epsilon", epsilon), ("seed", name)],
                5,
                better,
            ));
        }
    }
    runs
}

#[test]
fn one_run_with_noise_has_its_budget_intervals_groups_and_commands() {
    let dataset = dataset();
    let mut one = run(&dataset, &[("epsilon", "8")], 5, 0.0);
    one.evaluation = Some(evaluated(&dataset));
    one.record.rounds[2].note = Some("the guard went back".into());
    one.record.rounds[3].completed = false;
    let page = page(vec![one]);
    show("one-run", &page);
    for part in [
        "in 40.3\u{a0}% of cases, popularity in 31.6\u{a0}%, at ε\u{a0}=\u{a0}7.99 (δ\u{a0}=\u{a0}1e-5), for 224\u{a0}kB an upload</h1>",
        // Wilson's interval of 0.403 over 943 people.
        "0.373 to 0.435",
        "in one place 0.610",
        "popularity 0.316",
        "gradient-2: the guard went back",
        "No: 1 of 5 rounds ended without a sum.",
        "lightest quarter",
        "not gender: female",
        "gap by gender: female",
        "catalogue coverage",
        "popularity lift",
        "left before sending keys",
        "Privacy guarantee.",
        "chorus simulate --repeat runs/epsilon=8</code>",
        "chorus simulate --epsilon=8</code>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for part in [
        "No differential privacy",
        "Quality against",
        "Keys that differ",
        "stopped after",
    ] {
        assert!(!page.contains(part), "{part}");
    }
}

#[test]
fn a_sweep_stands_against_epsilon_and_draws_one_run_of_each_setting() {
    let dataset = dataset();
    let runs = sweep(&dataset, &["1", "2", "4", "8"], &["1", "2", "3"]);
    let drawn = drawn(runs.iter().map(|run| &run.record));
    // The first seed of each, and of epsilon 8 the best of all.
    assert_eq!(drawn, [0, 3, 6, 11]);
    let page = page(runs);
    show("sweep", &page);
    for part in [
        "The best of 12 runs puts the next item",
        "run “epsilon=8,seed=3”",
        "Quality against epsilon",
        "ε (log)",
        "mean of 3: 0.404",
        "Drawn are 4 of 12 runs",
        "Keys that differ between these runs: 2",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("chorus simulate --repeat").count(), 12);
    // Of NDCG@10 all have the same, so none is marked.
    assert_eq!(page.matches("class=\"best\"").count(), 1);
    assert!(!page.contains("No differential privacy"));
}

#[test]
fn a_hundred_runs_stay_readable() {
    let dataset = dataset();
    let epsilons: Vec<String> = (1..=25).map(|epsilon| epsilon.to_string()).collect();
    let epsilons: Vec<&str> = epsilons.iter().map(String::as_str).collect();
    let runs = sweep(&dataset, &epsilons, &["1", "2", "3", "4"]);
    let drawn = drawn(runs.iter().map(|run| &run.record));
    assert_eq!(drawn.len(), choice::MOST);
    assert_eq!(drawn.last(), Some(&99));
    let page = page(runs);
    show("hundred", &page);
    for part in [
        "The 10 best of 100 runs",
        "All 100 runs, the best first",
        "The other 94 are in the table",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.len() < 400_000, "{}", page.len());
}

#[test]
fn a_run_is_shown_as_far_as_it_came() {
    let dataset = dataset();
    let whole = run(&dataset, &[("rounds", "9")], 9, 0.0);
    let mut cut = run(&dataset, &[("rounds", "40")], 40, 0.1);
    cut.record.rounds.truncate(12);
    (cut.record.model, cut.record.figures) = (None, None);
    let mut begun = run(&dataset, &[("rounds", "7")], 7, 0.2);
    begun.record.rounds.clear();
    (begun.record.model, begun.record.figures) = (None, None);
    let alone = page(vec![cut.clone()]);
    assert!(
        alone.contains(", so far</h1>")
            && alone.contains("chorus simulate --resume runs/rounds=40")
    );
    let all = page(vec![whole, cut, begun.clone()]);
    show("unfinished", &all);
    for part in [
        "stopped after 12 of ",
        "not one of ",
        "and another is not finished either",
        // What is not finished is not the best, however good it was by then.
        "Best by HR@10 is run “rounds=9”.",
        "No differential privacy is claimed of every run here.",
    ] {
        assert!(all.contains(part), "{part}");
    }
    let nothing = page(vec![begun]);
    assert!(nothing.contains("Nothing was measured in this run yet"));
}

#[test]
fn data_sets_are_kept_apart() {
    let (one, mut other) = (dataset(), dataset());
    other.name = "elsewhere".into();
    other.histories.swap(0, 1);
    let good = run(&one, &[("noise", "off"), ("data", "one")], 9, 0.0);
    let mut bad = run(&other, &[("noise", "off"), ("data", "other")], 9, 0.0);
    bad.popularity.hr_at_10 = 0.9;
    let page = page(vec![good, bad]);
    for part in [
        "elsewhere: the next item among the first ten in",
        "by popularity in 90.0\u{a0}%",
        "cannot be compared",
        "<h2>Quality per round · elsewhere</h2>",
        "colspan=\"2\">elsewhere</th>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("Keys that differ"));
}

#[test]
fn words_and_what_was_not_given_have_places_too() {
    let dataset = dataset();
    let attacks = ["random", "scaled", "sign-flip"];
    let mut runs: Vec<ShownRun> = attacks
        .iter()
        .map(|attack| run(&dataset, &[("attack", attack), ("noise", "off")], 9, 0.0))
        .collect();
    if let Some(figures) = &mut runs[1].record.figures {
        figures.promoted = Some(0.25);
    }
    let words = page(runs);
    show("words", &words);
    for part in [
        "Quality against attack",
        ">sign-flip</text>",
        ">promoted</th>",
        "25.0\u{a0}%",
    ] {
        assert!(words.contains(part), "{part}");
    }
    let mut runs = sweep(&dataset, &["1", "8"], &["1"]);
    runs.push(run(&dataset, &[("noise", "off"), ("seed", "1")], 9, 0.1));
    let numbers = page(runs);
    show("no-noise", &numbers);
    for part in [
        ">no noise</text>",
        "No differential privacy is claimed of 1 of these 3 runs",
    ] {
        assert!(numbers.contains(part), "{part}");
    }
}

#[test]
fn every_text_is_escaped() {
    let dataset = dataset();
    let evil = "<img onerror=alert(1)>\"'&";
    let mut one = run(&dataset, &[("epsilon", "8"), ("model", evil)], 5, 0.0);
    one.evaluation = Some(evaluated(&dataset));
    let other = run(&dataset, &[("epsilon", "4"), ("model", "fine")], 5, 0.0);
    (one.name, one.folder) = (evil.to_owned(), evil.to_owned());
    one.record.engine = evil.to_owned();
    one.record.rounds[1].name = evil.to_owned();
    if let Some(found) = &mut one.evaluation {
        found.groups[1].groups[0].name = evil.to_owned();
    }
    let mut runs = vec![one, other];
    for run in &mut runs {
        run.record.data.name = evil.to_owned();
        if let Some(central) = &mut run.central {
            central.words = evil.to_owned();
        }
    }
    let page = page(runs);
    assert!(!page.contains("<img"));
    assert!(page.matches("&lt;img").count() > 20);
}
