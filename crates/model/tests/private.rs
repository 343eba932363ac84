//! The private recipe as a whole: what it publishes, what it may learn, and what it must leave alone.
#![allow(clippy::unwrap_used)]

use chorus_model::{
    Direct, Engine, Features, IalsPrivateRecipe, ItemFeatures, ItemId, Learning, MeanDelta, Recipe,
    Step, TrainingSet,
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// No recipe of these tests draws from it.
fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

const ITEMS: usize = 60;
const USERS: u32 = 300;

/// Three circles of taste over items that are popular like 1 / (rank + 4) in each.
fn history(user: u32) -> TrainingSet {
    let circle = user % 3;
    let mut state = u64::from(user) + 1;
    let mut draw = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let items = (0..12).map(|_| {
        let rank = draw() % 20 * (draw() % 20) / 20;
        let circle = if draw() % 4 == 0 { draw() % 3 } else { circle };
        ItemId(rank * 3 + circle)
    });
    TrainingSet::of(items, ITEMS)
}

/// Which circle an item belongs to, told by a public feature for two of three items.
fn features() -> ItemFeatures {
    let known = (0..ITEMS as u32).filter(|item| item % 7 < 5);
    let names = ["red", "green", "blue"].map(str::to_owned).to_vec();
    ItemFeatures::new(names, known.map(|item| (item, item % 3, 1.0)).collect()).unwrap()
}

fn recipe(features: Option<ItemFeatures>) -> IalsPrivateRecipe {
    IalsPrivateRecipe {
        features: features.map(Features::Table),
        row_threshold: 1.0,
        ..IalsPrivateRecipe::new(ITEMS, 4, 2)
    }
}

/// Noise of one deviation, the same in every run.
fn normal(state: &mut u64) -> f64 {
    let mut sum = 0.0;
    for _ in 0..12 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        sum += (*state >> 11) as f64 / (1u64 << 53) as f64;
    }
    sum - 6.0
}

/// Learns with noise of deviation `noise` / sqrt(share) on each sum; `each` sees every sum and the state before it.
fn learn(recipe: &Recipe, noise: f64, each: &mut dyn FnMut(usize, &Learning)) -> Learning {
    let mut learning = recipe.start(1);
    let mut state = 7;
    for (index, sum) in recipe.sums().iter().enumerate() {
        each(index, &learning);
        let trainer = Direct.open(&learning.parameters).unwrap();
        let mut total = vec![0.0; sum.length];
        for user in 0..USERS {
            let part = trainer
                .contribution(sum.step, None, &history(user), &mut rng())
                .unwrap()
                .into_values();
            assert_eq!(part.len(), sum.length, "{}", sum.name);
            let norm: f64 = part
                .iter()
                .map(|value| f64::from(*value).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(norm <= sum.clip + 1e-4, "{}: {norm}", sum.name);
            total
                .iter_mut()
                .zip(part)
                .for_each(|(total, part)| *total += f64::from(part));
        }
        let deviation = noise / sum.share.sqrt();
        total
            .iter_mut()
            .for_each(|total| *total += deviation * normal(&mut state));
        let delta = MeanDelta {
            sum: total,
            clients: USERS as usize,
            noise: deviation,
        };
        learning = recipe
            .apply(learning, index, &delta, USERS as usize)
            .unwrap();
    }
    learning
}

/// How often a person of a circle scores an item of it above its counterpart in another circle.
fn agreement(learning: &Learning) -> f64 {
    let trainer = Direct.open(&learning.parameters).unwrap();
    let (mut right, mut asked) = (0, 0);
    for user in 0..60 {
        let scores = trainer.scores(&history(user)).unwrap();
        for rank in 0..12 {
            let of = |circle: u32| scores[(rank * 3 + circle) as usize];
            right += u32::from(of(user % 3) > of((user + 1) % 3));
            asked += 1;
        }
    }
    f64::from(right) / f64::from(asked)
}

#[test]
fn it_learns_taste_with_and_without_features_through_noise() {
    for features in [None, Some(features())] {
        let recipe = Recipe::IalsPrivate(recipe(features));
        recipe.validate().unwrap();
        let (quiet, loud) = (
            learn(&recipe, 0.0, &mut |_, _| {}),
            learn(&recipe, 1.0, &mut |_, _| {}),
        );
        assert!(agreement(&quiet) > 0.9, "{}", agreement(&quiet));
        assert!(agreement(&loud) > 0.75, "{}", agreement(&loud));
        // The control: the same machine on noise alone knows nothing of circles without features.
        let drowned = learn(&recipe, 1e4, &mut |_, _| {});
        assert!(agreement(&drowned) < agreement(&loud));
        assert_eq!(loud, learn(&recipe, 1.0, &mut |_, _| {}));
    }
}

#[test]
fn it_publishes_what_clients_need_and_no_more() {
    for (features, widths) in [(None, [4, 5, 9]), (Some(features()), [3, 7, 11])] {
        let recipe = Recipe::IalsPrivate(recipe(features));
        let last = learn(&recipe, 1.0, &mut |index, learning| {
            let has = |name: &str| learning.parameters.get(name).is_some();
            let projection = index > 0 && index % 2 == 0;
            assert_eq!(
                (has("whitening"), has("known"), has("gains")),
                (projection, projection, projection)
            );
            assert_eq!(has("start"), index < 3);
            let width = learning.parameters.get("items").unwrap().shape[1];
            assert_eq!(width, widths[index.saturating_sub(1) / 2]);
        });
        let names: Vec<&str> = last.parameters.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["alpha0", "counts", "items", "regularisation"]);
        assert_eq!(
            last.parameters.get("items").unwrap().shape,
            [ITEMS, widths[2]]
        );
    }
}

#[test]
fn the_first_model_is_the_features_themselves() {
    let recipe = Recipe::IalsPrivate(recipe(Some(features())));
    let start = recipe.start(1);
    assert_eq!(start, recipe.start(2), "nothing is drawn");
    let table = start.parameters.get("items").unwrap();
    assert_eq!(table.shape, [ITEMS, 3]);
    for (item, row) in table.values.chunks_exact(3).enumerate() {
        let known = item % 7 < 5;
        let expected: Vec<f32> = (0..3)
            .map(|circle| f32::from(u8::from(known && item % 3 == circle)))
            .collect();
        assert_eq!(row, expected);
    }
}

#[test]
fn a_row_leaves_its_prior_only_from_a_count_that_is_large_enough() {
    let rows = |threshold: f64, noise: f64| {
        let recipe = Recipe::IalsPrivate(IalsPrivateRecipe {
            row_threshold: threshold,
            ..recipe(None)
        });
        let learning = learn(&recipe, noise, &mut |_, _| {});
        let learned = learning
            .parameters
            .get("items")
            .unwrap()
            .values
            .chunks_exact(9);
        let released = learning.state.get("released").unwrap().values.clone();
        let noise = learning.state.scalar("released_noise").unwrap();
        let left = learned
            .map(|row| row[..8].iter().any(|value| *value != 0.0))
            .collect::<Vec<_>>();
        let sums = &learning.state.get("projection-2").unwrap().values;
        let sent = sums
            .chunks_exact(4)
            .map(|row| row.iter().any(|value| *value != 0.0))
            .collect::<Vec<_>>();
        (left, sent, released, f64::from(noise))
    };
    // Without features the prior of a row is zero.
    let (everyone, ..) = rows(0.0, 0.0);
    assert!(everyone.iter().all(|left| *left));
    for (threshold, noise) in [(30.0, 0.0), (0.0, 1.0), (60.0, 0.2)] {
        let (left, sent, released, deviation) = rows(threshold, noise);
        let total: f64 = released.iter().map(|count| f64::from(*count)).sum();
        let root = (total / f64::from(USERS)).max(1.0);
        let least = (2.0 * deviation).max(threshold / root);
        let expected: Vec<bool> = released
            .iter()
            .map(|count| f64::from(*count) >= least)
            .collect();
        assert_eq!(left, expected);
        if noise == 0.0 {
            assert_eq!(sent, expected, "clients spend nothing on the other rows");
        }
        let some = left.iter().filter(|left| **left).count();
        assert!(
            (1..ITEMS).contains(&some),
            "{some} rows leave at {threshold}, {noise}"
        );
    }
}

#[test]
fn features_and_counts_alone_make_a_model_to_compare_with() {
    let with = Recipe::IalsPrivate(recipe(Some(features())));
    assert_eq!(with.content_alone(&with.start(1).parameters).unwrap(), None);
    let learning = learn(&with, 1.0, &mut |_, _| {});
    let alone = with.content_alone(&learning.parameters).unwrap().unwrap();
    assert_eq!(alone.get("items").unwrap().shape, [ITEMS, 4]);
    let trainer = Direct.open(&alone).unwrap();
    assert!(trainer.scores(&history(1)).is_ok());
    let without = Recipe::IalsPrivate(recipe(None));
    let learning = learn(&without, 1.0, &mut |_, _| {});
    assert_eq!(without.content_alone(&learning.parameters).unwrap(), None);
}

#[test]
fn what_a_task_file_leaves_out_follows_epsilon() {
    let settled = |epsilon| {
        let recipe = IalsPrivateRecipe::for_epsilon(ITEMS, epsilon);
        (recipe.sweeps, recipe.factors, recipe.counts_share.unwrap())
    };
    assert_eq!(settled(1.0), (2, 16, 0.2));
    assert_eq!(settled(2.0), (2, 16, 0.1));
    assert_eq!(settled(5.9).0, 2);
    assert_eq!(settled(8.0), (3, 24, 0.1));
    let mut own = IalsPrivateRecipe::new(ITEMS, 5, 1);
    own.settle(8.0);
    assert_eq!((own.sweeps, own.factors), (1, 5));
    let text = r#"{"algorithm": "ials-private", "items": 60}"#;
    let recipe: Recipe = serde_json::from_str(text).unwrap();
    assert_eq!(recipe.validate().unwrap_err().field, "factors");
}

#[test]
fn features_that_do_not_fit_are_refused() {
    let small = IalsPrivateRecipe {
        items: 50,
        ..recipe(Some(features()))
    };
    assert_eq!(
        Recipe::IalsPrivate(small).validate().unwrap_err().field,
        "features"
    );
    let file = IalsPrivateRecipe {
        features: Some(Features::File("features.csv".to_owned())),
        ..recipe(None)
    };
    assert_eq!(
        Recipe::IalsPrivate(file).validate().unwrap_err().field,
        "features"
    );
}

#[test]
fn counts_have_the_norm_that_they_are_charged_for() {
    let trainer = Direct
        .open(&Recipe::IalsPrivate(recipe(None)).start(1).parameters)
        .unwrap();
    let values = trainer
        .contribution(Step::Counts, None, &history(3), &mut rng())
        .unwrap()
        .into_values();
    let norm: f32 = values.iter().map(|value| value * value).sum();
    assert!((norm - 1.0).abs() < 1e-5);
}

/// Where no count reaches the threshold there is popularity, not nothing.
#[test]
fn without_a_learned_row_popularity_ranks() {
    let recipe = Recipe::IalsPrivate(IalsPrivateRecipe {
        row_threshold: 1e6,
        ..recipe(None)
    });
    let learning = learn(&recipe, 0.0, &mut |_, _| {});
    let counts = &learning.parameters.get("counts").unwrap().values;
    let trainer = Direct.open(&learning.parameters).unwrap();
    let scores = trainer.scores(&history(0)).unwrap();
    let mut order: Vec<usize> = (0..ITEMS).collect();
    order.sort_by(|left, right| counts[*left].total_cmp(&counts[*right]));
    assert!(order.is_sorted_by(|left, right| scores[*left] <= scores[*right]));
    assert!(scores[order[ITEMS - 1]] > scores[order[0]] && scores[order[0]] > 0.0);
}
