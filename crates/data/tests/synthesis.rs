//! The made-up population is seeded, skewed and well-formed.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use chorus_data::{
    Cut, Dataset, Fit, FitError, Reading, Split, Synthesis, check, describe, fit, invent, read,
    read_as, synthesise, traits,
};
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
        skew: f64::NAN,
        drift: -1.0,
    });
    assert_eq!((dataset.users(), dataset.items), (1, 20));
    let crowded = synthesise(&Synthesis {
        users: 30,
        items: 20,
        tastes: 900,
        seed: 0,
        mean_history: 900,
        skew: 99.0,
        drift: 9.0,
    });
    for (history, held) in crowded.histories.iter().zip(&crowded.cases) {
        assert_eq!(
            history.len() + 1 + held.as_ref().unwrap().negatives.len(),
            20
        );
    }
}

fn good(dir: &Path) -> Dataset {
    read(dir).map_err(|error| error.to_string()).unwrap()
}

/// What is written is what was made up, and the same seed writes the same bytes.
#[test]
fn a_written_population_reads_back_bit_for_bit() {
    let synthesis = Synthesis {
        users: 60,
        drift: 0.5,
        ..Synthesis::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let [one, other, third] = ["one", "other", "third"].map(|name| folder.path().join(name));
    invent(&synthesis).write(&one).unwrap();
    invent(&synthesis).write(&other).unwrap();
    let seed = Synthesis {
        seed: 2,
        ..synthesis
    };
    invent(&seed).write(&third).unwrap();
    for file in ["events.csv", "items.csv", "users.csv"] {
        let text = |dir: &Path| fs::read_to_string(dir.join(file)).unwrap();
        assert_eq!(text(&one), text(&other), "{file}");
        assert!(text(&one) != text(&third) || file == "users.csv", "{file}");
    }
    // Numbers are given anew by the reader; ids say who is who.
    let (made, found) = (synthesise(&synthesis), good(&one));
    assert_eq!((found.users(), found.items), (60, 240));
    let ids = found.item_ids.as_ref().unwrap();
    for user in 0..60 {
        let number = |id: &String| id[1..].parse::<u32>().unwrap() - 1;
        let items: Vec<u32> = found
            .sequence(user)
            .iter()
            .map(|item| number(&ids[item.0 as usize]))
            .collect();
        let expected: Vec<u32> = made.sequence(user).iter().map(|item| item.0).collect();
        assert_eq!(items, expected);
        assert_eq!(
            found.times.as_ref().unwrap()[user],
            made.times.as_ref().unwrap()[user]
        );
    }
    let groups = traits(&one, &found).unwrap();
    let described = describe(&found, &groups);
    assert_eq!(groups.len(), 5);
    assert!(
        described
            .groups
            .iter()
            .all(|group| (group.yes, group.unknown) == (12, 0))
    );
    assert_eq!(
        described.features, 13,
        "five taste groups, and eight bins of ages that no title says"
    );
    assert_eq!(described.events, invent(&synthesis).events());
}

#[test]
fn sessions_are_minutes_long_and_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let population = invent(&Synthesis::default());
    population.write(folder.path()).unwrap();
    let text = fs::read_to_string(folder.path().join("events.csv")).unwrap();
    let mut sessions: BTreeMap<(String, u32), Vec<i64>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let session = (fields[0].to_owned(), fields[3].parse().unwrap());
        sessions
            .entry(session)
            .or_default()
            .push(fields[2].parse().unwrap());
    }
    assert_eq!(sessions.len(), population.sessions());
    let mean = population.events() as f64 / sessions.len() as f64;
    assert!((3.0..6.0).contains(&mean), "{mean} events a session");
    let mut last: Option<(&String, i64)> = None;
    for ((user, _), times) in &sessions {
        assert!(times.is_sorted() && times[times.len() - 1] - times[0] < 4 * 3_600);
        if let Some((before, end)) = last.filter(|(before, _)| *before == user) {
            assert!(
                end < times[0],
                "a session of {before} begins before the last one ends"
            );
        }
        last = Some((user, times[times.len() - 1]));
    }
}

/// With drift, what was popular in the first half is a worse guess for the second.
#[test]
fn drift_moves_popularity() {
    let kept = |drift: f64| {
        let folder = tempfile::tempdir().unwrap();
        let synthesis = Synthesis {
            users: 1_000,
            drift,
            ..Synthesis::default()
        };
        invent(&synthesis).write(folder.path()).unwrap();
        let reading = Reading {
            split: Some(Split::Temporal(Cut::Share(0.3))),
            ..Reading::default()
        };
        let dataset = read_as(folder.path(), &reading)
            .map_err(|e| e.to_string())
            .unwrap();
        assert_eq!(check(&dataset), Ok(()));
        let histories: Vec<_> = (0..dataset.users())
            .map(|user| dataset.training_set(user))
            .collect();
        let counts = popularity(&histories, dataset.items);
        let mut order: Vec<usize> = (0..dataset.items).collect();
        order.sort_by(|one, other| counts[*other].total_cmp(&counts[*one]));
        let top: BTreeSet<usize> = order.into_iter().take(24).collect();
        let held: Vec<_> = dataset
            .cases
            .iter()
            .flatten()
            .flat_map(|held| held.all())
            .collect();
        held.iter()
            .filter(|item| top.contains(&(item.0 as usize)))
            .count() as f64
            / held.len() as f64
    };
    let (still, moving) = (kept(0.0), kept(1.0));
    println!(
        "the first 70 % of time's top tenth has {still:.3} of the rest without drift, {moving:.3} with all of it"
    );
    assert!(moving < 0.8 * still);
}

#[test]
fn more_skew_is_more_unequal() {
    let gini = |skew| {
        let synthesis = Synthesis {
            skew,
            ..Synthesis::default()
        };
        describe(&synthesise(&synthesis), &[]).gini
    };
    let (none, some, much) = (gini(0.0), gini(1.0), gini(2.0));
    println!("Gini {none:.3} without skew, {some:.3} with Zipf's law, {much:.3} with its square");
    assert!(none < 0.15 && some > none + 0.15 && much > some + 0.1);
}

/// A fit to people who never were, either: it finds the groups, keeps skew and lengths, and repeats nobody.
#[test]
fn a_fitted_population_is_like_the_real_one_and_repeats_nobody() {
    let real = synthesise(&Synthesis {
        users: 1_500,
        ..Synthesis::default()
    });
    let how = Fit {
        users: Some(1_000),
        tastes: 5,
        drift: 0.0,
        seed: 3,
    };
    let (population, likeness) = fit(&real, &how).map_err(|error| error.to_string()).unwrap();
    println!("{likeness}");
    assert!(likeness.passes() && likeness.exact_copies == 0);
    assert_eq!((population.users(), population.items()), (1_000, 240));
    let (real, made) = (describe(&real, &[]), describe(&population.dataset(), &[]));
    println!(
        "Gini {:.3} and {:.3}, mean {:.1} and {:.1}",
        real.gini, made.gini, real.items_per_user.mean, made.items_per_user.mean
    );
    assert!((real.gini - made.gini).abs() < 0.06);
    // The fit sees what is learned from, which is one item fewer.
    assert!(
        (real.items_per_user.mean - 1.0 - made.items_per_user.mean).abs()
            < 0.1 * real.items_per_user.mean
    );
}

#[test]
fn a_fit_that_would_repeat_people_is_refused() {
    let few = synthesise(&Synthesis {
        users: 49,
        ..Synthesis::default()
    });
    let how = Fit {
        users: None,
        tastes: 2,
        drift: 0.0,
        seed: 1,
    };
    assert!(matches!(
        fit(&few, &how),
        Err(FitError::TooFew { users: 49 })
    ));
    let some = synthesise(&Synthesis {
        users: 100,
        ..Synthesis::default()
    });
    let many = Fit { tastes: 30, ..how };
    assert!(matches!(
        fit(&some, &many),
        Err(FitError::TooManyTastes {
            tastes: 30,
            users: 80
        })
    ));
    // Everyone has the same four items: whoever is made up after them is one of them.
    let mut same = some.clone();
    let items: Vec<_> = same.histories[0].iter().take(4).copied().collect();
    same.histories
        .iter_mut()
        .for_each(|history| *history = items.clone());
    let error = fit(&same, &how).err().unwrap();
    println!("{error}");
    assert!(matches!(error, FitError::TooAlike(likeness) if likeness.exact_copies > 0));
}

#[test]
fn ml_100k_can_be_fitted() {
    let Some(folder) = std::env::var_os("CHORUS_DATA") else {
        println!("skipped: a fit to ml-100k (CHORUS_DATA is not set)");
        return;
    };
    let real = good(&Path::new(&folder).join("ml-100k"));
    let how = Fit {
        users: None,
        tastes: 8,
        drift: 0.0,
        seed: 1,
    };
    let (population, likeness) = fit(&real, &how).map_err(|error| error.to_string()).unwrap();
    let (real, made) = (describe(&real, &[]), describe(&population.dataset(), &[]));
    println!(
        "ml-100k: {likeness}; Gini {:.3} and {:.3}",
        real.gini, made.gini
    );
    assert!((real.gini - made.gini).abs() < 0.1);
}
