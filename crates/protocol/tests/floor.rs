//! What a client insists on, field by field, at the edge.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chorus_model::{ClipGroup, Step};
use chorus_privacy::{Encoding, LocalNoise, Release, spent};
use chorus_protocol::{Charge, Digest, Floor, Refusal, RoundId, RoundPlan, cost};
use common::task;

fn plan(noise: bool) -> RoundPlan {
    task(100, noise)
        .plan(0, 100, RoundId(7), 1, Digest::ZERO)
        .unwrap()
}

fn weak(floor: &Floor, plan: &RoundPlan) -> Option<&'static str> {
    match floor.check(plan, &[]) {
        Ok(()) => None,
        Err(Refusal::Weak { field, .. }) => Some(field),
        Err(refusal) => panic!("{refusal}"),
    }
}

type Change = fn(&mut RoundPlan);

/// What is just strong enough, and what is just too weak.
#[test]
fn every_field_is_checked_at_its_edge() {
    let good: [Change; 9] = [
        |_| {},
        |plan| plan.release = "a".repeat(64),
        |plan| {
            plan.dropout = 0.0;
            plan.survivors.minimum = plan.invited;
        },
        |plan| plan.delta = 1e-12,
        |plan| plan.survivors.honest -= 1,
        |plan| plan.survivors.minimum = 100,
        |plan| plan.assumptions.secrecy_bits = 41,
        |plan| plan.assumptions.dropout = 0.31,
        |plan| plan.encoding = Encoding::new(1.0, 65536.0, 1_000_000, 32).unwrap(),
    ];
    let bad: [(&str, Change); 17] = [
        ("release", |plan| plan.release = "a".repeat(65)),
        ("release", |plan| plan.release.clear()),
        ("release", |plan| plan.release = "Gram".to_owned()),
        ("invited", |plan| plan.invited = 9),
        ("invited", |plan| plan.invited = (1 << 20) + 1),
        ("encoding.length", |plan| {
            plan.encoding = Encoding::new(1.0, 65536.0, 1_000_001, 32).unwrap();
        }),
        ("dropout", |plan| plan.dropout = 0.300001),
        ("dropout", |plan| plan.dropout = -1e-9),
        ("dropout", |plan| plan.dropout = f64::NAN),
        ("assumptions.corrupt", |plan| {
            plan.assumptions.corrupt = 0.099
        }),
        ("assumptions.corrupt", |plan| {
            plan.assumptions.corrupt = f64::NAN
        }),
        ("assumptions.dropout", |plan| {
            plan.assumptions.dropout = 0.29
        }),
        ("assumptions.secrecy_bits", |plan| {
            plan.assumptions.secrecy_bits = 39
        }),
        ("assumptions", |plan| plan.assumptions.correctness_bits = 0),
        ("survivors.minimum", |plan| plan.survivors.minimum -= 1),
        ("survivors.minimum", |plan| plan.survivors.minimum = 101),
        ("survivors.honest", |plan| plan.survivors.honest += 1),
    ];
    let floor = Floor {
        without_noise: true,
        length: 1_000_000,
        ..Floor::default()
    };
    for noise in [false, true] {
        for (number, change) in good.iter().enumerate() {
            let mut plan = plan(noise);
            change(&mut plan);
            // A longer vector takes more rounding, and so a little more of the budget.
            let floor = Floor {
                epsilon: 10.0,
                ..floor.clone()
            };
            assert_eq!(weak(&floor, &plan), None, "{number}");
        }
        for (field, change) in &bad {
            let mut plan = plan(noise);
            change(&mut plan);
            assert_eq!(weak(&floor, &plan), Some(*field));
        }
        for delta in [0.0, -1.0, 1.1e-5, f64::NAN, f64::INFINITY] {
            let mut plan = plan(noise);
            plan.delta = delta;
            assert_eq!(weak(&floor, &plan), Some("delta"));
        }
    }
    let group = |length, bound| ClipGroup { length, bound };
    let mut grouped = plan(true);
    let (length, clip) = (grouped.encoding.length(), grouped.encoding.clip());
    grouped.groups = vec![group(1, 0.6 * clip), group(length - 1, 0.8 * clip)];
    assert_eq!(weak(&floor, &grouped), None);
    for wrong in [
        vec![group(length - 1, clip)],
        vec![group(length, 1.001 * clip)],
        vec![group(length, f64::NAN)],
        vec![group(usize::MAX, 0.1), group(length + 1, 0.1)],
    ] {
        grouped.groups = wrong;
        assert_eq!(weak(&floor, &grouped), Some("groups"));
    }
    let mut other = plan(true);
    other.protocol += 1;
    assert_eq!(floor.check(&other, &[]), Err(Refusal::Version { found: 3 }));
    let many = Floor {
        cohort: 101,
        ..floor
    };
    assert_eq!(weak(&many, &plan(true)), Some("invited"));
}

#[test]
fn noise_is_a_choice_and_never_too_narrow() {
    let careful = Floor::default();
    assert_eq!(weak(&careful, &plan(false)), Some("noise"));
    assert_eq!(weak(&careful, &plan(true)), None);
    let unbounded_steps = [
        Step::Gradient,
        Step::History,
        Step::Head,
        Step::Update,
        Step::Check,
    ];
    for step in unbounded_steps {
        let mut unbounded = plan(true);
        unbounded.step = step;
        assert_eq!(weak(&careful, &unbounded), Some("step"));
    }
    for variance in [0, 15, (1 << 46) + 1, u64::MAX] {
        let mut narrow = plan(true);
        narrow.noise = LocalNoise::DiscreteGaussian { variance };
        let refusal = careful.check(&narrow, &[]).unwrap_err();
        assert!(matches!(refusal, Refusal::Privacy(_)), "{refusal}");
    }
    let mut nobody = plan(true);
    nobody.survivors.honest = 0;
    assert!(careful.check(&nobody, &[]).is_err());
}

#[test]
fn the_budget_holds_over_all_releases_of_a_task() {
    let floor = Floor::default();
    let task = task(100, true);
    let mut charges: Vec<Charge> = Vec::new();
    // The whole task fits into the budget that it was planned for.
    for index in 0..task.sums().len() {
        let plan = task
            .plan(index, 100, RoundId(index as u64), 1, Digest::ZERO)
            .unwrap();
        assert_eq!(floor.check(&plan, &charges), Ok(()));
        charges.push(Charge {
            task: plan.task.clone(),
            release: plan.release.clone(),
            round: plan.round,
            cost: cost(&plan).unwrap(),
            survivors: plan.survivors,
        });
        // The same release in another round, whatever became of the first.
        let mut again = plan.clone();
        again.round = RoundId(99);
        let refusal = floor.check(&again, &charges).unwrap_err();
        assert!(matches!(refusal, Refusal::Contributed { .. }), "{refusal}");
    }
    // One more of any kind does not.
    let mut more = plan(true);
    more.release = "counts-2".to_owned();
    let refusal = floor.check(&more, &charges).unwrap_err();
    let Refusal::Budget { would, limit, .. } = refusal else {
        panic!("{refusal}");
    };
    assert!(would > 8.0 && limit == 8.0);
    // Another task has its own budget, and other tasks' charges are not in it.
    for charge in &mut charges {
        charge.task = "books".to_owned().try_into().unwrap();
    }
    assert_eq!(floor.check(&more, &charges), Ok(()));
}

/// Charges of other tasks count against what a person gives in all, and against nothing else.
#[test]
fn there_is_a_limit_over_all_tasks_and_one_on_how_often() {
    let plan = plan(true);
    let charge = |task: &str, release: usize| Charge {
        task: task.to_owned().try_into().unwrap(),
        release: format!("before-{release}"),
        round: RoundId(release as u64),
        cost: cost(&plan).unwrap(),
        survivors: plan.survivors,
    };
    let mut others: Vec<Charge> = (0..3).map(|number| charge("books", number)).collect();
    let releases: Vec<Release> = others.iter().filter_map(|charge| charge.cost).collect();
    let four = [&releases[..], &releases[..1]].concat();
    let needed = spent(&four, Floor::default().delta).unwrap().epsilon;
    let floor = |epsilon_in_all: f64| Floor {
        epsilon_in_all,
        ..Floor::default()
    };
    assert_eq!(floor(needed).check(&plan, &others), Ok(()));
    for limit in [needed * (1.0 - 1e-12), 0.0, f64::NAN] {
        let refusal = floor(limit).check(&plan, &others).unwrap_err();
        assert!(matches!(refusal, Refusal::BudgetInAll { .. }), "{refusal}");
    }
    // What was contributed without noise is counted by no epsilon, and is none of these.
    let mine = plan.task.as_str();
    others.extend((3..6).map(|number| charge(mine, number)));
    others.push(Charge {
        cost: None,
        ..charge(mine, 6)
    });
    let often = |contributions: usize| Floor {
        contributions,
        epsilon: 100.0,
        epsilon_in_all: 100.0,
        ..Floor::default()
    };
    assert_eq!(often(4).check(&plan, &others), Ok(()));
    let refusal = often(3).check(&plan, &others).unwrap_err();
    assert!(refusal.to_string().contains("3 times"), "{refusal}");
}

#[test]
fn the_limit_is_the_limit() {
    let plan = plan(true);
    let release = cost(&plan).unwrap().unwrap();
    let epsilon = spent(&[release], plan.delta).unwrap().epsilon;
    let floor = |epsilon: f64| Floor {
        epsilon,
        ..Floor::default()
    };
    assert_eq!(floor(epsilon).check(&plan, &[]), Ok(()));
    for limit in [epsilon * (1.0 - 1e-12), 0.0, -1.0, f64::NAN] {
        let refusal = floor(limit).check(&plan, &[]).unwrap_err();
        assert!(matches!(refusal, Refusal::Budget { .. }), "{refusal}");
    }
    // A ledger that cannot be counted is not taken for an empty one.
    for noise_multiplier in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let charge = Charge {
            task: plan.task.clone(),
            release: "before".to_owned(),
            round: RoundId(1),
            cost: Some(Release {
                noise_multiplier,
                tau_times_length: 0.0,
                skellam: None,
            }),
            survivors: plan.survivors,
        };
        let refusal = floor(8.0).check(&plan, &[charge]).unwrap_err();
        assert!(matches!(refusal, Refusal::Privacy(_)), "{refusal}");
    }
}

#[test]
fn a_floor_reads_back_and_refuses_unknown_keys() {
    let text = serde_json::to_string(&Floor::default()).unwrap();
    assert_eq!(
        serde_json::from_str::<Floor>(&text).unwrap(),
        Floor::default()
    );
    let more = text.replacen('{', r#"{"mystery":1,"#, 1);
    assert!(serde_json::from_str::<Floor>(&more).is_err());
}
