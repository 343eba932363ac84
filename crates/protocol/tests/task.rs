//! Tasks: what an operator may write, and the plans that come of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chorus_model::Step;
use chorus_privacy::{Law, LocalNoise, Release, spent};
use chorus_protocol::{
    Consistency, Digest, Floor, Privacy, RoundId, RoundPlan, Task, TaskError, TaskName, cost,
};
use common::task;
use proptest::prelude::*;

const NOISED: &str = r#"
name = "films"
population = 400
split = 2
dropout = 0.25
corrupt = 0.15

[privacy]
noise = "distributed"
epsilon = 8.0
delta = 1e-5

[recipe]
algorithm = "ials-private"
items = 300
factors = 8
sweeps = 2
"#;

const QUIET: &str = r#"
name = "films"
population = 943
cohort = 0.1

[privacy]
noise = "off"

[recipe]
algorithm = "ials"
items = 1682
factors = 8
rounds = 3
"#;

fn plan(task: &Task, index: usize, invited: usize) -> Result<RoundPlan, TaskError> {
    task.plan(index, invited, RoundId(1), 1, Digest::ZERO)
}

#[test]
fn tasks_read_back_from_toml_and_json() {
    for text in [NOISED, QUIET] {
        let task: Task = toml::from_str(text).unwrap();
        task.validate().unwrap();
        let written = toml::to_string(&task).unwrap();
        assert_eq!(toml::from_str::<Task>(&written).unwrap(), task);
        let json = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
    }
    let quiet: Task = toml::from_str(QUIET).unwrap();
    assert_eq!((quiet.split, quiet.dropout, quiet.corrupt), (1, 0.2, 0.1));
    assert_eq!(quiet.cohort_size(), 94);
    let noised: Task = toml::from_str(NOISED).unwrap();
    assert_eq!((noised.cohort, noised.cohort_size()), (1.0, 200));
    let privacy = |value: Privacy| serde_json::to_string(&value).unwrap();
    assert_eq!(privacy(Privacy::Off), r#"{"noise":"off"}"#);
    let distributed = Privacy::Distributed {
        epsilon: 2.5,
        delta: 1e-6,
    };
    assert_eq!(
        privacy(distributed),
        r#"{"noise":"distributed","epsilon":2.5,"delta":1e-6}"#
    );
}

#[test]
fn unknown_missing_and_contradicting_keys_are_refused() {
    let add = |text: &str, after: &str, line: &str| {
        assert!(text.contains(after), "{after}");
        text.replacen(after, &format!("{after}\n{line}"), 1)
    };
    let cases = [
        add(QUIET, "population = 943", "mystery = 1"),
        add(QUIET, "noise = \"off\"", "mystery = 1"),
        // Somebody who writes an epsilon means it.
        add(QUIET, "noise = \"off\"", "epsilon = 8.0"),
        add(QUIET, "noise = \"off\"", "delta = 1e-5"),
        add(QUIET, "rounds = 3", "mystery = 1"),
        add(QUIET, "rounds = 3", "sweeps = 1"),
        add(NOISED, "delta = 1e-5", "mystery = 1"),
        NOISED.replace("epsilon = 8.0", ""),
        NOISED.replace("delta = 1e-5", ""),
        QUIET.replace("noise = \"off\"", ""),
        QUIET.replace("[privacy]\nnoise = \"off\"", ""),
        QUIET.replace("noise = \"off\"", "noise = \"none\""),
        QUIET.replace("\"films\"", "\"Films\""),
        QUIET.replace("\"films\"", "\"\""),
        QUIET.replace("943", "-943"),
        QUIET.replace("943", "9.5"),
    ];
    for text in cases {
        assert!(toml::from_str::<Task>(&text).is_err(), "{text}");
    }
    assert!(TaskName::try_from("x".repeat(65)).is_err());
}

fn field(task: &Task) -> &'static str {
    match task.validate() {
        Err(TaskError::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_is_validated() {
    type Change = fn(&mut Task);
    let cases: [(bool, &str, Change); 20] = [
        (true, "population", |task| task.population = 9),
        (false, "population", |task| task.population = 0),
        (false, "cohort", |task| task.cohort = 0.0),
        (false, "cohort", |task| task.cohort = 1.1),
        (false, "cohort", |task| task.cohort = f64::NAN),
        (false, "cohort", |task| task.cohort = 0.04),
        (false, "cohort", |task| task.population = usize::MAX),
        (true, "cohort", |task| task.population = usize::MAX),
        (true, "cohort", |task| task.cohort = 0.5),
        (true, "split", |task| task.split = 21),
        (true, "split", |task| task.split = usize::MAX),
        (true, "split", |task| task.split = 0),
        (false, "split", |task| task.split = 2),
        (false, "dropout", |task| task.dropout = 0.31),
        (false, "dropout", |task| task.dropout = f64::NAN),
        (true, "dropout", |task| task.dropout = -0.1),
        (true, "corrupt", |task| task.corrupt = 0.09),
        (true, "corrupt", |task| task.corrupt = f64::NAN),
        // No graph bears so many: better said now than in every round.
        (true, "corrupt", |task| {
            task.corrupt = 0.45;
            task.population = 50;
        }),
        (false, "recipe.algorithm", |task| {
            task.privacy = Privacy::Distributed {
                epsilon: 8.0,
                delta: 1e-5,
            };
        }),
    ];
    for (noise, expected, change) in cases {
        let mut task = task(200, noise);
        task.validate().unwrap();
        change(&mut task);
        assert_eq!(field(&task), expected);
    }
    let mut quiet = task(200, true);
    quiet.privacy = Privacy::Off;
    assert_eq!(field(&quiet), "recipe.algorithm");
    for (epsilon, delta) in [
        (0.0, 1e-5),
        (f64::NAN, 1e-5),
        (f64::INFINITY, 1e-5),
        (8.0, 0.0),
        (8.0, 1.0),
        (8.0, f64::NAN),
        // More noise than the sampler draws.
        (1e-9, 1e-5),
    ] {
        let mut task = task(200, true);
        task.privacy = Privacy::Distributed { epsilon, delta };
        let error = task.validate().unwrap_err();
        assert!(matches!(error, TaskError::Privacy(_)), "{error}");
    }
}

#[test]
fn there_is_no_plan_for_a_sum_that_is_not_there_or_for_nobody() {
    let task = task(200, true);
    let sums = task.sums().len();
    assert!(plan(&task, sums, 200).is_err());
    assert!(plan(&task, usize::MAX, 200).is_err());
    assert!(plan(&task, 0, 0).is_err());
    assert!(plan(&task, 0, usize::MAX).is_err());
    // Too few for any client's floor, and said by it.
    let floor = Floor::default();
    let nine = plan(&task, 0, 9).unwrap();
    assert!(floor.check(&nine, &[]).is_err());
    assert_eq!(floor.check(&plan(&task, 0, 10).unwrap(), &[]), Ok(()));
}

#[test]
fn a_quiet_plan_cannot_wrap_and_adds_nothing() {
    let task: Task = toml::from_str(QUIET).unwrap();
    for index in 0..task.sums().len() {
        let plan = plan(&task, index, task.cohort_size()).unwrap();
        assert_eq!(plan.noise, LocalNoise::Off);
        assert_eq!(cost(&plan).unwrap(), None);
        assert!(plan.encoding.cannot_wrap(plan.invited, 0.0));
        assert_eq!(plan.survivors.minimum, 76);
        assert_eq!(plan.survivors.honest, 66);
    }
    assert!(
        task.guarantee()
            .unwrap()
            .contains("No differential privacy")
    );
}

#[test]
fn a_split_sum_carries_the_whole_noise_in_each_part() {
    let mut task: Task = toml::from_str(NOISED).unwrap();
    let parts = plan(&task, 0, task.cohort_size()).unwrap();
    task.split = 1;
    let whole = plan(&task, 0, task.cohort_size()).unwrap();
    assert_eq!((parts.invited, whole.invited), (200, 400));
    let multiplier = |plan: &RoundPlan| cost(plan).unwrap().unwrap().noise_multiplier;
    let ratio = multiplier(&parts) / multiplier(&whole);
    assert!((ratio - 1.0).abs() < 1e-3, "{ratio}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whoever is invited: all sums together cost at most epsilon, every client's floor agrees with every plan,
    /// and the guarantee names the numbers.
    #[test]
    fn all_sums_together_cost_at_most_epsilon(
        population in 40usize..3_000,
        lost in 0usize..10,
        epsilon in 0.5f64..12.0,
        dropout in 0.0f64..=0.3,
        corrupt in 0.1f64..0.15,
        sweeps in 1usize..3,
    ) {
        let mut task = task(population, true);
        task.privacy = Privacy::Distributed { epsilon, delta: 1e-5 };
        task.dropout = dropout;
        task.corrupt = corrupt;
        task.recipe = serde_json::from_value(serde_json::json!({
            "algorithm": "ials-private", "items": 24, "factors": 2, "sweeps": sweeps,
        })).unwrap();
        prop_assert!(task.validate().is_ok(), "{:?}", task.validate());
        let invited = population - lost.min(population - 10);
        let floor = Floor { epsilon, ..Floor::default() };
        let mut releases: Vec<Release> = Vec::new();
        let mut charges = Vec::new();
        for index in 0..task.sums().len() {
            let plan = plan(&task, index, invited).unwrap();
            prop_assert_eq!(floor.check(&plan, &charges), Ok(()));
            let survivors = plan.survivors;
            prop_assert!(survivors.honest < survivors.minimum && survivors.minimum <= invited);
            prop_assert!(survivors.minimum as f64 >= (1.0 - dropout) * invited as f64 - 1e-6);
            let everyone = plan.noise.deviation_of_sum(invited);
            prop_assert!(plan.encoding.cannot_wrap(invited, everyone));
            let release = cost(&plan).unwrap().unwrap();
            releases.push(release);
            charges.push(chorus_protocol::Charge {
                task: plan.task,
                release: plan.release,
                round: plan.round,
                cost: Some(release),
                survivors: plan.survivors,
            });
        }
        let spent = spent(&releases, 1e-5).unwrap().epsilon;
        prop_assert!(spent <= epsilon && spent > 0.98 * epsilon, "{spent} of {epsilon}");
        let guarantee = task.guarantee().unwrap();
        let participations = format!("at most {} participations", releases.len());
        prop_assert!(guarantee.contains(&participations), "{guarantee}");
    }
}

/// What is promised depends on who vouches, and on how many there are; who runs the authority is said in any case.
#[test]
fn the_words_of_trust_say_what_the_mode_gives() {
    let mut witnessed = task(200, true);
    witnessed.consistency = Consistency::Witness;
    for (task, expected) in [
        (task(99, true), "more than half of their cohort signed"),
        (
            task(200, true),
            "Without that trust, the task needs a witness",
        ),
        (witnessed, "and the witness does not"),
    ] {
        let [one, two] = [true, false].map(|one_party| task.trust(one_party));
        assert_ne!(one, two);
        assert!(one.contains("enrol clients of its own"), "{one}");
        for words in [one, two] {
            assert!(words.contains(expected), "{words}");
        }
    }
}

/// Local noise: one share is enough for the whole bound, and the plan says so to the client.
#[test]
fn each_report_of_a_local_task_is_private_by_itself() {
    let mut task: Task = toml::from_str(NOISED).unwrap();
    let distributed = task.clone();
    task.privacy = Privacy::Local {
        epsilon: 8.0,
        delta: 1e-5,
    };
    task.validate().unwrap();
    let written = toml::to_string(&task).unwrap();
    assert_eq!(toml::from_str::<Task>(&written).unwrap(), task);
    let invited = task.cohort_size();
    let mut releases = Vec::new();
    for index in 0..task.sums().len() {
        let local = plan(&task, index, invited).unwrap();
        let shared = plan(&distributed, index, invited).unwrap();
        assert!(local.is_local() && !shared.is_local());
        let (
            LocalNoise::DiscreteGaussian { variance },
            LocalNoise::DiscreteGaussian { variance: share },
        ) = (local.noise, shared.noise)
        else {
            panic!("both have noise");
        };
        // Wider by the root of the honest shares, on the same grid.
        let grid = local.encoding.scale() / shared.encoding.scale();
        let wider = variance as f64 / (share as f64 * grid * grid);
        let honest = shared.survivors.honest as f64;
        assert!((wider / honest - 1.0).abs() < 0.02, "{wider} {honest}");
        releases.push(cost(&local).unwrap().unwrap());
        assert_eq!(Floor::default().check(&local, &[]), Ok(()));
    }
    let spent = spent(&releases, 1e-5).unwrap().epsilon;
    assert!(spent <= 8.0 && spent > 7.9, "{spent}");
    let words = task.guarantee().unwrap();
    assert!(
        words.contains("private before it leaves") && words.contains("Price: the noise"),
        "{words}"
    );
}

/// A task that is evaluated: every plan says so, ranks are a sum of it like any other, and what cannot be is refused in words.
#[test]
fn an_evaluated_task_holds_out_in_every_sum_and_stays_within_its_budget() {
    for text in [NOISED, QUIET] {
        let task: Task = toml::from_str(&format!("evaluate = {{ every = 2 }}\n{text}")).unwrap();
        task.validate().unwrap();
        let written = toml::to_string(&task).unwrap();
        assert_eq!(toml::from_str::<Task>(&written).unwrap(), task);
        let plain: Task = toml::from_str(text).unwrap();
        assert!(!plan(&plain, 0, 80).unwrap().hold_out);
        let floor = Floor {
            without_noise: true,
            ..Floor::default()
        };
        let invited = task.cohort_size();
        let mut releases = Vec::new();
        let mut ranks = 0;
        for index in 0..task.sums().len() {
            let plan = plan(&task, index, invited).unwrap();
            assert!(plan.hold_out);
            let json = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<RoundPlan>(&json).unwrap(), plan);
            assert_eq!(floor.check(&plan, &[]), Ok(()));
            if plan.step == Step::Ranks {
                ranks += 1;
                assert_eq!((plan.encoding.length(), plan.encoding.clip()), (60, 1.0));
                // 1/2 lies on the grid, and everyone's together do not wrap.
                assert_eq!((plan.encoding.scale() / 2.0).fract(), 0.0);
                assert!(
                    plan.encoding
                        .cannot_wrap(invited, plan.noise.deviation_of_sum(invited))
                );
            }
            releases.extend(cost(&plan).unwrap());
        }
        assert_eq!(ranks, if text == NOISED { 1 } else { 2 });
        if let Some((epsilon, delta)) = task.privacy.bound() {
            let spent = spent(&releases, delta).unwrap().epsilon;
            assert!(spent <= epsilon && spent > 0.98 * epsilon, "{spent}");
        }
    }
    let refused = |line: &str, text: &str| {
        let task: Task = toml::from_str(&format!("{line}\n{text}")).unwrap();
        task.validate().unwrap_err().to_string()
    };
    let few = QUIET.replace("cohort = 0.1", "cohort = 0.05");
    assert!(refused("evaluate = {}", &few).contains("fewer than 50 clients a round"));
    assert!(
        refused(
            "evaluate = {}\nbits = 16\nconsistency = 'witness'",
            &QUIET.replace("943", "204300")
        )
        .contains("bits")
    );
    let error = refused("evaluate = { share = 0.1 }", QUIET);
    assert!(
        error.starts_with("evaluate.share is of a privacy budget"),
        "{error}"
    );
    let error = refused("evaluate = { share = 0.9 }", NOISED);
    assert!(
        error.starts_with("evaluate.share must be above 0"),
        "{error}"
    );
    let error = refused("evaluate = { every = 0 }", NOISED);
    assert!(error.starts_with("evaluate.every must be"), "{error}");
}

/// What every round of a task costs together, as clients and the ledger reckon it, is within what the task promises.
#[test]
fn every_law_stays_within_epsilon() {
    for law in [Law::DiscreteGaussian, Law::Skellam] {
        for epsilon in [8.0, 20.0] {
            let mut task = task(400, true);
            task.noise.law = law;
            task.privacy = Privacy::Distributed {
                epsilon,
                delta: 1e-5,
            };
            task.validate().unwrap();
            let releases: Vec<Release> = (0..task.sums().len())
                .map(|sum| {
                    let plan = task.plan(sum, 400, RoundId(1), 1, Digest::ZERO).unwrap();
                    cost(&plan).unwrap().unwrap()
                })
                .collect();
            let costs = spent(&releases, 1e-5).unwrap().epsilon;
            assert!(
                costs <= epsilon && costs > 0.9 * epsilon,
                "{law:?}: {costs} of {epsilon}"
            );
        }
    }
    let mut task = task(400, true);
    task.privacy = Privacy::Distributed {
        epsilon: 8.0,
        delta: 0.5,
    };
    assert!(
        task.validate()
            .unwrap_err()
            .to_string()
            .contains("privacy.delta")
    );
}
