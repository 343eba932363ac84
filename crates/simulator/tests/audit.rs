//! Canary audits and attacks over a population that is made up; over ml-1m too where `CHORUS_DATA` names it.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;

use chorus_data::{Dataset, Synthesis, Trait, synthesise};
use chorus_model::{Direct, IalsPrivateRecipe, Recipe, TrainingSet};
use chorus_protocol::{Consistency, Privacy, Task};
use chorus_simulator::{
    AttackOptions, AuditOptions, OneRound, PrivacyAudit, SimulateError, Verdict, attack,
    attack_one_round, audit_privacy,
};

fn small(users: usize) -> Dataset {
    with_items(users, 120)
}

fn with_items(users: usize, items: usize) -> Dataset {
    synthesise(&Synthesis {
        users,
        items,
        ..Synthesis::default()
    })
}

fn task(population: usize, items: usize, epsilon: f64) -> Task {
    Task {
        name: "films".to_owned().try_into().unwrap(),
        population,
        cohort: 1.0,
        split: 1,
        dropout: 0.2,
        corrupt: 0.1,
        bits: 32,
        consistency: Consistency::Cohort,
        noise: Default::default(),
        privacy: Privacy::Distributed {
            epsilon,
            delta: 1e-5,
        },
        evaluate: None,
        recipe: Recipe::IalsPrivate(IalsPrivateRecipe::new(items, 6, 1)),
    }
}

fn audit(epsilon: f64, forget_noise: bool, seed: u64) -> PrivacyAudit {
    // More coordinates than canaries: they hide behind each other otherwise.
    let dataset = with_items(300, 2_000);
    let options = AuditOptions {
        seed,
        canaries: 400,
        forget_noise,
        run_on: false,
    };
    let task = task(700, dataset.items, epsilon);
    audit_privacy(&task, &dataset, &Direct, options, &mut |_, _| {}).unwrap()
}

#[test]
fn a_sound_task_runs_to_its_end_and_measures_less_than_it_claims() {
    let audit = audit(2.0, false, 2);
    assert_ne!(audit.verdict(), Verdict::Broken);
    assert_eq!(audit.looks.len(), audit.sums);
    assert!(audit.claimed <= 2.0 && audit.claimed > 1.9, "{audit:?}");
    // The matched filter is the best test: what it measures is what continuous noise has, but for chance and for the
    // other canaries, which it does not know.
    assert!(
        audit.strong.estimate_high > 0.7 * audit.expected,
        "{audit:?}"
    );
    assert!(audit.strong.estimate_low < audit.expected, "{audit:?}");
    assert!(audit.strong.minimum < audit.claimed);
    let realistic = audit.realistic.unwrap();
    assert!(realistic.estimate < audit.strong.estimate, "{audit:?}");
    assert_eq!((audit.people, audit.canaries), (300, 400));
    assert!((150..250).contains(&audit.included));
}

#[test]
fn forgotten_noise_stops_the_task_after_its_first_sum() {
    let audit = audit(1.0, true, 2);
    assert_eq!(audit.verdict(), Verdict::Broken);
    assert_eq!(audit.looks.len(), 1);
    assert!(audit.looks[0].stop && audit.realistic.is_none());
    assert!(audit.strong.minimum > audit.claimed);
}

#[test]
fn an_audit_that_cannot_be_is_refused_in_a_sentence() {
    let dataset = small(60);
    let options = AuditOptions {
        seed: 1,
        canaries: 200,
        forget_noise: false,
        run_on: false,
    };
    let run = |task: &Task| audit_privacy(task, &dataset, &Direct, options, &mut |_, _| {});
    let population = run(&task(60, dataset.items, 8.0)).unwrap_err();
    assert!(population.to_string().contains("set `population` to 260"));
    let canaries = run(&task(260, dataset.items, 8.0)).unwrap_err();
    assert!(matches!(
        canaries,
        SimulateError::Canaries {
            wanted: 200,
            most: 182
        }
    ));
}

#[test]
fn no_attack_is_above_its_ceiling_and_without_noise_they_succeed() {
    let dataset = small(240);
    // A trait that can be guessed: the groups of taste take turns.
    let answers = (0..dataset.users())
        .map(|user| Some(user % 5 < 2))
        .collect();
    let traits = [Trait::new("taste", answers)];
    let options = AttackOptions {
        seed: 3,
        people: 30,
    };
    let task = task(240, dataset.items, 4.0);
    let attacks = attack(&task, &dataset, &traits, &Direct, options, &mut |_| {}).unwrap();
    for row in &attacks.rows {
        println!("{row:?}");
    }
    assert_eq!(attacks.above().count(), 0);
    let find = |noise: bool, question: &str, adversary: &str| {
        let mut rows = attacks.rows.iter();
        rows.find(|row| {
            row.noise == noise && row.question == question && row.adversary.contains(adversary)
        })
        .unwrap()
    };
    assert_eq!(find(false, "which items", "own update").auc, 1.0);
    assert!(find(false, "which items", "others known").auc > 0.999);
    assert!(find(false, "took part", "others known").auc > 0.999);
    let noisy = find(true, "which items", "others known");
    assert!(noisy.auc < 0.7, "{noisy:?}");
    // The matched filter is the best attack on presence, so it comes near the ceiling: the ceiling is not idle.
    let presence = find(true, "took part", "others known");
    let ceiling = presence.ceiling.unwrap();
    assert!(presence.auc > 0.5 + 0.5 * (ceiling - 0.5), "{presence:?}");
    assert!(find(false, "taste", "screen").auc > 0.6);
    assert!(attacks.skipped.is_empty());
    let mut leaking = attacks.clone();
    leaking.rows[0].auc = 0.99;
    assert_eq!(leaking.above().count(), 1);
}

fn popularity(dataset: &Dataset) -> Vec<f64> {
    let histories: Vec<TrainingSet> = (0..dataset.users())
        .map(|user| dataset.training_set(user))
        .collect();
    let counts = chorus_model::popularity(&histories, dataset.items);
    counts.into_iter().map(f64::from).collect()
}

/// Every row of the golden table, +-0.02 beside the standard error of its 25 trials and of ours.
#[test]
fn one_round_on_ml_1m_is_as_measured_elsewhere() {
    let Some(folder) = std::env::var_os("CHORUS_DATA") else {
        println!("skipped: CHORUS_DATA is not set, so there is no ml-1m to attack");
        return;
    };
    let dataset = chorus_data::read(&Path::new(&folder).join("ml-1m")).unwrap();
    let popularity = popularity(&dataset);
    let table = include_str!("../../../tests/vectors/dp/interaction_attack_ml1m.csv");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|row| row.split(',').collect())
        .collect();
    for four in rows.chunks_exact(4) {
        let (cohort, z) = (four[0][1].parse().unwrap(), four[0][2].parse().unwrap());
        let round = OneRound {
            cohort,
            noise_multiplier: z,
            people: 50,
            seed: 7,
        };
        let found = attack_one_round(&dataset, &popularity, round).unwrap();
        for (row, found) in four.iter().zip(&found) {
            assert_eq!(row[3], found.adversary);
            let auc: f64 = row[4].parse().unwrap();
            println!(
                "{cohort:>5} {z} {:<24} {auc} here {:.4} ± {:.4}",
                row[3], found.auc, found.error
            );
            // Theirs has half as many trials: 2 standard errors of the difference.
            let chance = 2.0 * found.error * 3f64.sqrt();
            assert!(
                (found.auc - auc).abs() <= 0.02 + chance,
                "{row:?} {found:?}"
            );
            assert!(!found.is_above(), "{found:?}");
            if z == 1.0 && row[3].starts_with("informed") {
                assert!(found.auc <= 0.58 && found.auc <= found.ceiling.unwrap());
            }
        }
    }
}

#[test]
fn one_round_on_a_synthetic_population_has_the_same_order() {
    let dataset = small(300);
    let popularity = popularity(&dataset);
    let attacked = |noise_multiplier: f64| {
        let round = OneRound {
            cohort: 100,
            noise_multiplier,
            people: 40,
            seed: 7,
        };
        attack_one_round(&dataset, &popularity, round)
            .unwrap()
            .map(|row| row.auc)
    };
    let [naive, residual, matched, popular] = attacked(0.0);
    assert!(residual > 0.999 && matched > 0.999);
    assert!((naive - popular).abs() < 0.12, "{naive} {popular}");
    let [_, residual, matched, _] = attacked(1.0);
    assert!(
        (residual - 0.5).abs() < 0.06 && matched < 0.62,
        "{residual} {matched}"
    );
}
