use rand::Rng;

use super::plan::{ClientPlan, Loss, ModelPlan};
use crate::{Block, Delta, ItemId, Step, TrainError, TrainingSet};

/// A small generator for negatives and the order of examples: they are no secret, and are drawn by the thousand.
/// SplitMix64 (Steele, Lea, Flood 2014).
struct Draws(u64);

impl Draws {
    #[inline(always)]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// Below `most`, which is at most 2^32; uniform to within 2^-32.
    #[inline(always)]
    fn below(&mut self, most: usize) -> usize {
        (((self.next() >> 32) * most as u64) >> 32) as usize
    }
}

/// What a client learns from in one round: the same for every engine, from the same seed.
///
/// # Privacy
/// Names what the person did. Stays on the client.
#[derive(Default)]
pub struct Examples {
    /// The item of each example; with [`Loss::Softmax`] groups of an item of the history and its negatives.
    pub items: Vec<u32>,
    /// The negative that each example is compared with; nothing for losses of one item.
    pub others: Vec<u32>,
    /// The label of each example.
    pub labels: Vec<f32>,
    /// Neighbouring examples that are learned from together: 1, and with [`Loss::Softmax`] 1 and the negatives of an item.
    pub group: usize,
    /// The items of the history are marked, so that a negative can be told from them: 1 for an item of it.
    seen: Vec<u8>,
}

/// The mark of a positive, while it is shuffled together with the negatives.
const POSITIVE: u32 = 1 << 31;

/// What negatives are drawn from where a person is rebuilt to rank: the same list for the same history.
const RANKING: u64 = 0x0063_686f_7275_7300;

impl Examples {
    /// Draws what a client learns from in one round from one number. Negatives do not depend on the order of the history.
    /// `catalogue`: its items, of which `history` holds no others.
    pub fn for_learning(
        &mut self,
        plan: &ClientPlan,
        loss: Loss,
        history: &TrainingSet,
        catalogue: usize,
        seed: u64,
    ) {
        let mut order = Draws(!seed);
        // A generator an item costs nothing.
        let own = |item: ItemId| Draws(seed ^ (u64::from(item.0) << 32));
        let all = history.items();
        self.draw(plan, loss, history, all, catalogue, own, Some(&mut order));
    }

    /// Draws what the person is rebuilt from to rank: in the order of the items, with negatives that are a function of the
    /// items of the history, each its own, so that the same history always gives the same list.
    pub fn for_ranking(
        &mut self,
        plan: &ClientPlan,
        loss: Loss,
        history: &TrainingSet,
        catalogue: usize,
    ) {
        let own = |item: ItemId| Draws(RANKING ^ (u64::from(item.0) << 32));
        self.draw(plan, loss, history, history.items(), catalogue, own, None);
    }

    /// Draws what a client reports from: with `held_out` a fifth of its items, else the others, in an order of their own. Nothing,
    /// and false, for a history of one item.
    ///
    /// The person is rebuilt from the one part and the published model judged on the other: on what a person was rebuilt from,
    /// a table of noise would look good.
    pub fn for_report(
        &mut self,
        plan: &ClientPlan,
        loss: Loss,
        history: &TrainingSet,
        catalogue: usize,
        seed: u64,
        held_out: bool,
    ) -> bool {
        let mut draws = Draws(seed);
        let mut items = history.items().to_vec();
        for last in (1..items.len()).rev() {
            items.swap(last, draws.below(last + 1));
        }
        let (fifth, known) = items.split_at(items.len().div_ceil(5));
        let about = if held_out { fifth } else { known };
        let own = |item: ItemId| Draws(seed ^ (u64::from(item.0) << 32));
        self.draw(plan, loss, history, about, catalogue, own, None);
        !known.is_empty()
    }

    /// Draws the examples of the items `about` of `history`, which lies in the catalogue of `catalogue` items. `draws`: the
    /// generator for the negatives of an item; shuffled by `order`, or left in the order of `about`.
    ///
    /// A negative is any item of the catalogue, with `redraw` any that is not in the history: nothing else is known here,
    /// so an item held out to measure the model is as likely a negative as any other.
    #[allow(
        clippy::too_many_arguments,
        reason = "each is another thing, and nobody else calls it"
    )]
    fn draw(
        &mut self,
        plan: &ClientPlan,
        loss: Loss,
        history: &TrainingSet,
        about: &[ItemId],
        catalogue: usize,
        mut draws: impl FnMut(ItemId) -> Draws,
        order: Option<&mut Draws>,
    ) {
        self.items.clear();
        self.others.clear();
        self.labels.clear();
        self.seen.resize(catalogue, 0);
        self.mark(history, 1);
        // Whoever touched everything has no negatives to draw.
        let negatives = match plan.redraw && history.len() >= catalogue {
            true => 0,
            false => plan.negatives,
        };
        self.group = if loss == Loss::Softmax {
            1 + negatives
        } else {
            1
        };
        for item in about {
            let mut draws = draws(*item);
            if loss != Loss::Bpr {
                self.items.push(item.0 | POSITIVE);
            }
            for _ in 0..negatives {
                let mut other = draws.below(catalogue);
                while plan.redraw && self.seen.get(other).is_some_and(|seen| *seen != 0) {
                    other = draws.below(catalogue);
                }
                if loss == Loss::Bpr {
                    self.items.push(item.0);
                    self.others.push(other as u32);
                } else {
                    self.items.push(other as u32);
                }
            }
        }
        self.mark(history, 0);
        if let Some(order) = order {
            for last in (1..self.items.len() / self.group).rev() {
                let place = order.below(last + 1);
                for member in 0..self.group {
                    let (last, place) = (last * self.group + member, place * self.group + member);
                    self.items.swap(last, place);
                    if loss == Loss::Bpr {
                        self.others.swap(last, place);
                    }
                }
            }
        }
        if loss == Loss::Bpr {
            self.labels.resize(self.items.len(), 1.0);
            return;
        }
        let label = |item: &u32| f32::from(u8::from(item & POSITIVE != 0));
        self.labels.extend(self.items.iter().map(label));
        self.items.iter_mut().for_each(|item| *item &= !POSITIVE);
    }

    fn mark(&mut self, history: &TrainingSet, mark: u8) {
        for item in history.items() {
            if let Some(cell) = self.seen.get_mut(item.0 as usize) {
                *cell = mark;
            }
        }
    }
}

/// What a client does in a round of a trained model, and the seed of each part; the same for every engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// It reports the loss of the published model.
    pub report: Option<u64>,
    /// It trains.
    pub learn: Option<u64>,
}

impl Turn {
    /// Draws it for [`Step::Update`], [`Step::NoisedUpdate`] or [`Step::Check`].
    ///
    /// # Privacy
    /// Whether a client reports depends on chance alone.
    pub fn draw(step: Step, plan: &ModelPlan, rng: &mut dyn Rng) -> Self {
        let [chance, report, learn] = [rng.next_u64(), rng.next_u64(), rng.next_u64()];
        let chance = (chance >> 11) as f64 / (1u64 << 53) as f64;
        let reports = match step {
            Step::Check => true,
            Step::Update => chance < plan.server.guard.reports,
            _ => false,
        };
        Self {
            report: reports.then_some(report),
            learn: (step != Step::Check).then_some(learn),
        }
    }
}

/// What a history adds to the sum that every trained model begins with, [`Step::History`] or [`Step::Counts`].
pub(super) fn counted(step: Step, history: &TrainingSet, items: usize) -> Delta {
    let value = match step {
        Step::Counts => 1.0 / (history.len().max(1) as f64).sqrt(),
        _ => 1.0,
    };
    history.marks(Block::whole(items), value)
}

/// Refuses a history that holds items outside of a catalogue of `items`.
///
/// # Errors
/// When it does.
pub fn within_catalogue(history: &TrainingSet, items: usize) -> Result<(), TrainError> {
    // Ascending, so the last one is the largest.
    match history.items().last() {
        Some(item) if item.0 as usize >= items => Err(TrainError::Numeric(format!(
            "the history holds items outside the catalogue of {items}"
        ))),
        _ => Ok(()),
    }
}
