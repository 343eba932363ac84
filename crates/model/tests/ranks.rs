//! Evaluation by clients' own ranks: cells, figures, what is shown, and the way back to the best model.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use chorus_model::{
    Block, Case, Cause, Delta, Evaluate, IalsPrivateRecipe, IalsRecipe, ItemId, Learned, Learning,
    MeanDelta, PersonVector, Quality, Ranks, Recipe, Step, TrainError, Trainer, TrainingSet,
    rank_newest,
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

const ITEMS: usize = 3_000;
/// Where the four lists begin: ranks by the model sampled and full, by popularity sampled and full.
const LISTS: [usize; 5] = [0, 13, 30, 43, 60];

/// Scores that a test gives: the same for everyone, but for an empty history.
struct Scored {
    scores: Vec<f32>,
    popularity: Vec<f32>,
}

impl Trainer for Scored {
    fn person(&self, _: &TrainingSet) -> Result<PersonVector, TrainError> {
        Ok(PersonVector(Vec::new()))
    }
    fn scores(&self, history: &TrainingSet) -> Result<Vec<f32>, TrainError> {
        Ok(match history.is_empty() {
            true => self.popularity.clone(),
            false => self.scores.clone(),
        })
    }
    fn explain(&self, _: &TrainingSet, _: ItemId) -> Result<Vec<Cause>, TrainError> {
        Ok(Vec::new())
    }
    fn contribution(
        &self,
        step: Step,
        _: Option<Block>,
        _: &TrainingSet,
        _: &mut dyn Rng,
    ) -> Result<Delta, TrainError> {
        Err(TrainError::Step(step))
    }
}

/// The best item has number 0 in the model, and the last number by popularity.
fn scored() -> Scored {
    Scored {
        scores: (0..ITEMS).map(|item| -(item as f32)).collect(),
        popularity: (0..ITEMS).map(|item| item as f32).collect(),
    }
}

fn history(items: impl IntoIterator<Item = u32>) -> TrainingSet {
    TrainingSet::of(items.into_iter().map(ItemId), ITEMS)
}

fn contribution(history: &TrainingSet, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    rank_newest(&scored(), history, &mut rng)
        .unwrap()
        .into_values()
}

/// The cell that is marked in each list, from 0.
fn marked(values: &[f32]) -> Vec<usize> {
    let lists = LISTS.windows(2).map(|ends| &values[ends[0]..ends[1]]);
    lists
        .map(|list| list.iter().position(|value| *value == 0.5).unwrap())
        .collect()
}

/// A sum in which so many people are in each cell of each list.
fn sum(cells: [&[(usize, f64)]; 4], clients: usize, noise: f64) -> MeanDelta {
    let mut sum = vec![0.0; LISTS[4]];
    for (list, first) in cells.iter().zip(LISTS) {
        for (cell, people) in *list {
            sum[first + cell] = people / 2.0;
        }
    }
    MeanDelta {
        sum,
        clients,
        noise: noise / 2.0,
    }
}

/// The same cells in all four lists.
fn alike(cells: &[(usize, f64)], clients: usize, noise: f64) -> MeanDelta {
    sum([cells; 4], clients, noise)
}

#[test]
fn one_mark_in_each_list_says_the_rank() {
    // 7 is the eighth best; 2 and 5 of those before it are in the history and do not count.
    let values = contribution(&history([5, 2, 40, 7]), 1);
    let cells = marked(&values);
    assert_eq!(cells[1], 5, "rank 6 of all");
    // By popularity everything above 7 comes first.
    assert_eq!((cells[2], cells[3]), (12, 16));
    assert!(cells[0] <= 5, "a sample of the items cannot rank it worse");
    let rank = |newest: u32| marked(&contribution(&history([2_900, newest]), 1))[1];
    let edges = [
        0, 9, 10, 19, 20, 49, 50, 99, 100, 199, 200, 499, 500, 999, 1_000,
    ];
    let cells = [0, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 16];
    assert_eq!(edges.map(rank), cells);
    // Ties count against it.
    let tied = Scored {
        scores: vec![1.0; ITEMS],
        popularity: vec![0.0; ITEMS],
    };
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let tied = rank_newest(&tied, &history([1, 2]), &mut rng).unwrap();
    assert_eq!(marked(&tied.into_values()), [12, 16, 12, 16]);
}

#[test]
fn a_short_history_adds_zeros_and_a_score_that_is_no_number_an_error() {
    for short in [history([]), history([3])] {
        assert_eq!(contribution(&short, 1), vec![0.0; LISTS[4]]);
        assert!(short.newest_apart().0 == short);
    }
    let mut broken = scored();
    broken.scores[9] = f32::NAN;
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let error = rank_newest(&broken, &history([1, 2]), &mut rng);
    assert!(matches!(error, Err(TrainError::Numeric(_))));
}

#[test]
fn negatives_are_untouched_items_once_each_and_all_of_a_small_catalogue() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let earlier = history(0..2_880);
    let case = Case::draw(earlier.clone(), ItemId(2_900), ITEMS, &mut rng);
    let mut drawn = case.negatives.clone();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 99);
    assert!(
        drawn
            .iter()
            .all(|item| !earlier.contains(*item) && *item != ItemId(2_900))
    );
    let few = Case::draw(history([0, 1]), ItemId(2), 10, &mut rng);
    assert_eq!(few.negatives.len(), 7);
}

/// Without noise and without hiding anything the cells give the very figures of the metrics.
#[test]
fn cells_give_the_figures_that_are_computed_in_the_open() {
    let (mut total, mut open) = (vec![0.0; LISTS[4]], Quality::default());
    let (mut people, model) = (ChaCha20Rng::seed_from_u64(5), scored());
    for person in 0..2_000_u64 {
        // Better ranks are more frequent.
        let newest = people.next_u32() % ITEMS as u32;
        let newest = newest >> (people.next_u32() % 12);
        let set = history([2_990, 2_991].into_iter().filter(|item| *item != newest));
        let set = history(set.sequence().iter().map(|item| item.0).chain([newest]));
        for (total, value) in total.iter_mut().zip(contribution(&set, person)) {
            *total += f64::from(value);
        }
        let (earlier, newest) = set.newest_apart();
        let mut rng = ChaCha20Rng::seed_from_u64(person);
        let case = Case::draw(earlier, newest.unwrap(), ITEMS, &mut rng);
        open.add(&model.scores, &case).unwrap();
    }
    let delta = MeanDelta {
        sum: total,
        clients: 2_000,
        noise: 0.0,
    };
    let ranks = Ranks::read(&delta).unwrap();
    let near = |left: f64, right: f64| assert!((left - right).abs() < 1e-12, "{left} {right}");
    let [sampled, full] = ranks.gains().unwrap();
    near(sampled.mean, open.ndcg_at_10);
    near(full.mean, open.full_ndcg_at_10);
    // What is shown comes from joined cells, whose edges these figures keep.
    let shown = ranks.measured(ITEMS).unwrap();
    near(shown.sampled.hr_at_10.mean, open.hr_at_10);
    near(shown.full.hr_at_10.mean, open.full_hr_at_10);
    near(shown.full.recall_at_20.mean, open.full_recall_at_20);
    let gain = shown.full.ndcg_at_10;
    assert!(gain.low < open.full_ndcg_at_10 && open.full_ndcg_at_10 < gain.high);
}

#[test]
fn figures_by_hand() {
    // 100 at rank 1, 100 at rank 3, 100 in 11-20, 100 beyond: HR 1/2, NDCG (1 + 1/2) / 4, recall 3/4.
    let cells = [(0, 100.0), (2, 100.0), (10, 100.0), (12, 100.0)];
    let ranks = Ranks::read(&alike(&cells, 400, 0.0)).unwrap();
    let [sampled, full] = ranks.gains().unwrap();
    assert!((sampled.mean - 0.375).abs() < 1e-12 && (full.mean - 0.375).abs() < 1e-12);
    // Wilson's ends for 150 of 400 at three deviations.
    let half = 3.0 * (150.0 * 0.625 + 2.25_f64).sqrt();
    let ends = [154.5 - half, 154.5 + half].map(|end| end / 409.0);
    assert!((sampled.low - ends[0]).abs() < 1e-12 && (sampled.high - ends[1]).abs() < 1e-12);
    let shown = ranks.measured(ITEMS).unwrap();
    let hits = shown.sampled.hr_at_10;
    let square = 1.959_964_f64.powi(2);
    let half = 1.959_964 * (100.0 + square / 4.0).sqrt();
    assert!((hits.mean - 0.5).abs() < 1e-12);
    assert!((hits.low - (200.0 + square / 2.0 - half) / (400.0 + square)).abs() < 1e-9);
    // The upper end allows for 49 that have no rank, as if nobody had told how many have none.
    let half = 1.959_964 * (200.0 * 151.0 / 351.0 + square / 4.0).sqrt();
    assert!((hits.high - (200.0 + square / 2.0 + half) / (351.0 + square)).abs() < 1e-9);
    assert!((shown.sampled.recall_at_20.mean - 0.75).abs() < 1e-12);
    // The ranks up to ten are two groups: NDCG lies between what the best and the worst rank of the second give.
    let gain = shown.sampled.ndcg_at_10;
    let [low, high] = [11.0_f64, 3.0].map(|rank| (1.0 + 1.0 / rank.log2()) / 4.0);
    assert!((gain.mean - (low + high) / 2.0).abs() < 1e-12);
    assert!(gain.low < low && gain.high > high);
    let groups = &shown.sampled.groups;
    let ends: Vec<_> = groups.iter().map(|g| (g.from, g.to, g.people)).collect();
    let last = (21, None, 100.0);
    assert_eq!(
        ends,
        [
            (1, Some(1), 100.0),
            (2, Some(10), 100.0),
            (11, Some(20), 100.0),
            last
        ]
    );
    // Noise widens the interval: that of each of ten cells by what it gains, and none of the number of clients.
    let noised = |noise| {
        let ranks = Ranks::read(&alike(&cells, 400, noise)).unwrap();
        ranks.gains().unwrap()[0]
    };
    let gains: f64 = (1..=10)
        .map(|rank| (rank as f64 + 1.0).log2().powi(-2))
        .sum();
    let half = (154.5_f64.powi(2) - 409.0 / 400.0 * (22_500.0 - 9.0 * 64.0 * gains)).sqrt();
    assert!((noised(8.0).low - (154.5 - half) / 409.0).abs() < 1e-9);
    assert!(noised(8.0).low < sampled.low && noised(8.0).high > sampled.high);
    assert_eq!((noised(80.0).low, noised(80.0).mean), (0.0, 0.375));
}

#[test]
fn nothing_under_fifty_is_shown() {
    // 49 people in all.
    let few = Ranks::read(&alike(&[(0, 49.0)], 49, 0.0)).unwrap();
    assert_eq!(few.measured(ITEMS), None);
    let rest = |cells: &[(usize, f64)], clients, noise| {
        let ranks = Ranks::read(&alike(cells, clients, noise)).unwrap();
        ranks.measured(ITEMS).unwrap()
    };
    // Ranks up to ten have 30 people: they are joined with those up to twenty, and the share of hits is only bounded.
    let shown = rest(&[(0, 30.0), (10, 40.0), (11, 60.0)], 130, 0.0);
    let ends: Vec<_> = shown
        .sampled
        .groups
        .iter()
        .map(|g| (g.to, g.people))
        .collect();
    assert_eq!(ends, [(Some(20), 70.0), (None, 60.0)]);
    let hits = shown.sampled.hr_at_10;
    assert!((hits.mean - 35.0 / 130.0).abs() < 1e-12 && hits.low == 0.0);
    assert!(hits.high > 70.0 / 130.0 && !hits.tells());
    // Of up to 49 clients without a rank nothing is said, not even that there are some.
    let none = rest(&[(0, 60.0), (12, 70.0)], 130, 0.0);
    let some = rest(&[(0, 60.0), (12, 21.0)], 130, 0.0);
    assert_eq!(none, some);
    let hits = none.full.hr_at_10;
    assert!(hits.mean == 60.0 / 130.0 && hits.low < 60.0 / 130.0 && hits.high > 60.0 / 81.0);
    // Where they are fifty, they are not counted.
    let fifty = rest(&[(0, 60.0), (12, 60.0)], 170, 0.0);
    assert!((fifty.full.hr_at_10.mean - 0.5).abs() < 1e-12);
    // Twenty people between a cut of the sampled list and the same of the full one: one of the two is not shown.
    let [sampled, full]: [&[(usize, f64)]; 2] =
        [&[(0, 300.0), (12, 300.0)], &[(0, 280.0), (16, 320.0)]];
    let ranks = Ranks::read(&sum([sampled, full, sampled, sampled], 600, 0.0)).unwrap();
    let shown = ranks.measured(ITEMS).unwrap();
    assert_eq!(shown.sampled.hr_at_10.mean, 0.5);
    assert_eq!(shown.full.groups[0].to, Some(20));
    // The same in both lists: both are shown.
    assert_eq!(shown.popularity_full.hr_at_10.mean, 0.5);
}

#[test]
fn sums_that_no_clients_could_have_are_not_read() {
    let cells: &[(usize, f64)] = &[(0, 60.0), (12, 60.0)];
    let possible = |delta: &MeanDelta| Ranks::read(delta).is_some();
    assert!(possible(&alike(cells, 120, 0.0)));
    assert!(
        !possible(&alike(cells, 119, 0.0)),
        "more ranks than clients"
    );
    let mut one = alike(cells, 120, 0.0);
    one.sum[3] -= 0.5;
    assert!(!possible(&one), "a cell under zero");
    let other: &[(usize, f64)] = &[(0, 60.0), (12, 59.0)];
    assert!(!possible(&sum([cells, cells, cells, other], 120, 0.0)));
    // Noise explains as much.
    assert!(possible(&sum([cells, cells, cells, other], 119, 3.0)));
    one.sum[3] = f64::NAN;
    assert!(!possible(&one));
    one.sum.pop();
    assert!(!possible(&one));
}

proptest! {
    /// Every vector has norm 1 and one mark a list; nothing shown is under 50, and all shown add up to everyone.
    #[test]
    fn one_hot_and_hidden(
        sets in proptest::collection::vec(proptest::collection::vec(0..ITEMS as u32, 0..6), 1..300),
        noise in prop_oneof![Just(0.0), 0.5..20.0],
        seed: u64,
    ) {
        let mut total = vec![0.0; LISTS[4]];
        for (person, set) in sets.iter().enumerate() {
            let set = history(set.iter().copied());
            let values = contribution(&set, seed ^ person as u64);
            let squares: f32 = values.iter().map(|value| value * value).sum();
            prop_assert_eq!(squares, if set.len() < 2 { 0.0 } else { 1.0 });
            if set.len() > 1 {
                prop_assert_eq!(marked(&values).len(), 4);
            }
            total.iter_mut().zip(values).for_each(|(total, value)| *total += f64::from(value));
        }
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        for cell in &mut total {
            let uniform = f64::from(rng.next_u32()) / f64::from(u32::MAX) - 0.5;
            *cell += noise * uniform;
        }
        let delta = MeanDelta { sum: total, clients: sets.len(), noise: noise / 2.0 };
        let shown = Ranks::read(&delta).unwrap().measured(ITEMS);
        for list in shown.iter().flat_map(|s| [&s.sampled, &s.full, &s.popularity_sampled, &s.popularity_full]) {
            prop_assert!(list.groups.iter().all(|group| group.people >= 50.0));
            prop_assert_eq!(list.groups[0].from, 1);
            prop_assert_eq!(list.groups.last().unwrap().to, None);
            let joined = list.groups.windows(2).all(|pair| pair[0].to.unwrap() + 1 == pair[1].from);
            prop_assert!(joined);
            for figure in [list.hr_at_10, list.ndcg_at_10, list.recall_at_20] {
                let ends = [0.0, figure.low, figure.mean, figure.high, 1.0];
                prop_assert!(ends.is_sorted(), "{ends:?}");
            }
            if noise == 0.0 {
                let people: f64 = list.groups.iter().map(|group| group.people).sum();
                let ranked = sets.iter().filter(|set| history(set.iter().copied()).len() > 1).count();
                let hidden = sets.len() - ranked;
                let shown = if hidden < 50 { sets.len() } else { ranked };
                prop_assert_eq!(people, shown as f64);
            }
        }
    }
}

const EVERY: Evaluate = Evaluate {
    every: 2,
    share: None,
};

#[test]
fn sums_of_ranks_stand_where_the_model_is_whole() {
    let names = |recipe: &Recipe| -> Vec<String> {
        let sums = EVERY.sums(recipe);
        sums.into_iter().map(|sum| sum.name).collect()
    };
    let ials = Recipe::Ials(IalsRecipe {
        head: Some(2),
        ..IalsRecipe::new(9, 2, 4)
    });
    let expected =
        "history gradient-1 gradient-2 ranks-1 gradient-3 gradient-4 head-1 head-2 ranks-2";
    assert_eq!(names(&ials).join(" "), expected);
    let private = Recipe::IalsPrivate(IalsPrivateRecipe::new(9, 2, 3));
    let expected =
        "counts gram-1 projection-1 gram-2 projection-2 ranks-1 gram-3 projection-3 ranks-2";
    assert_eq!(names(&private).join(" "), expected);
    let shares: f64 = EVERY.sums(&private).iter().map(|sum| sum.share).sum();
    assert!((shares - 1.0).abs() < 1e-12);
    let ranks: Vec<f64> = EVERY
        .sums(&private)
        .iter()
        .filter(|sum| sum.step == Step::Ranks)
        .map(|sum| sum.share)
        .collect();
    assert_eq!(ranks, [0.025, 0.025]);
    // Limits.
    let refused = |evaluate: Evaluate, recipe: &Recipe| evaluate.validate(recipe).unwrap_err();
    let shared = Evaluate {
        share: Some(0.1),
        ..EVERY
    };
    assert!(shared.validate(&private).is_ok() && EVERY.validate(&ials).is_ok());
    assert_eq!(refused(shared, &ials).field, "share");
    for share in [0.0, 0.6, f64::NAN] {
        let share = Some(share);
        assert_eq!(
            refused(Evaluate { share, ..EVERY }, &private).field,
            "share"
        );
    }
    assert_eq!(
        refused(Evaluate { every: 0, ..EVERY }, &ials).field,
        "every"
    );
}

/// One sum of `ials`; what somebody adds to every cell of the gradient rows spoils it.
fn step(recipe: &Recipe, learning: Learning, index: usize, spoil: f64) -> Learned {
    let sums = recipe.sums_with(Some(&EVERY));
    let trainer = chorus_model::Engine::open(&chorus_model::Direct, &learning.parameters).unwrap();
    let mut total = vec![0.0; sums[index].length];
    for person in 0..60 {
        let set = TrainingSet::of([person, person + 1, person + 2].map(|i| ItemId(i % 9)), 9);
        let mut rng = ChaCha20Rng::seed_from_u64(u64::from(person));
        let delta = trainer.contribution(sums[index].step, None, &set, &mut rng);
        let values = delta.unwrap().into_values();
        total
            .iter_mut()
            .zip(values)
            .for_each(|(t, v)| *t += f64::from(v));
    }
    let rows = total.iter_mut().take(9 * 2);
    rows.for_each(|value| *value += 60.0 * spoil);
    let mean = MeanDelta {
        sum: total,
        clients: 60,
        noise: 0.0,
    };
    recipe
        .learn(Some(&EVERY), learning, index, &mean, 60)
        .unwrap()
}

#[test]
fn a_worse_model_gives_way_to_the_best_one_so_far() {
    let recipe = Recipe::Ials(IalsRecipe {
        head: Some(0),
        ..IalsRecipe::new(9, 2, 6)
    });
    let judged = |learning: &Learning, index, hits: f64| {
        let cells = [(0, hits), (12, 60.0 - hits)];
        let delta = alike(&cells, 60, 0.0);
        recipe
            .learn(Some(&EVERY), learning.clone(), index, &delta, 60)
            .unwrap()
    };
    let mut learning = recipe.start(1);
    for index in 0..3 {
        learning = step(&recipe, learning, index, 0.0).learning;
    }
    let good = judged(&learning, 3, 40.0);
    assert_eq!((good.back, good.next, &good.note), (None, 4, &None));
    assert_eq!(good.learning.parameters, learning.parameters);
    let shown = good.measured.unwrap();
    // Only the sixty together are enough to be shown.
    assert_eq!(shown.full.groups.len(), 1);
    // A client that sends rubbish in the next round.
    let later = step(&recipe, good.learning.clone(), 4, 3.0).learning;
    assert_ne!(later.parameters, learning.parameters);
    // As good as before, or worse by chance: it stays.
    for hits in [55.0, 40.0, 30.0] {
        let stays = judged(&later, 6, hits);
        assert_eq!(stays.back, None, "{hits}");
        assert_eq!(stays.learning.parameters, later.parameters);
    }
    let back = judged(&later, 6, 10.0);
    assert!(
        back.note
            .unwrap()
            .contains("`ranks-1`, whose model is published again")
    );
    assert_eq!((back.back, back.next), (Some(3), 7));
    let bytes = |learning: &Learning| learning.parameters.to_bytes().unwrap();
    assert_eq!(bytes(&back.learning), bytes(&learning));
    // State and memory are the good model's too: learning goes on as it would have from there.
    assert_eq!(back.learning, good.learning);
    let twice = judged(&step(&recipe, back.learning, 7, 3.0).learning, 9, 10.0);
    assert_eq!(twice.learning, good.learning);
    // Ranks that nobody could have judge nothing.
    let mut impossible = alike(&[(0, 60.0)], 60, 0.0);
    impossible.sum[20] = 1e9;
    let unread = recipe
        .learn(Some(&EVERY), later.clone(), 6, &impossible, 60)
        .unwrap();
    assert!(unread.back.is_none() && unread.measured.is_none() && unread.note.is_some());
    assert_eq!(unread.learning, later);
    // Sweeps with noise belong together: there the task ends with the good model.
    let private = Recipe::IalsPrivate(IalsPrivateRecipe::new(9, 2, 4));
    let measure = |learning, index, hits: f64| {
        let delta = alike(&[(0, hits), (12, 60.0 - hits)], 60, 0.0);
        private
            .learn(Some(&EVERY), learning, index, &delta, 60)
            .unwrap()
    };
    let first = measure(private.start(1), 5, 40.0);
    let worse = measure(first.learning, 10, 10.0);
    assert_eq!((first.next, worse.next, worse.back), (6, 11, Some(5)));
    let four = private.sums_with(Some(&Evaluate { every: 1, ..EVERY }));
    assert_eq!(four.len(), 9 + 4);
}

/// What a task makes of such figures, one sum of ranks after the other: the sums that sent the model back.
fn sent_back(figures: impl IntoIterator<Item = MeanDelta>) -> Vec<(usize, usize)> {
    let every = Evaluate { every: 1, ..EVERY };
    let recipe = Recipe::Ials(IalsRecipe {
        head: Some(0),
        ..IalsRecipe::new(9, 2, 30)
    });
    let sums = recipe.sums_with(Some(&every));
    let ranks = (0..sums.len()).filter(|index| sums[*index].step == Step::Ranks);
    let (mut learning, mut back) = (recipe.start(1), Vec::new());
    for ((number, index), delta) in ranks.enumerate().zip(figures) {
        let learned = recipe.learn(Some(&every), learning, index, &delta, 60);
        let learned = learned.unwrap();
        let name = |index: usize| sums[index].name.trim_start_matches("ranks-").parse();
        back.extend(learned.back.map(|found| (number + 1, name(found).unwrap())));
        learning = learned.learning;
    }
    back
}

/// `hits` of 1,000 people at the best rank.
fn of_a_thousand(hits: f64) -> MeanDelta {
    alike(&[(0, hits), (12, 1_000.0 - hits)], 1_000, 0.0)
}

/// Each version is a little worse than the one before, by less than chance.
#[test]
fn quality_does_not_creep_down() {
    let falling = (0..20).map(|version| of_a_thousand(600.0 - 20.0 * f64::from(version)));
    let back = sent_back(falling);
    assert_eq!(back.first(), Some(&(6, 1)), "{back:?}");
    // A fall that is no more than chance sends nothing back, and the best one is remembered, not the newest.
    let later = [500.0, 600.0, 560.0, 540.0, 480.0];
    assert_eq!(sent_back(later.map(of_a_thousand)), [(5, 2)]);
    // No hits are no certainty, and neither are ten people.
    let few = |hits| alike(&[(0, hits), (12, 10.0 - hits)], 10, 0.0);
    assert_eq!(sent_back([few(4.0), few(0.0)]), []);
    assert_eq!(sent_back([of_a_thousand(15.0), of_a_thousand(0.0)]), []);
    assert_eq!(
        sent_back([of_a_thousand(60.0), of_a_thousand(0.0)]),
        [(2, 1)]
    );
}

/// Twenty versions that are all as good, each heard of other people, with noise and without: the best one by chance sends
/// none back. One in a hundred tasks would be too many.
#[test]
fn chance_sends_nothing_back() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let mut uniform = move || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    for noise in [0.0, 4.0] {
        let mut back = 0;
        for _ in 0..100 {
            let figures: Vec<MeanDelta> = (0..20)
                .map(|_| {
                    let hits = (0..300).filter(|_| uniform() < 0.3).count() as f64;
                    let mut delta = alike(&[(0, hits), (12, 300.0 - hits)], 300, noise);
                    for cell in &mut delta.sum {
                        let normal = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
                        *cell += noise / 2.0 * normal;
                    }
                    delta
                })
                .collect();
            back += sent_back(figures).len();
        }
        assert_eq!(back, 0, "{noise}");
    }
}
