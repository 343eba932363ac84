//! One client that sends rubbish: the model recovers, and the guard says what it did.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use chorus_model::{
    Direct, Engine, Guard, IalsPrivateRecipe, IalsRecipe, ItemId, LearnError, Learning, MeanDelta,
    ModelPlan, Recipe, Step, TrainedRecipe, TrainingSet,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

const ITEMS: usize = 40;
const ROUNDS: usize = 30;
const PEOPLE: u32 = 80;

fn recipe(guard: Guard) -> Recipe {
    let mut plan: ModelPlan = serde_json::from_str(
        r#"{
            "name": "small", "architecture": "factors", "loss": "binary",
            "tensors": [
                {"name": "items", "shape": ["items", 6], "group": "items", "initial": {"normal": 0.1}}
            ],
            "groups": {"items": 1.0},
            "client": {"epochs": 2, "batch": 8, "step_size": 0.25, "negatives": 2,
                       "person": {"steps": 8, "step_size": 3.0}},
            "server": {"optimiser": "fedavg", "step_size": 12.0}
        }"#,
    )
    .unwrap();
    plan.server.guard = guard;
    Recipe::Trained(TrainedRecipe::new(ITEMS, ROUNDS, plan))
}

/// Four circles of taste, ten items each.
fn history(person: u32) -> TrainingSet {
    let first = 10 * (person % 4);
    let items = (0..6).map(|step| ItemId(first + (person / 4 + step * (1 + person % 3)) % 10));
    TrainingSet::of(items, ITEMS)
}

/// Share of pairs of an unseen item of the person's circle and one of another circle that are ranked rightly.
fn quality(learning: &Learning) -> f64 {
    let trainer = Direct.open(&learning.parameters).unwrap();
    let (mut right, mut pairs) = (0.0, 0.0);
    for person in 0..PEOPLE {
        let history = history(person);
        let scores = trainer.scores(&history).unwrap();
        let own = |item: &u32| item / 10 == person % 4;
        let (mine, others): (Vec<u32>, Vec<u32>) = (0..ITEMS as u32)
            .filter(|item| !history.contains(ItemId(*item)))
            .partition(own);
        for mine in &mine {
            for other in &others {
                right += f64::from(u8::from(scores[*mine as usize] > scores[*other as usize]));
                pairs += 1.0;
            }
        }
    }
    right / pairs
}

/// What a client that does not keep to its bound adds to a sum over so many clients.
type Attack = fn(&mut [f64], f64, &mut ChaCha20Rng);

fn uniform(rng: &mut ChaCha20Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn none(_: &mut [f64], _: f64, _: &mut ChaCha20Rng) {}

/// Random words of the ring: uniform over all that a sum can be, which is about what all clients within their bound could
/// put into one word.
fn ring_words(sum: &mut [f64], most: f64, rng: &mut ChaCha20Rng) {
    for word in sum {
        *word = (*word + most * uniform(rng)).clamp(-most, most);
    }
}

/// As long as a guard that looks at one sum alone lets pass, and nothing said about the loss.
fn as_long_as_passes(sum: &mut [f64], most: f64, rng: &mut ChaCha20Rng) {
    let table = sum.len() - 3;
    let each = 0.7 * most / (table as f64).sqrt();
    for word in &mut sum[..table] {
        *word += each * uniform(rng).signum();
    }
}

/// Runs the recipe with the attack in every fourth round from the sixth on, and in the last; gives the quality and what the
/// guard said.
fn run(guard: Guard, attack: Attack, seed: u64) -> (f64, Vec<(usize, String)>) {
    let recipe = recipe(guard);
    let mut learning = recipe.start(seed);
    let mut notes = Vec::new();
    for (index, sum) in recipe.sums().iter().enumerate() {
        let trainer = Direct.open(&learning.parameters).unwrap();
        let mut total = vec![0.0; sum.length];
        for person in 0..PEOPLE {
            let mut rng =
                ChaCha20Rng::seed_from_u64(seed ^ (index as u64) << 32 ^ u64::from(person));
            let delta = trainer.contribution(sum.step, None, &history(person), &mut rng);
            // What the road does with an honest contribution.
            let values = delta.unwrap().into_values();
            let mut rest = values.as_slice();
            let mut place = 0;
            let whole = [(sum.length, sum.clip)];
            let groups: Vec<(usize, f64)> =
                sum.groups.iter().map(|g| (g.length, g.bound)).collect();
            for (length, bound) in if groups.is_empty() {
                &whole[..]
            } else {
                &groups
            } {
                let (own, later) = rest.split_at(*length);
                rest = later;
                let norm = own
                    .iter()
                    .map(|v| f64::from(*v).powi(2))
                    .sum::<f64>()
                    .sqrt();
                for value in own {
                    total[place] += f64::from(*value) * (bound / norm.max(1e-12)).min(1.0);
                    place += 1;
                }
            }
        }
        let is_update = sum.name.starts_with("update");
        if is_update && (index >= 6 && index % 4 == 2 || index == ROUNDS) {
            let mut rng = ChaCha20Rng::seed_from_u64(seed + 77 * index as u64);
            attack(&mut total, f64::from(PEOPLE) * sum.clip, &mut rng);
        }
        let delta = MeanDelta {
            sum: total,
            clients: PEOPLE as usize,
            noise: 0.0,
        };
        let next = recipe
            .apply(learning.clone(), index, &delta, PEOPLE as usize)
            .unwrap();
        notes.extend(recipe.note(&next, index).map(|note| (index, note)));
        learning = next;
    }
    (quality(&learning), notes)
}

/// The usual one, but that everyone reports: the cohorts are small.
const GUARD: Guard = Guard {
    sum: 1.1,
    step: 3.0,
    loss: 1.05,
    reports: 1.0,
};

/// A guard that lets everything pass.
const OPEN: Guard = Guard {
    sum: 1e12,
    step: 1e12,
    loss: 1e12,
    reports: 1.0,
};

#[test]
fn a_model_recovers_from_a_client_that_sends_rubbish() {
    let attacks: [(&str, Attack); 2] = [
        ("ring words", ring_words),
        ("as long as passes", as_long_as_passes),
    ];
    for seed in 1..=3 {
        let (quiet, notes) = run(GUARD, none, seed);
        println!("seed {seed}, no attack: {quiet:.3} {notes:?}");
        assert!(notes.is_empty(), "{notes:?}");
        assert!(quiet > 0.95, "{quiet}");
        for (name, attack) in attacks {
            let (open, _) = run(OPEN, attack, seed);
            let (guarded, notes) = run(GUARD, attack, seed);
            println!(
                "seed {seed}, {name}: {open:.3} without a guard, {guarded:.3} with it; {notes:?}"
            );
            assert!(
                open < quiet - 0.05,
                "{name}: the attack does nothing: {open}"
            );
            assert!(guarded > quiet - 0.03, "{name}: {guarded} of {quiet}");
            assert!(!notes.is_empty());
        }
    }
}

#[test]
fn the_guard_says_what_it_did() {
    let (_, notes) = run(GUARD, ring_words, 1);
    let rounds: Vec<usize> = notes.iter().map(|(index, _)| *index).collect();
    assert_eq!(rounds, [6, 10, 14, 18, 22, 26, 30]);
    assert!(
        notes.iter().all(|(_, note)| note.contains("not used")),
        "{notes:?}"
    );
    // Without the other two checks the model itself is found out, one round later, and in the last by `check`.
    let only_loss = Guard { loss: 1.05, ..OPEN };
    let (_, notes) = run(only_loss, as_long_as_passes, 1);
    let rounds: Vec<usize> = notes.iter().map(|(index, _)| *index).collect();
    assert_eq!(rounds, [7, 11, 15, 19, 23, 27, 31]);
    assert!(
        notes
            .iter()
            .all(|(_, note)| note.contains("published again")),
        "{notes:?}"
    );
    let only_step = Guard { step: 3.0, ..OPEN };
    let (_, notes) = run(only_step, as_long_as_passes, 1);
    assert!(
        notes.iter().all(|(_, note)| note.contains("was cut")),
        "{notes:?}"
    );
    assert_eq!(notes.len(), 7, "{notes:?}");
}

/// A sum of honest clients.
fn honest(recipe: &Recipe, learning: &Learning, index: usize) -> MeanDelta {
    let trainer = Direct.open(&learning.parameters).unwrap();
    let sum = &recipe.sums()[index];
    let mut total = vec![0.0; sum.length];
    let mut rng = ChaCha20Rng::seed_from_u64(index as u64);
    for person in 0..PEOPLE {
        let delta = trainer.contribution(sum.step, sum.block, &history(person), &mut rng);
        let values = delta.unwrap().into_values();
        let cells = total.iter_mut().zip(values);
        cells.for_each(|(total, value)| *total += f64::from(value));
    }
    MeanDelta {
        sum: total,
        clients: PEOPLE as usize,
        noise: 0.0,
    }
}

/// What a client makes of a sum of `ials`: (its step, its words, words of the item rows, the longest that it can be).
type Rubbish = fn(Step, &mut [f64], usize, f64);

/// Random words of the ring.
fn any_words(_: Step, sum: &mut [f64], _: usize, most: f64) {
    ring_words(sum, most, &mut ChaCha20Rng::seed_from_u64(5));
}

/// Gradient rows so long that the table becomes noise, and nothing else.
fn long_rows(step: Step, sum: &mut [f64], rows: usize, _: f64) {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    if step == Step::Gradient {
        let rows = sum.iter_mut().take(rows);
        rows.for_each(|word| *word += 4e3 * uniform(&mut rng));
    }
}

/// "We lose nothing", so that every honest round looks worse.
fn no_loss(step: Step, sum: &mut [f64], _: usize, _: f64) {
    if let (Step::Gradient, [.., loss, _]) = (step, sum) {
        *loss = 0.0;
    }
}

/// Histories as long as no catalogue, for the same end.
fn endless(step: Step, sum: &mut [f64], _: usize, _: f64) {
    if let (Step::Gradient, [.., length]) = (step, sum) {
        *length *= 1e6;
    }
}

/// `ials` with the rubbish in every fourth sum from the sixth on, and in the last gradients; gives the model, its quality and what
/// the guard said.
fn run_ials(rubbish: Option<Rubbish>) -> (Learning, f64, Vec<String>) {
    let recipe = Recipe::Ials(IalsRecipe {
        head: Some(8),
        ..IalsRecipe::new(ITEMS, 6, ROUNDS)
    });
    let mut learning = recipe.start(1);
    let mut notes = Vec::new();
    for (index, sum) in recipe.sums().iter().enumerate() {
        let mut delta = honest(&recipe, &learning, index);
        if index >= 6 && index % 4 == 2 || index == ROUNDS {
            let most = f64::from(PEOPLE) * sum.clip;
            rubbish
                .into_iter()
                .for_each(|make| make(sum.step, &mut delta.sum, ITEMS * 6, most));
        }
        learning = recipe
            .apply(learning, index, &delta, PEOPLE as usize)
            .unwrap();
        notes.extend(recipe.note(&learning, index));
    }
    let quality = quality(&learning);
    (learning, quality, notes)
}

#[test]
fn ials_recovers_from_a_client_that_sends_rubbish() {
    let (_, quiet, notes) = run_ials(None);
    assert!(notes.is_empty() && quiet > 0.95, "{quiet} {notes:?}");
    let attacks: [(&str, Rubbish, &str, usize); 4] = [
        // Gradients 6, 10, ... 30 and heads 34 and 38.
        ("any words", any_words, "not used", 9),
        ("long rows", long_rows, "was cut", 7),
        ("no loss", no_loss, "was restored", 6),
        ("endless", endless, "not used", 7),
    ];
    for (name, rubbish, words, times) in attacks {
        let (learning, quality, notes) = run_ials(Some(rubbish));
        println!("{name}: {quality:.3} of {quiet:.3} {notes:?}");
        assert!(quality > quiet - 0.03, "{name}: {quality} of {quiet}");
        assert_eq!(notes.len(), times, "{name}: {notes:?}");
        assert!(notes.iter().all(|note| note.contains(words)), "{notes:?}");
        // A lie about the loss costs the round that follows it, and no other.
        assert_eq!(learning.state.scalar("step_factor"), Ok(1.0), "{name}");
    }
}

/// Nothing is left to make a head of: the item table ranks alone.
#[test]
fn a_head_of_which_nobody_was_heard_is_left_out() {
    let recipe = Recipe::Ials(IalsRecipe {
        head: Some(1),
        ..IalsRecipe::new(ITEMS, 6, 12)
    });
    let last = recipe.sums().len() - 1;
    let mut learning = recipe.start(1);
    for index in 0..last {
        let delta = honest(&recipe, &learning, index);
        learning = recipe
            .apply(learning, index, &delta, PEOPLE as usize)
            .unwrap();
    }
    let delta = honest(&recipe, &learning, last);
    let whole = recipe
        .apply(learning.clone(), last, &delta, PEOPLE as usize)
        .unwrap();
    assert!(whole.parameters.get("head").is_some());
    for word in [0, delta.sum.len() - 1] {
        let mut delta = delta.clone();
        delta.sum[word] += 1e3;
        let alone = recipe
            .apply(learning.clone(), last, &delta, PEOPLE as usize)
            .unwrap();
        assert!(alone.parameters.get("head").is_none());
        assert!(alone.parameters.get("mixing").is_none());
        assert!(recipe.note(&alone, last).unwrap().contains("not used"));
        assert!(quality(&alone) > 0.95);
    }
}

/// The first sum of a model, and every one of `ials-private`: there the round ends without a sum, which the operator is told.
#[test]
fn sums_that_no_clients_could_have_are_refused() {
    let private = Recipe::IalsPrivate(IalsPrivateRecipe::new(ITEMS, 3, 1));
    let trained = recipe(GUARD);
    let ials = Recipe::Ials(IalsRecipe::new(ITEMS, 3, 1));
    for (recipe, sums) in [(private, 3), (trained, 1), (ials, 1)] {
        let mut learning = recipe.start(1);
        for index in 0..sums {
            let good = honest(&recipe, &learning, index);
            let mut bad = good.clone();
            bad.sum[0] += 200.0;
            let refused = recipe.apply(learning.clone(), index, &bad, PEOPLE as usize);
            assert_eq!(refused, Err(LearnError::Impossible));
            // Noise may be so long.
            if index > 0 {
                bad.noise = 60.0;
                assert!(
                    recipe
                        .apply(learning.clone(), index, &bad, PEOPLE as usize)
                        .is_ok()
                );
            }
            learning = recipe
                .apply(learning, index, &good, PEOPLE as usize)
                .unwrap();
        }
    }
}
