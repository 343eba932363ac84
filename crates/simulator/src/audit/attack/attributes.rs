//! What kind of person is this? Gender and age, from what the screen shows.

use chorus_data::{Dataset, Trait};
use chorus_model::top;
use rayon::prelude::*;

use super::row::{AttackRow, Ceiling, Scores};
use super::world::World;
use crate::SimulateError;

/// Items on the screen.
const SHOWN: usize = 20;
/// Gradient steps of the classifier, and their length: it has a few dozen weights and converges.
const STEPS: usize = 300;
const RATE: f64 = 0.5;
/// Weight of the squared weights against the mean loss.
const DECAY: f64 = 1e-3;

/// Which people an attribute is learned from, and which it is guessed for.
pub(super) struct Groups<'a> {
    /// People that the adversary knows all about.
    pub known: &'a [usize],
    pub present: &'a [usize],
    /// People whose contributions were zeros.
    pub absent: &'a [usize],
}

/// Guesses one trait from the recommendations that the person's own device would show, by a classifier learned from the
/// recommendations of people that the adversary knows.
pub(super) fn on_screen(
    world: &World,
    dataset: &Dataset,
    wanted: &Trait,
    groups: &Groups<'_>,
) -> Result<AttackRow, SimulateError> {
    let features = |people: &[usize]| -> Result<Vec<(Vec<f64>, bool)>, SimulateError> {
        let each = people.par_iter().filter_map(|person| {
            let holds = wanted.of(*person)?;
            Some(shown(world, dataset, *person).map(|features| (features, holds)))
        });
        each.collect()
    };
    let model = Logistic::learn(&features(groups.known)?);
    let scores = |people: &[usize]| -> Result<Scores, SimulateError> {
        let mut scores = Scores::default();
        for (features, holds) in features(people)? {
            match holds {
                true => scores.positive.push(model.score(&features)),
                false => scores.negative.push(model.score(&features)),
            }
        }
        Ok(scores)
    };
    let without = scores(groups.absent)?.row(&Ceiling::None);
    let known = |mu| Ceiling::Known {
        mu,
        without: without.auc,
    };
    let mut row = scores(groups.present)?.row(&world.mu.map_or(Ceiling::None, known));
    row.question = wanted.name.clone();
    row.adversary = format!("the {SHOWN} items that the screen shows");
    row.noise = world.mu.is_some();
    // Everyone has the same list by popularity.
    row.popularity = Some(0.5);
    row.without = Some(without.auc);
    row.error = row.error.hypot(without.error);
    Ok(row)
}

/// The mean item vector of what the device would show.
fn shown(world: &World, dataset: &Dataset, person: usize) -> Result<Vec<f64>, SimulateError> {
    let history = dataset.training_set(person);
    let scores = world.trainer.scores(&history)?;
    let items = world.parameters.require("items")?;
    let width = items.values.len() / dataset.items.max(1);
    let mut mean = vec![0.0; width];
    for item in top(&scores, &history, SHOWN) {
        let row = items.values.iter().skip(item.0 as usize * width);
        for (mean, value) in mean.iter_mut().zip(row) {
            *mean += f64::from(*value) / SHOWN as f64;
        }
    }
    Ok(mean)
}

/// Logistic regression on standardised features, by gradient descent.
struct Logistic {
    centre: Vec<f64>,
    spread: Vec<f64>,
    weights: Vec<f64>,
}

impl Logistic {
    fn learn(cases: &[(Vec<f64>, bool)]) -> Self {
        let width = cases.first().map_or(0, |(features, _)| features.len());
        let count = cases.len().max(1) as f64;
        let moment = |of: &dyn Fn(f64, usize) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; width];
            for (features, _) in cases {
                for (place, (sum, value)) in sums.iter_mut().zip(features).enumerate() {
                    *sum += of(*value, place) / count;
                }
            }
            sums
        };
        let centre = moment(&|value, _| value);
        let middle = |place: usize| centre.get(place).copied().unwrap_or_default();
        let variance = moment(&|value, place| (value - middle(place)).powi(2));
        let spread = variance.iter().map(|variance| variance.sqrt().max(1e-12));
        let mut model = Self {
            spread: spread.collect(),
            weights: vec![0.0; width],
            centre,
        };
        let cases: Vec<(Vec<f64>, f64)> = cases
            .iter()
            .map(|(features, holds)| (model.standard(features), f64::from(u8::from(*holds))))
            .collect();
        let mut bias = 0.0;
        for _ in 0..STEPS {
            let mut slope = vec![0.0; width];
            let mut slope_of_bias = 0.0;
            for (features, holds) in &cases {
                let score = bias + super::world::dot(&model.weights, features);
                let miss = (1.0 / (1.0 + (-score).exp()) - holds) / count;
                slope_of_bias += miss;
                for (slope, value) in slope.iter_mut().zip(features) {
                    *slope += miss * value;
                }
            }
            bias -= RATE * slope_of_bias;
            for (weight, slope) in model.weights.iter_mut().zip(slope) {
                *weight -= RATE * (slope + DECAY * *weight);
            }
        }
        model
    }

    fn standard(&self, features: &[f64]) -> Vec<f64> {
        let cells = features.iter().zip(&self.centre).zip(&self.spread);
        cells
            .map(|((value, centre), spread)| (value - centre) / spread)
            .collect()
    }

    fn score(&self, features: &[f64]) -> f64 {
        super::world::dot(&self.weights, &self.standard(features))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classifier_finds_what_is_there() {
        let cases: Vec<(Vec<f64>, bool)> = (0..200)
            .map(|case| {
                let holds = case % 3 == 0;
                let noise = f64::from(case * 37 % 100) / 100.0;
                (vec![noise, f64::from(u8::from(holds)) + noise, 7.0], holds)
            })
            .collect();
        let model = Logistic::learn(&cases);
        let mut scores = Scores::default();
        for (features, holds) in &cases {
            match holds {
                true => scores.positive.push(model.score(features)),
                false => scores.negative.push(model.score(features)),
            }
        }
        assert!(scores.auc() > 0.99, "{}", scores.auc());
    }
}
