//! A block trains its own rows as the whole catalogue would, and touches no others.
#![allow(clippy::unwrap_used)]

use chorus_model::{
    Block, BlockError, Direct, Engine, IalsRecipe, ItemId, Learning, MeanDelta, Parameters, Recipe,
    Step, Sum, TrainError, Trainer, TrainingSet,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// No recipe of these tests draws from it.
fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

const ITEMS: usize = 13;
const FACTORS: usize = 3;
const USERS: usize = 9;
/// Words of each of the two triangles between the gradient rows and the scores.
const TRIANGLE: usize = FACTORS * (FACTORS + 1) / 2;

fn recipe(block: Option<usize>) -> IalsRecipe {
    IalsRecipe {
        block,
        ..IalsRecipe::new(ITEMS, FACTORS, 12)
    }
}

fn history(user: usize) -> TrainingSet {
    let items = (0..5).map(|step| ItemId(((user + step * step) % ITEMS) as u32));
    TrainingSet::of(items, ITEMS)
}

fn contribution(trainer: &dyn Trainer, sum: &Sum, user: usize) -> Vec<f32> {
    let delta = trainer.contribution(sum.step, sum.block, &history(user), &mut rng());
    delta.unwrap().into_values()
}

/// The sum that all users make of sum number `index`.
fn heard(recipe: &Recipe, parameters: &Parameters, index: usize) -> MeanDelta {
    let trainer = Direct.open(parameters).unwrap();
    let sum = &recipe.sums()[index];
    let mut total = vec![0.0; sum.length];
    for user in 0..USERS {
        let part = contribution(&*trainer, sum, user);
        let cells = total.iter_mut().zip(part);
        cells.for_each(|(total, part)| *total += f64::from(part));
    }
    MeanDelta {
        sum: total,
        clients: USERS,
        noise: 0.0,
    }
}

fn apply(recipe: &Recipe, learning: &Learning, index: usize) -> Learning {
    let mean = heard(recipe, &learning.parameters, index);
    recipe.apply(learning.clone(), index, &mean, USERS).unwrap()
}

fn values<'a>(parameters: &'a Parameters, name: &str) -> &'a [f32] {
    &parameters.get(name).unwrap().values
}

/// The rows of `block` in a table of `width` columns.
fn rows(values: &[f32], block: Block, width: usize) -> &[f32] {
    &values[block.first * width..(block.first + block.items) * width]
}

#[test]
fn the_blocks_are_the_catalogue_in_turn() {
    for block in 1..=ITEMS {
        let recipe = recipe(Some(block));
        assert_eq!(recipe.blocks(), ITEMS.div_ceil(block));
        let mut covered = Vec::new();
        for round in 1..=recipe.blocks() {
            let rows = recipe.block_of(round).unwrap();
            assert!((1..=block).contains(&rows.items));
            covered.extend(rows.range());
            assert_eq!(recipe.block_of(round + recipe.blocks()), Some(rows));
        }
        assert!(covered.into_iter().eq(0..ITEMS), "blocks of {block}");
    }
    assert_eq!((recipe(None).blocks(), recipe(None).block_of(7)), (1, None));
}

#[test]
fn the_sums_name_their_blocks() {
    let sums = Recipe::Ials(recipe(Some(5))).sums();
    assert_eq!(
        (sums[0].name.as_str(), sums[0].block, sums[0].length),
        ("history", None, ITEMS)
    );
    let blocks: Vec<(String, Block)> = sums[1..=4]
        .iter()
        .map(|sum| (sum.name.clone(), sum.block.unwrap()))
        .collect();
    let block = |first, items| Block { first, items };
    let expected = [block(0, 5), block(5, 4), block(9, 4), block(0, 5)];
    for (round, ((name, found), expected)) in (1..).zip(blocks.iter().zip(expected)) {
        assert_eq!((name, *found), (&format!("gradient-{round}"), expected));
    }
    assert_eq!(sums[1].length, 5 * FACTORS + 2 * TRIANGLE + 2 * 5 + 2);
    // One for each block, which is more than a third of the rounds would be.
    let heads: Vec<Option<Block>> = sums[13..].iter().map(|sum| sum.block).collect();
    assert_eq!(
        heads,
        [
            Some(expected[0]),
            Some(expected[1]),
            Some(expected[2]),
            Some(expected[0])
        ]
    );
    assert_eq!(sums[13].length, 5 * FACTORS + 5);
    assert!(
        Recipe::Ials(recipe(None))
            .sums()
            .iter()
            .all(|sum| sum.block.is_none())
    );
}

#[test]
fn plans_without_blocks_read_and_write_as_before() {
    let whole = &Recipe::Ials(recipe(None)).sums()[1];
    let text = serde_json::to_string(whole).unwrap();
    assert!(!text.contains("block"));
    assert_eq!(&serde_json::from_str::<Sum>(&text).unwrap(), whole);
    let part = &Recipe::Ials(recipe(Some(5))).sums()[2];
    let text = serde_json::to_string(part).unwrap();
    assert!(text.contains(r#""block":{"first":5,"items":4}"#));
    assert_eq!(&serde_json::from_str::<Sum>(&text).unwrap(), part);
    assert!(serde_json::from_str::<Block>(r#"{"first":5,"items":4,"last":8}"#).is_err());
    let text = r#"{"algorithm": "ials", "items": 13, "factors": 3, "rounds": 12, "block": 5}"#;
    let read: Recipe = serde_json::from_str(text).unwrap();
    assert_eq!(read, Recipe::Ials(recipe(Some(5))));
}

#[test]
fn a_block_that_cannot_be_cut_is_named() {
    let refused = |recipe: IalsRecipe| Recipe::Ials(recipe).validate().unwrap_err().to_string();
    for block in [0, ITEMS + 1, usize::MAX] {
        assert_eq!(
            refused(recipe(Some(block))),
            "block must be between 1 and items, or left out for the whole catalogue"
        );
    }
    let mut short = recipe(Some(1));
    assert!(refused(short.clone()).starts_with("rounds must be at least the number of blocks"));
    short.rounds = ITEMS;
    assert_eq!(Recipe::Ials(short).validate(), Ok(()));
}

#[test]
fn the_blocks_of_one_model_are_the_step_of_the_whole_catalogue() {
    let whole = Recipe::Ials(recipe(None));
    let full = apply(&whole, &apply(&whole, &whole.start(1), 0), 1);
    for block in 1..=ITEMS {
        let part = IalsRecipe {
            rounds: ITEMS,
            ..recipe(Some(block))
        };
        let parts = Recipe::Ials(part.clone());
        let mut before = apply(&parts, &parts.start(1), 0);
        // What owners score on average rules every row's matrix a little, so it must be the same.
        for name in ["scores", "owners"] {
            let average = full.state.get(name).unwrap().clone();
            before.state.set(name, average);
        }
        for round in 1..=part.blocks() {
            let after = apply(&parts, &before, round);
            let trained = part.block_of(round).unwrap();
            for (name, width) in [("items", FACTORS), ("counts", 1)] {
                let (old, new) = (
                    values(&before.parameters, name),
                    values(&after.parameters, name),
                );
                let expected = values(&full.parameters, name);
                assert_eq!(rows(new, trained, width), rows(expected, trained, width));
                let mut others = old.to_vec();
                others[trained.first * width..(trained.first + trained.items) * width]
                    .copy_from_slice(rows(expected, trained, width));
                assert_eq!(new, others, "`{name}` outside of {trained:?}");
            }
            assert_eq!(values(&after.state, "gram"), values(&full.state, "gram"));
        }
    }
}

/// After the first sum, with what one round over the whole catalogue would have left in the moving averages.
fn averaged() -> Learning {
    let whole = Recipe::Ials(recipe(None));
    let before = apply(&whole, &whole.start(1), 0);
    let after = apply(&whole, &before, 1);
    let parts = Recipe::Ials(recipe(Some(5)));
    let mut averaged = apply(&parts, &parts.start(1), 0);
    assert_eq!(averaged.parameters, before.parameters);
    for name in ["gram", "weighted_gram", "scores", "owners"] {
        let average = after.state.get(name).unwrap().clone();
        averaged.state.set(name, average);
    }
    averaged
}

#[test]
fn a_row_ages_with_the_passes_over_the_catalogue() {
    let part = recipe(Some(5));
    let parts = Recipe::Ials(part.clone());
    let before = averaged();
    let mean = heard(&parts, &before.parameters, 1);
    let moves = |index: usize| -> Vec<f64> {
        let after = parts.apply(before.clone(), index, &mean, USERS).unwrap();
        let (old, new) = (
            values(&before.parameters, "items"),
            values(&after.parameters, "items"),
        );
        old.iter()
            .zip(new)
            .map(|(old, new)| f64::from(*new) - f64::from(*old))
            .collect()
    };
    let (first, second) = (moves(1), moves(1 + part.blocks()));
    let size = |moves: &[f64]| moves.iter().map(|step| step * step).sum::<f64>().sqrt();
    assert!(size(&first) > 0.0);
    assert!((size(&second) / size(&first) - 1.0 / (1.0 + part.kappa)).abs() < 1e-4);
}

#[test]
fn items_are_counted_from_the_clients_that_were_heard_about_them() {
    let parts = Recipe::Ials(recipe(Some(5)));
    let sum = |length: usize, clients: usize, value: f64| MeanDelta {
        sum: vec![value; length],
        clients,
        noise: 0.0,
    };
    // Ten of a hundred hold every item, then forty of fifty those of the first block.
    let mut learning = parts
        .apply(parts.start(1), 0, &sum(ITEMS, 20, 2.0), 100)
        .unwrap();
    assert!(
        values(&learning.parameters, "counts")
            .iter()
            .all(|count| *count == 10.0)
    );
    let mut gradient = sum(parts.sums()[1].length, 50, 0.0);
    gradient.sum[5 * FACTORS + 2 * TRIANGLE + 5..][..5].fill(40.0);
    learning = parts.apply(learning, 1, &gradient, 100).unwrap();
    let counts = values(&learning.parameters, "counts");
    assert!(
        counts[..5].iter().all(|count| *count == 60.0),
        "42 of 70 clients: {counts:?}"
    );
    assert!(counts[5..].iter().all(|count| *count == 10.0));
    assert_eq!(
        values(&learning.state, "histories_clients"),
        [70.0, 20.0, 20.0]
    );
}

#[test]
fn the_guard_goes_back_in_every_block() {
    let part = recipe(Some(5));
    let parts = Recipe::Ials(part.clone());
    let mut learning = parts.start(1);
    for index in 0..=3 * part.blocks() {
        learning = apply(&parts, &learning, index);
    }
    let index = 3 * part.blocks() + 1;
    let mean = heard(&parts, &learning.parameters, index);
    // As after a round in which a client lied that nearly nothing is lost.
    learning.state.set_scalar("best_loss", 1e-3);
    let best = values(&learning.state, "best_items").to_vec();
    assert_ne!(values(&learning.parameters, "items"), best);
    let alarmed = parts.apply(learning.clone(), index, &mean, USERS).unwrap();
    assert_eq!(alarmed.state.scalar("step_factor"), Ok(0.5));
    assert_eq!(values(&alarmed.parameters, "items"), best);
    for name in ["gram", "weighted_gram", "scores", "owners"] {
        let kept = values(&learning.state, &format!("best_{name}"));
        assert_eq!(values(&alarmed.state, name), kept, "{name}");
    }
    let note = parts.note(&alarmed, index).unwrap();
    assert!(note.contains("restored") && note.contains("0.5"), "{note}");
    let calm = apply(&parts, &alarmed, index + 1);
    assert_eq!(parts.note(&calm, index + 1), None);
    assert_eq!(calm.state.scalar("step_factor"), Ok(1.0));
}

#[test]
fn blocks_that_are_not_of_the_catalogue_are_refused() {
    let start = Recipe::Ials(recipe(None)).start(1);
    let trainer = Direct.open(&start.parameters).unwrap();
    // Whatever the history holds: the refusal says nothing about it.
    for history in [history(1), TrainingSet::of([], ITEMS)] {
        for (first, items) in [
            (0, 0),
            (ITEMS, 0),
            (ITEMS, 1),
            (1, ITEMS),
            (usize::MAX, 1),
            (1, usize::MAX),
        ] {
            let block = Block { first, items };
            let refused = trainer
                .contribution(Step::Gradient, Some(block), &history, &mut rng())
                .err();
            assert!(
                matches!(refused, Some(TrainError::Block(BlockError::Outside { block: found, .. })) if found == block)
            );
        }
        for step in [Step::Counts, Step::History, Step::Gram, Step::Projection] {
            let refused =
                trainer.contribution(step, Some(Block::whole(ITEMS)), &history, &mut rng());
            assert!(
                matches!(refused.err(), Some(TrainError::Block(BlockError::Step(found))) if found == step)
            );
        }
    }
    let outside = Step::Gradient
        .rows(10, Some(Block { first: 8, items: 3 }))
        .unwrap_err();
    assert_eq!(
        outside.to_string(),
        "a block of 3 items from item 8 on is not in a catalogue of 10"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The rows and the 0/1 history are those of the whole gradient; all else is the same numbers.
    #[test]
    fn the_gradient_of_a_block_is_a_part_of_the_whole(
        seed in any::<u64>(), items in prop::collection::vec(0u32..ITEMS as u32, 0..9),
        first in 0usize..ITEMS, size in 1usize..=ITEMS,
    ) {
        let block = Block { first, items: size.min(ITEMS - first) };
        let start = Recipe::Ials(recipe(None)).start(seed);
        let trainer = Direct.open(&start.parameters).unwrap();
        let history = TrainingSet::of(items.into_iter().map(ItemId), ITEMS);
        let gradient = |block| trainer.contribution(Step::Gradient, block, &history, &mut rng()).unwrap().into_values();
        let (whole, part) = (gradient(None), gradient(Some(block)));
        prop_assert_eq!(part.len(), Step::Gradient.length(ITEMS, FACTORS, Some(block)));
        prop_assert_eq!(&gradient(Some(Block::whole(ITEMS))), &whole);
        let (table, rest) = whole.split_at(ITEMS * FACTORS);
        let (triangles, rest) = rest.split_at(2 * TRIANGLE);
        let (scores, rest) = rest.split_at(ITEMS);
        let (indicator, scalars) = rest.split_at(ITEMS);
        let owned = [rows(scores, block, 1), rows(indicator, block, 1)].concat();
        let expected = [rows(table, block, FACTORS), triangles, &owned, scalars].concat();
        prop_assert_eq!(part, expected);
    }
}

/// A round over two per cent of a million items: the client and the coordinator work on the block alone.
#[test]
fn a_million_items_are_trained_block_by_block() {
    const MILLION: usize = 1_000_000;
    let large = IalsRecipe {
        block: Some(20_000),
        ..IalsRecipe::new(MILLION, 32, 50)
    };
    let recipe = Recipe::Ials(large);
    recipe.validate().unwrap();
    let sum = &recipe.sums()[2];
    let start = recipe.start(1);
    let trainer = Direct.open(&start.parameters).unwrap();
    let histories = (0..20u32)
        .map(|user| (0..100u32).map(move |step| ItemId((user * 7919 + step * 10_007) % 1_000_000)));
    let mut total = vec![0.0; sum.length];
    for history in histories {
        let history = TrainingSet::of(history, MILLION);
        let delta = trainer
            .contribution(sum.step, sum.block, &history, &mut rng())
            .unwrap();
        let cells = total.iter_mut().zip(delta.into_values());
        cells.for_each(|(total, value)| *total += f64::from(value));
    }
    assert_eq!(
        sum.length,
        20_000 * 34 + 32 * 33 + 2,
        "2 MB of 24 bits instead of 99 MB"
    );
    let before = start.parameters.get("items").unwrap().values.clone();
    let mean = MeanDelta {
        sum: total,
        clients: 20,
        noise: 0.0,
    };
    let after = recipe.apply(start, 2, &mean, 1000).unwrap();
    let after = values(&after.parameters, "items");
    let block = sum.block.unwrap();
    assert_eq!((block.first, block.items), (20_000, 20_000));
    assert_eq!(after[..20_000 * 32], before[..20_000 * 32]);
    assert_eq!(after[40_000 * 32..], before[40_000 * 32..]);
    assert_ne!(rows(after, block, 32), rows(&before, block, 32));
}
