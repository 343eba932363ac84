//! Evaluation by the clients' own ranks, and one enrolled client that sends rubbish.

use std::collections::BTreeMap;

use chorus_model::{ItemId, Step, TrainingSet};

use super::*;
use crate::{export_model, read_task, reports};

const ITEMS: usize = 40;
const PEOPLE: usize = 60;

/// Two circles of taste, the even items and the odd ones. Everyone has eight of one circle's twenty.
fn rig(recipe: &str, privacy: &str, evaluate: &str) -> Rig {
    let text = format!(
        "name = 'films'\npopulation = {PEOPLE}\nprivacy = {privacy}\nevaluate = {evaluate}\nrecipe = {{ items = {ITEMS}, \
         {recipe} }}\n"
    );
    let mut rig = Rig::of(&read_task(&text).unwrap());
    for (number, member) in rig.members.iter_mut().enumerate() {
        let stride = [1, 3, 7, 9][number / 2 % 4];
        let item = |step: usize| 2 * ((number / 2 + stride * step) % 20) + number % 2;
        let items = (0..8).map(|step| ItemId(item(step) as u32));
        member.set = TrainingSet::of(items, ITEMS);
    }
    rig
}

fn without_noise(rounds: usize) -> Rig {
    let recipe = format!("algorithm = 'ials', factors = 4, rounds = {rounds}, head = 0");
    rig(&recipe, "{ noise = 'off' }", "{ every = 2 }")
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

/// Rubbish in the gradient rows, which nothing but what becomes of the model tells from a contribution; the rest is true.
fn rubbish(step: Step, values: &mut [f32]) {
    if step == Step::Gradient {
        let rows = values.iter_mut().take(4 * ITEMS).enumerate();
        rows.for_each(|(place, value)| *value = [400.0, -700.0, 900.0][place * place % 3]);
    }
}

/// Rubbish everywhere.
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
        best(step, values);
        values.reverse();
    }
}

#[test]
fn what_clients_rank_is_in_the_report_of_the_round_and_trains_nothing() {
    let mut rig = without_noise(3);
    while !rig.desk().over {
        rig.round();
    }
    let told = told(&rig);
    let order = [
        "history",
        "gradient-1",
        "gradient-2",
        "ranks-1",
        "gradient-3",
        "ranks-2",
    ];
    assert!(told.len() == order.len() && order.iter().all(|sum| told.contains_key(*sum)));
    for (release, report) in &told {
        assert_eq!((&report.aborted, &report.note), (&None, &None), "{release}");
        assert_eq!(report.measured.is_some(), release.starts_with("ranks"));
    }
    assert_eq!(told["ranks-1"].upload_bytes, 4 * (60 + 8));
    let measured = told["ranks-2"].measured.clone().unwrap();
    assert_eq!(measured.clients, PEOPLE);
    for list in [&measured.sampled, &measured.full, &measured.popularity_full] {
        assert!(list.groups.iter().all(|group| group.people >= 50.0));
    }
    let before = export_model(&rig.common.store, &name(), Some(told["ranks-2"].trained));
    let after = export_model(&rig.common.store, &name(), None).unwrap();
    assert_eq!(before.unwrap().bytes, after.bytes);
    assert!(rig.members.iter().all(|member| member.refusals.is_empty()));
    let reason = "all its sums are taken".to_owned();
    assert_eq!(rig.state(), (TaskState::Finished, reason));
}

#[test]
fn one_client_that_sends_rubbish_does_not_change_what_clients_are_served() {
    let mut rig = without_noise(5);
    while !told(&rig).contains_key("gradient-3") {
        rig.round();
    }
    rig.members[7].spoil = Some(rubbish);
    rig.round();
    rig.members[7].spoil = None;
    let good = of_sum(&rig, "ranks-1");
    // The memory of the good model is on disk.
    rig.desk = None;
    rig.open();
    rig.round();
    let report = told(&rig)["ranks-2"].clone();
    assert_ne!(of_sum(&rig, "ranks-2"), good, "the poison was in the model");
    assert!(report.note.unwrap().contains("published again"));
    let served = export_model(&rig.common.store, &name(), None).unwrap();
    assert_eq!(served.bytes, good);
    assert_eq!(rig.origins().last(), Some(&Origin::Rollback));
    // Learning goes on from there, and ends well; every client follows the log through it.
    while !rig.desk().over {
        rig.round();
    }
    let last = told(&rig)["ranks-3"].clone();
    let origin = rig.origins().last().copied();
    assert_eq!((last.note, origin), (None, Some(Origin::Round)));
    assert_ne!(of_sum(&rig, "ranks-3"), good);
    assert!(rig.members.iter().all(|member| member.refusals.is_empty()));
    assert_eq!(rig.state().0, TaskState::Finished);
}

#[test]
fn a_sum_that_no_clients_could_have_makes_no_step() {
    let mut rig = without_noise(2);
    rig.round();
    rig.members[7].spoil = Some(noise);
    rig.round();
    rig.members[7].spoil = None;
    let report = told(&rig)["gradient-1"].clone();
    assert!(report.note.unwrap().contains("made no step"));
    let newest = export_model(&rig.common.store, &name(), None).unwrap();
    assert_eq!(newest.bytes, of_sum(&rig, "gradient-1"));
    rig.round();
    assert_eq!(told(&rig)["gradient-2"].note, None);
}

#[test]
fn with_noise_ranks_are_charged_and_a_worse_model_ends_the_task_with_the_good_one() {
    let recipe = "algorithm = 'ials-private', factors = 2, sweeps = 3";
    let privacy = "{ noise = 'distributed', epsilon = 8.0, delta = 1e-5 }";
    let mut rig = rig(recipe, privacy, "{ every = 1, share = 0.5 }");
    rig.members
        .iter_mut()
        .for_each(|member| member.spoil = Some(best));
    while !told(&rig).contains_key("projection-2") {
        rig.round();
    }
    let good = of_sum(&rig, "ranks-1");
    let spent = |sum: &str| told(&rig)[sum].spent.unwrap().mu;
    assert!(spent("ranks-1") > spent("projection-1"));
    rig.members
        .iter_mut()
        .for_each(|member| member.spoil = Some(worst));
    rig.round();
    assert!(rig.desk().over, "{:?}", told(&rig)["ranks-2"]);
    let (state, reason) = rig.state();
    assert_eq!(state, TaskState::Finished);
    assert!(reason.contains("cannot go on from it"), "{reason}");
    let served = export_model(&rig.common.store, &name(), None).unwrap();
    assert_eq!(served.bytes, good);
    assert_eq!(rig.origins().last(), Some(&Origin::Rollback));
}
