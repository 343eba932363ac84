//! What a score is explained with adds up to it, and taking the named cause away lowers the rank.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use chorus_model::{
    Direct, Engine, IalsPrivateRecipe, IalsRecipe, ItemId, MeanDelta, Parameters, Recipe, Trainer,
    TrainingSet, top,
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const ITEMS: usize = 60;
const PEOPLE: u32 = 90;

/// Three circles of taste that overlap a little.
fn history(person: u32) -> TrainingSet {
    let own = (0..8).map(|step| person % 3 + 3 * ((person * 7 + step * step) % 20));
    let others = (0..2).map(|step| (person * 11 + step * 17) % ITEMS as u32);
    TrainingSet::of(own.chain(others).map(ItemId), ITEMS)
}

fn learn(recipe: &Recipe) -> Parameters {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut learning = recipe.start(1);
    for (index, sum) in recipe.sums().iter().enumerate() {
        let trainer = Direct.open(&learning.parameters).unwrap();
        let mut total = vec![0.0; sum.length];
        for person in 0..PEOPLE {
            let delta = trainer.contribution(sum.step, sum.block, &history(person), &mut rng);
            let cells = total.iter_mut().zip(delta.unwrap().into_values());
            cells.for_each(|(total, value)| *total += f64::from(value));
        }
        let clients = PEOPLE as usize;
        let mean = MeanDelta {
            sum: total,
            clients,
            noise: 0.0,
        };
        learning = recipe.apply(learning, index, &mean, clients).unwrap();
    }
    learning.parameters
}

fn recipes() -> [(&'static str, Recipe); 3] {
    let with = IalsRecipe::new(ITEMS, 8, 9);
    let without = IalsRecipe {
        head: Some(0),
        ..with.clone()
    };
    // So few people are no crowd: with the usual threshold every row would be popularity.
    let private = IalsPrivateRecipe {
        row_threshold: 0.1,
        ..IalsPrivateRecipe::new(ITEMS, 6, 2)
    };
    [
        ("ials", Recipe::Ials(with)),
        ("ials without a head", Recipe::Ials(without)),
        ("ials-private", Recipe::IalsPrivate(private)),
    ]
}

fn score(trainer: &dyn Trainer, history: &TrainingSet, item: ItemId) -> f64 {
    f64::from(trainer.scores(history).unwrap()[item.0 as usize])
}

#[test]
fn causes_add_up_to_the_score() {
    for (name, recipe) in recipes() {
        let parameters = learn(&recipe);
        let trainer = Direct.open(&parameters).unwrap();
        assert_eq!(parameters.get("head").is_some(), name == "ials");
        for person in 0..PEOPLE {
            let history = history(person);
            for item in (0..ITEMS as u32).map(ItemId) {
                let causes = trainer.explain(&history, item).unwrap();
                assert!(
                    causes
                        .iter()
                        .map(|cause| cause.item)
                        .eq(history.items().iter().copied())
                );
                let sum: f64 = causes.iter().map(|cause| f64::from(cause.adds)).sum();
                let score = score(&*trainer, &history, item);
                assert!(
                    (sum - score).abs() < 1e-4,
                    "{name}: {sum} instead of {score}"
                );
            }
        }
    }
}

#[test]
fn without_its_first_cause_an_item_falls() {
    for (name, recipe) in recipes() {
        let trainer = Direct.open(&learn(&recipe)).unwrap();
        let (mut falls, mut fell, mut asked) = (0.0, 0, 0);
        for person in 0..PEOPLE {
            let history = history(person);
            let scores = trainer.scores(&history).unwrap();
            let Some(first) = top(&scores, &history, 1).first().copied() else {
                continue;
            };
            let causes = trainer.explain(&history, first).unwrap();
            let cause = causes
                .iter()
                .max_by(|a, b| a.adds.total_cmp(&b.adds))
                .unwrap();
            let less = history.without(cause.item);
            let scores = trainer.scores(&less).unwrap();
            // Among the same items as before: the cause itself is not a candidate.
            let order = top(&scores, &history, ITEMS);
            let fall = order.iter().position(|item| *item == first).unwrap();
            (falls, asked) = (falls + fall as f64, asked + 1);
            fell += usize::from(fall > 0);
        }
        let mean = falls / f64::from(asked);
        println!(
            "{name}: the first item falls by {mean:.2} places on average, {fell} of {asked} fall"
        );
        assert!(
            mean > 0.5 && fell * 4 > asked as usize,
            "{name}: {mean}, {fell} of {asked}"
        );
    }
}

#[test]
fn what_cannot_be_explained_is_an_error_or_nothing() {
    let (_, recipe) = &recipes()[0];
    let trainer = Direct.open(&learn(recipe)).unwrap();
    assert!(trainer.explain(&history(1), ItemId(ITEMS as u32)).is_err());
    let nobody = TrainingSet::of([], ITEMS);
    assert_eq!(trainer.explain(&nobody, ItemId(1)).unwrap(), []);
}

#[test]
fn a_head_of_another_catalogue_is_refused() {
    let (_, recipe) = &recipes()[0];
    let good = learn(recipe);
    for name in ["head", "head_scale"] {
        let mut bad = good.clone();
        let mut tensor = bad.get(name).unwrap().clone();
        tensor.shape[0] -= 1;
        tensor.values.truncate(tensor.shape.iter().product());
        bad.set(name, tensor);
        let error = Direct.open(&bad).err().unwrap().to_string();
        assert!(error.contains(name), "{error}");
    }
}
