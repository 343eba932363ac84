use super::layout::Layout;
use super::plan::{Optimiser, Schedule, ServerPlan};
use crate::recipe::{tensor, values_of, values_of_mut};
use crate::{Parameters, ParametersError};

impl Schedule {
    /// The factor in round `round`, from 0, of `rounds`.
    pub(crate) fn factor(self, round: usize, rounds: usize) -> f64 {
        let round = round as f64;
        match self {
            Self::Constant => 1.0,
            Self::Inverse(after) => 1.0 / (1.0 + round / after),
            Self::Cosine(last) => {
                let wave = (std::f64::consts::PI * round / rounds.max(1) as f64).cos();
                last + (1.0 - last) * (1.0 + wave) / 2.0
            }
            Self::Step { every, factor } => factor.powf((round / every as f64).floor()),
        }
    }
}

impl ServerPlan {
    /// What it remembers before the first round: the moments that its optimiser has, `[trained]`.
    pub(crate) fn start(&self, words: usize, state: &mut Parameters) {
        let constant = |value: f64| tensor(&[words], std::iter::repeat_n(value, words));
        if self.optimiser != Optimiser::FedAvg {
            state.set("first-moment", constant(0.0));
        }
        if !matches!(self.optimiser, Optimiser::FedAvg | Optimiser::FedAvgM) {
            let start = self.second_moment.unwrap_or(self.tau * self.tau);
            state.set("second-moment", constant(start));
        }
    }

    /// One step over all trained tensors. `mean`: D, `[trained]`, parameter units. `factor`: of the schedule and the guard.
    ///
    /// # Errors
    /// When the model or the state lacks a tensor.
    pub(crate) fn step(
        &self,
        layout: &Layout,
        parameters: &mut Parameters,
        state: &mut Parameters,
        mean: &[f64],
        factor: f64,
    ) -> Result<(), ParametersError> {
        let direction = self.direction(state, mean)?;
        for placed in layout.tensors() {
            let values = values_of_mut(parameters, &placed.name, &placed.shape)?;
            let steps = direction.get(placed.words.clone()).unwrap_or_default();
            for (value, step) in values.iter_mut().zip(steps) {
                *value = (f64::from(*value) + self.step_size * factor * step) as f32;
            }
        }
        Ok(())
    }

    /// What is added to the tensors for a step size of 1; moves the moments.
    fn direction(&self, state: &mut Parameters, mean: &[f64]) -> Result<Vec<f64>, ParametersError> {
        let shape = [mean.len()];
        let newest = match self.optimiser {
            Optimiser::FedAvg => return Ok(mean.to_vec()),
            Optimiser::FedAvgM => 1.0,
            _ => 1.0 - self.beta1,
        };
        let first = values_of_mut(state, "first-moment", &shape)?;
        for (moment, mean) in first.iter_mut().zip(mean) {
            *moment = (self.beta1 * f64::from(*moment) + newest * mean) as f32;
        }
        if self.optimiser == Optimiser::FedAvgM {
            return Ok(first.iter().copied().map(f64::from).collect());
        }
        let second = values_of_mut(state, "second-moment", &shape)?;
        for (moment, mean) in second.iter_mut().zip(mean) {
            let (old, square) = (f64::from(*moment), mean * mean);
            let kept = 1.0 - self.beta2;
            *moment = match self.optimiser {
                Optimiser::FedAdagrad => old + square,
                Optimiser::FedYogi if old > square => old - kept * square,
                Optimiser::FedYogi if old < square => old + kept * square,
                Optimiser::FedYogi => old,
                _ => self.beta2 * old + kept * square,
            } as f32;
        }
        let first = values_of(state, "first-moment", &shape)?;
        let second = values_of(state, "second-moment", &shape)?;
        let step = |(first, second): (&f32, &f32)| {
            f64::from(*first) / (f64::from(*second).sqrt() + self.tau)
        };
        Ok(first.iter().zip(second).map(step).collect())
    }
}
