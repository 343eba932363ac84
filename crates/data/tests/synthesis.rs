//! The made-up population is seeded, skewed and well-formed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use chorus_data::{Synthesis, synthesise};
use chorus_model::popularity;

#[test]
fn the_same_seed_gives_the_same_population() {
    let first = synthesise(&Synthesis::default());
    assert!(first == synthesise(&Synthesis::default()));
    assert!(
        first
            != synthesise(&Synthesis {
                seed: 2,
                ..Synthesis::default()
            })
    );
}

#[test]
fn histories_and_cases_are_well_formed() {
    let synthesis = Synthesis::default();
    let dataset = synthesise(&synthesis);
    assert_eq!(
        (dataset.users(), dataset.items, dataset.cases.len()),
        (400, 240, 400)
    );
    for (history, held) in dataset.histories.iter().zip(&dataset.cases) {
        let held = held.as_ref().unwrap();
        let distinct: BTreeSet<_> = history
            .iter()
            .chain([&held.positive])
            .chain(&held.negatives)
            .collect();
        assert_eq!(
            distinct.len(),
            history.len() + 1 + 99,
            "nothing is listed twice"
        );
        assert!(
            distinct
                .iter()
                .all(|item| (item.0 as usize) < dataset.items)
        );
    }
    let events = dataset.histories.iter().map(Vec::len).sum::<usize>() as f64;
    let mean = synthesis.mean_history as f64;
    assert!((events / 400.0 - mean).abs() < 0.15 * mean);
}

#[test]
fn titles_are_distinct() {
    let titles = synthesise(&Synthesis {
        items: 1000,
        ..Synthesis::default()
    })
    .titles
    .unwrap();
    assert_eq!(titles[0], "Harbour Lights 1");
    assert_eq!(titles.iter().collect::<BTreeSet<_>>().len(), 1000);
}

#[test]
fn popularity_is_skewed() {
    let dataset = synthesise(&Synthesis::default());
    let histories: Vec<_> = (0..dataset.users())
        .map(|user| dataset.training_set(user))
        .collect();
    let mut counts = popularity(&histories, dataset.items);
    counts.sort_by(|left, right| right.total_cmp(left));
    let share = counts.iter().take(48).sum::<f32>() / counts.iter().sum::<f32>();
    println!("a fifth of the items has {share:.2} of the events");
    assert!((0.35..0.75).contains(&share));
}

#[test]
fn values_out_of_range_are_moved_into_it() {
    let dataset = synthesise(&Synthesis {
        users: 0,
        items: 0,
        tastes: 0,
        seed: 0,
        mean_history: 0,
    });
    assert_eq!((dataset.users(), dataset.items), (1, 20));
    let crowded = synthesise(&Synthesis {
        users: 30,
        items: 20,
        tastes: 900,
        seed: 0,
        mean_history: 900,
    });
    for (history, held) in crowded.histories.iter().zip(&crowded.cases) {
        assert_eq!(
            history.len() + 1 + held.as_ref().unwrap().negatives.len(),
            20
        );
    }
}
