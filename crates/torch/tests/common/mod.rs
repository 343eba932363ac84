//! A federation without a network: sums in the open.

use chorus_model::{Engine, MeanDelta, Parameters, Recipe, TrainingSet};
use chorus_torch::Torch;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// The model after every sum of the recipe over all of these people.
pub fn learned(recipe: &Recipe, people: &[TrainingSet]) -> Parameters {
    recipe.validate().unwrap();
    let mut learning = recipe.start(1);
    for (index, sum) in recipe.sums().iter().enumerate() {
        let trainer = Torch.open(&learning.parameters).unwrap();
        let mut total = vec![0.0; sum.length];
        for (person, history) in people.iter().enumerate() {
            let mut draws = ChaCha20Rng::seed_from_u64((1_000 * index + person) as u64);
            let delta = trainer.contribution(sum.step, None, history, &mut draws);
            let values = delta.unwrap().into_values();
            assert_eq!(values.len(), sum.length);
            (total.iter_mut().zip(values)).for_each(|(total, value)| *total += f64::from(value));
        }
        let delta = MeanDelta {
            sum: total,
            clients: people.len(),
            noise: 0.0,
        };
        learning = recipe.apply(learning, index, &delta, people.len()).unwrap();
    }
    learning.parameters
}
