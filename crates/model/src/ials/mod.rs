//! The algorithm without noise: ials.md, second version.

mod guard;
mod head;
mod state;
mod step;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::possible::check_owners;
use crate::recipe::{check, check_shape, normal_table, positive, tensor};
use crate::{Block, LearnError, Learning, MeanDelta, Parameters, RecipeError, Step, Sum};
use step::Heard;

/// Implicit matrix factorisation in cohorts, without noise: ials.md.
///
/// Sums: `history`, then `gradient-1` to `gradient-R`, then `head-1` to `head-H`. The first settles the item counts and
/// alpha0, the last leaves a low-rank EASE model beside the item table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IalsRecipe {
    /// Items in the catalogue, m.
    pub items: usize,
    /// Width of the item table, d.
    pub factors: usize,
    /// Gradient sums, R; at least one for each block.
    pub rounds: usize,
    /// How fast steps become smaller: pass t over the catalogue (one round without blocks) steps by 1 / (1 + kappa t).
    #[serde(default = "default_kappa")]
    pub kappa: f64,
    /// lambda of the iALS objective (nu = 1).
    #[serde(default = "default_regularisation")]
    pub regularisation: f64,
    /// L2 bound of one contribution, in parameter units.
    #[serde(default = "default_clip")]
    pub clip: f64,
    /// Weight of the unseen items; left out: 6.7 * mean history / items, from the first sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha0: Option<f64>,
    /// Most item rows that a gradient or a head sum holds; left out: the whole catalogue in each. The catalogue is cut into
    /// ceil(items / block) blocks of nearly the same size, which the rounds take in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<usize>,
    /// Head sums, H: 0 for none, else at least one for each block. Left out: see [`IalsRecipe::heads`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<usize>,
}

/// alpha0 = this * mean history length / items: 0.3 on ml-1m, recommender.md 4.1.
const ALPHA0_RULE: f64 = 6.7;
/// alpha0 before anything is known; no step reads it.
const ALPHA0_PROVISIONAL: f64 = 0.3;
/// People are served with so much of lambda (ials.md, Serving).
const SERVING: f64 = 0.7;
/// The usual share of the population in a round.
const COHORT: f64 = 0.1;

fn default_kappa() -> f64 {
    0.3
}
fn default_regularisation() -> f64 {
    0.007
}
fn default_clip() -> f64 {
    256.0
}

/// What a sum is of.
enum Place {
    History,
    /// Gradient number `.0`, from 0.
    Gradient(usize),
    /// Head number `.0`, from 0.
    Head(usize),
}

impl IalsRecipe {
    /// The recipe with the published hyper-parameters.
    pub fn new(items: usize, factors: usize, rounds: usize) -> Self {
        Self {
            items,
            factors,
            rounds,
            kappa: default_kappa(),
            regularisation: default_regularisation(),
            clip: default_clip(),
            alpha0: None,
            block: None,
            head: None,
        }
    }

    /// Writes down how many head sums there are where that is left open, for rounds of the share `cohort` of the
    /// population.
    pub fn settle(&mut self, cohort: f64) {
        self.head = Some(self.heads_at(cohort));
    }

    /// Head sums, H. Where the recipe leaves it open, one pass over the clients in rounds of 10 %, for each block; at most
    /// a third as many as gradients, for the head of a third of the clients is nearly as good (ials.md, Results).
    pub fn heads(&self) -> usize {
        self.heads_at(COHORT)
    }

    fn heads_at(&self, cohort: f64) -> usize {
        self.head.unwrap_or_else(|| {
            // The small subtrahend keeps 1 / 0.1 from becoming 10.000000000000002 and then 11.
            let pass = (1.0 / cohort - 1e-9).ceil().clamp(1.0, 1e6) as usize;
            let blocks = self.blocks();
            (pass * blocks).min((self.rounds / 3).max(blocks))
        })
    }

    pub(crate) fn validate(&self) -> Result<(), RecipeError> {
        check_shape(self.items, self.factors, self.regularisation, self.alpha0)?;
        check(
            (1..=100_000).contains(&self.rounds),
            "rounds",
            "must be between 1 and 100000",
        )?;
        check(
            self.kappa.is_finite() && self.kappa >= 0.0,
            "kappa",
            "must be 0 or above",
        )?;
        check(positive(self.clip), "clip", "must be above 0")?;
        check(
            self.block
                .is_none_or(|block| (1..=self.items).contains(&block)),
            "block",
            "must be between 1 and items, or left out for the whole catalogue",
        )?;
        check(
            self.rounds >= self.blocks(),
            "rounds",
            "must be at least the number of blocks, ceil(items / block): fewer leave items untrained",
        )?;
        check(
            self.head
                .is_none_or(|head| head == 0 || (self.blocks()..=100_000).contains(&head)),
            "head",
            "must be 0, or at least the number of blocks and at most 100000",
        )
    }

    /// How many blocks the catalogue is cut into; 1 without `block`.
    pub fn blocks(&self) -> usize {
        let block = self.block.unwrap_or(self.items).max(1);
        self.items.div_ceil(block).max(1)
    }

    /// The item rows that `gradient-{round}` trains, and that `head-{round}` is about: the blocks in turn, block 0 in
    /// round 1.
    ///
    /// A function of the recipe and the round alone. Nothing when the recipe has no blocks.
    pub fn block_of(&self, round: usize) -> Option<Block> {
        self.block
            .map(|_| self.rows(round.saturating_sub(1) % self.blocks()))
    }

    /// The rows of block number `block`, from 0. Sizes differ by at most one: one size of upload for all rounds, and no
    /// round spent on a small remainder.
    fn rows(&self, block: usize) -> Block {
        let (size, larger) = (self.items / self.blocks(), self.items % self.blocks());
        Block {
            first: block * size + block.min(larger),
            items: size + usize::from(block < larger),
        }
    }

    pub(crate) fn sums(&self) -> Vec<Sum> {
        let sum = |name: String, step: Step, block: Option<Block>| {
            let length = step.length(self.items, self.factors, block);
            Sum {
                name,
                step,
                block,
                length,
                clip: self.clip,
                share: 0.0,
                groups: Vec::new(),
            }
        };
        let gradient = |round: usize| {
            let name = format!("gradient-{round}");
            sum(name, Step::Gradient, self.block_of(round))
        };
        let head = |round: usize| {
            let name = format!("head-{round}");
            sum(name, Step::Head, self.block_of(round))
        };
        std::iter::once(sum("history".to_owned(), Step::History, None))
            .chain((1..=self.rounds).map(gradient))
            .chain((1..=self.heads()).map(head))
            .collect()
    }

    fn place(&self, sum_index: usize) -> Place {
        match sum_index.checked_sub(1) {
            None => Place::History,
            Some(round) => match round.checked_sub(self.rounds) {
                None => Place::Gradient(round),
                Some(number) => Place::Head(number),
            },
        }
    }

    pub(crate) fn start(&self, rng: &mut impl Rng) -> Learning {
        let deviation = 0.1 / (self.factors as f64).sqrt();
        let mut parameters = Parameters::default();
        parameters.set(
            "items",
            normal_table(self.items, self.factors, deviation, rng),
        );
        parameters.set("counts", tensor(&[self.items], vec![0.0; self.items]));
        parameters.set_scalar("alpha0", self.alpha0.unwrap_or(ALPHA0_PROVISIONAL) as f32);
        parameters.set_scalar("regularisation", self.regularisation as f32);
        parameters.set_scalar(
            "serving_regularisation",
            (SERVING * self.regularisation) as f32,
        );
        let mut state = Parameters::default();
        state.set("histories", tensor(&[self.items], vec![0.0; self.items]));
        let blocks = self.blocks();
        state.set("histories_clients", tensor(&[blocks], vec![0.0; blocks]));
        state.set_scalar("step_factor", 1.0);
        Learning { parameters, state }
    }

    pub(crate) fn apply(
        &self,
        mut learning: Learning,
        sum_index: usize,
        delta: &MeanDelta,
        population: usize,
    ) -> Result<Learning, LearnError> {
        let n = population as f64;
        match self.place(sum_index) {
            Place::History => {
                let histories = &delta.sum;
                check_owners(histories, delta.clients)?;
                let all = 0..self.blocks();
                self.count(&mut learning, all, histories, delta.clients, n)?;
                let length: f64 = histories.iter().sum();
                let mean = (length / delta.clients as f64).max(1.0);
                let alpha0 = self
                    .alpha0
                    .unwrap_or(ALPHA0_RULE * mean / self.items as f64);
                learning.parameters.set_scalar("alpha0", alpha0 as f32);
                learning.state.set_scalar("mean_history", mean as f32);
            }
            Place::Gradient(round) => {
                let heard = Heard::of(self, round, delta, n);
                self.descend(&mut learning, &heard)?;
                if round + 1 == self.rounds {
                    guard::forget(&mut learning.state);
                    if self.heads() > 0 {
                        self.freeze(&mut learning)?;
                    }
                }
            }
            Place::Head(number) => {
                self.hear_head(&mut learning, number, delta, n)?;
                if number + 1 == self.heads() {
                    self.finish_head(&mut learning, n)?;
                }
            }
        }
        Ok(learning)
    }

    /// What the server step after sum number `sum_index` did out of the ordinary, if `after` is what it gave.
    pub(crate) fn note(&self, after: &Learning, sum_index: usize) -> Option<String> {
        guard::note(&after.state, sum_index)
    }
}
