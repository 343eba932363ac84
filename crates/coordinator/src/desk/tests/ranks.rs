//! Evaluation by the clients' own ranks, and one enrolled client that sends rubbish.

use std::collections::BTreeMap;

use chorus_model::{ItemId, Step, TrainingSet};

use super::*;
use crate::testing::Vanish;
use crate::{export_model, read_task, reports};

const ITEMS: usize = 40;
const PEOPLE: usize = 60;

/// Four circles of taste of ten items each. Everyone has eight of one circle.
fn rig(recipe: &str, privacy: &str, evaluate: &str) -> Rig {
    let text = format!(
        "name = 'films'\npopulation = {PEOPLE}\nprivacy = {privacy}\nevaluate = {evaluate}\nrecipe = {{ items = {ITEMS}, \
         {recipe} }}\n"
    );
    let mut rig = Rig::of(&read_task(&text).unwrap());
    for (number, member) in rig.members.iter_mut().enumerate() {
        let stride = [1, 3, 7, 9][number / 4 % 4];
        let item = |step: usize| 4 * ((number / 4 + stride * step) % 10) + number % 4;
        let items = (0..8).map(|step| ItemId(item(step) as u32));
        member.set = TrainingSet::of(items, ITEMS);
    }
    rig
}

fn without_noise(rounds: usize) -> Rig {
    let recipe = format!("algorithm = 'ials', factors = 4, rounds = {rounds}, head = 0");
    rig(&recipe, "{ noise = 'off' }", "{ every = 2 }")
}

fn with_noise() -> Rig {
    let recipe = "algorithm = 'ials-private', factors = 2, sweeps = 3";
    let privacy = "{ noise = 'distributed', epsilon = 8.0, delta = 1e-5 }";
    rig(recipe, privacy, "{ every = 1, share = 0.5 }")
}

/// Has everyone say the same of the model.
fn all(rig: &mut Rig, spoil: Option<fn(Step, &mut [f32])>) {
    let members = rig.members.iter_mut();
    members.for_each(|member| member.spoil = spoil);
}

/// The reports of the rounds so far, by the sum.
fn told(rig: &Rig) -> BTreeMap<String, RoundReport> {
    let reports = reports(&rig.common.store, &name()).unwrap();
    let named = reports
        .into_iter()
        .map(|report| (report.release.clone(), report));
    named.collect()
}

/// The file of the version that this sum was about.
fn of_sum(rig: &Rig, release: &str) -> Vec<u8> {
    let trained = told(rig)[release].trained;
    export_model(&rig.common.store, &name(), Some(trained))
        .unwrap()
        .bytes
}

/// Rubbish in every word of a gradient.
fn noise(step: Step, values: &mut [f32]) {
    if step == Step::Gradient {
        let mut word = 1_u32;
        for value in values {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = word.cast_signed() as f32 / 1e6;
        }
    }
}

/// As if every newest item had the best rank.
fn best(step: Step, values: &mut [f32]) {
    if step == Step::Ranks {
        let lists = [0, 13, 30, 43];
        values.fill(0.0);
        lists.iter().for_each(|first| values[*first] = 0.5);
    }
}

/// As if every newest item had the worst.
fn worst(step: Step, values: &mut [f32]) {
    if step == Step::Ranks {
        let lists = [12, 29, 42, 59];
        values.fill(0.0);
        lists.iter().for_each(|last| values[*last] = 0.5);
    }
}

#[test]
fn clients_rank_the_model_and_a_worse_one_gives_way_to_the_best() {
    let mut rig = without_noise(5);
    while !told(&rig).contains_key("gradient-2") {
        rig.sum_unmasked();
    }
    rig.round();
    let report = told(&rig)["ranks-1"].clone();
    assert_eq!((&report.aborted, &report.note), (&None, &None));
    assert_eq!(report.upload_bytes, 4 * (60 + 8));
    let measured = report.measured.unwrap();
    assert_eq!(measured.clients, PEOPLE);
    for list in [&measured.sampled, &measured.full, &measured.popularity_full] {
        assert!(list.groups.iter().all(|group| group.people >= 50.0));
    }
    // Ranks train nothing.
    let good = of_sum(&rig, "ranks-1");
    let newest = export_model(&rig.common.store, &name(), None).unwrap();
    assert_eq!(newest.bytes, good);
    (0..2).for_each(|_| rig.sum_unmasked());
    // The memory of the good model is on disk.
    rig.desk = None;
    rig.open();
    all(&mut rig, Some(worst));
    rig.round();
    all(&mut rig, None);
    let report = told(&rig)["ranks-2"].clone();
    assert_ne!(of_sum(&rig, "ranks-2"), good);
    let note = report.note.unwrap();
    assert!(note.contains("`ranks-1`, whose model is published again"));
    let served = export_model(&rig.common.store, &name(), None).unwrap();
    assert_eq!(served.bytes, good);
    assert_eq!(rig.origins().last(), Some(&Origin::Rollback));
    let followed = |rig: &Rig| rig.members.iter().map(|member| member.log.length).min();
    let before = followed(&rig);
    // Learning goes on from there, and ends well; every client follows the log through it.
    rig.round();
    assert!(followed(&rig) > before);
    rig.round();
    assert!(rig.desk().over);
    let told = told(&rig);
    let ranks = |sum: &&String| sum.starts_with("ranks");
    assert_eq!((told.len(), told.keys().filter(ranks).count()), (9, 3));
    assert!(
        told.iter()
            .all(|(sum, report)| report.measured.is_some() == ranks(&sum))
    );
    let origin = rig.origins().last().copied();
    assert_eq!(
        (&told["ranks-3"].note, origin),
        (&None, Some(Origin::Round))
    );
    assert_ne!(of_sum(&rig, "ranks-3"), good);
    assert!(rig.members.iter().all(|member| member.refusals.is_empty()));
    let reason = "all its sums are taken".to_owned();
    assert_eq!(rig.state(), (TaskState::Finished, reason));
}

#[test]
fn a_sum_that_no_clients_could_have_makes_no_step() {
    let mut rig = without_noise(2);
    rig.sum_unmasked();
    rig.members[7].spoil = Some(noise);
    rig.sum_unmasked();
    rig.members[7].spoil = None;
    let report = told(&rig)["gradient-1"].clone();
    assert!(report.note.unwrap().contains("it was not used"));
    let newest = export_model(&rig.common.store, &name(), None).unwrap();
    assert_eq!(newest.bytes, of_sum(&rig, "gradient-1"));
    rig.sum_unmasked();
    assert_eq!(told(&rig)["gradient-2"].note, None);
}

/// Other clients may keep to the protocol: one that does not must not be able to end the task.
#[test]
fn a_first_sum_that_no_clients_could_have_is_taken_again() {
    let mut rig = without_noise(2);
    rig.members[7].spoil = Some(|step, values| {
        if step == Step::History {
            values[0] = 200.0;
        }
    });
    rig.round();
    let aborted = rig.report().unwrap().aborted.unwrap();
    assert!(aborted.contains("no clients that keep"), "{aborted}");
    rig.members[7].spoil = None;
    rig.round();
    let report = rig.report().unwrap();
    assert_eq!((report.release.as_str(), report.aborted), ("history", None));
    assert!(!rig.desk().over);
}

#[test]
fn with_noise_ranks_are_charged_and_a_worse_model_ends_the_task_with_the_good_one() {
    let mut rig = with_noise();
    all(&mut rig, Some(best));
    (0..3).for_each(|_| rig.sum_unmasked());
    rig.round();
    (0..2).for_each(|_| rig.sum_unmasked());
    let good = of_sum(&rig, "ranks-1");
    let spent = |sum: &str| told(&rig)[sum].spent.unwrap().mu;
    assert!(spent("ranks-1") > spent("projection-1"));
    all(&mut rig, Some(worst));
    rig.round();
    assert!(rig.desk().over, "{:?}", told(&rig)["ranks-2"]);
    let (state, reason) = rig.state();
    assert_eq!(state, TaskState::Finished);
    assert!(reason.contains("cannot go on from it"), "{reason}");
    let served = export_model(&rig.common.store, &name(), None).unwrap();
    assert_eq!(served.bytes, good);
    assert_eq!(rig.origins().last(), Some(&Origin::Rollback));
}

/// With noise a sum is taken once. One of ranks is done without: it costs what it was charged, and nothing else.
#[test]
fn an_evaluation_that_fails_costs_its_own_share_and_no_more() {
    let mut rig = with_noise();
    (0..3).for_each(|_| rig.sum_unmasked());
    let before = rig.desk().spent().unwrap().unwrap().mu;
    let fail = |rig: &mut Rig| {
        for member in &mut rig.members {
            member.vanish = Vanish::BeforeUploading;
        }
        rig.check_in();
        while rig.step() {}
        rig.pass(5_000);
        for member in &mut rig.members {
            member.left_out();
            member.vanish = Vanish::Never;
        }
        told(rig)["ranks-1"].clone()
    };
    let report = fail(&mut rig);
    assert!(report.aborted.is_some() && report.note.unwrap().contains("the task goes on"));
    assert!(report.spent.unwrap().mu > before, "it is charged");
    assert!(!rig.desk().over);
    // A start in between finds the same: what was spent is never asked for again.
    rig.desk = None;
    rig.open();
    assert!(!rig.desk().over);
    (0..2).for_each(|_| rig.sum_unmasked());
    assert!(told(&rig).contains_key("projection-2"));
    let masked = "SELECT count(*) FROM rounds WHERE release = 'ranks-1' AND masked = 1";
    let store = &rig.common.store;
    let masked: i64 = store
        .read(|c| Ok(c.query_row(masked, [], |row| row.get(0))?))
        .unwrap();
    assert_eq!(masked, 1);
    let asked = |member: &Member| {
        let charges = member.charges.iter();
        charges.filter(|charge| charge.release == "ranks-1").count()
    };
    assert!(rig.members.iter().all(|member| asked(member) == 1));
    assert!(rig.members.iter().all(|member| member.refusals.is_empty()));
    // Any other sum is the end of the task, as before.
    (0..1).for_each(|_| rig.sum_unmasked());
    fail(&mut rig);
    assert_eq!(rig.state().0, TaskState::BudgetExhausted);
    assert!(rig.desk().spent().unwrap().unwrap().epsilon <= 8.0 * (1.0 + 1e-9));
}
