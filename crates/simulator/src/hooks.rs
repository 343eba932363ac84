//! What a researcher decides instead of the product: whom a round invites, and what the next model is.

use std::collections::BTreeSet;

use chorus_model::{MeanDelta, Parameters, Sum};
use chorus_protocol::Task;

use crate::{RoundRow, SimulateError};

/// Why a hook gave nothing: whatever it says.
pub type HookError = Box<dyn std::error::Error + Send + Sync>;

/// A round that is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// Its number, from 1.
    pub round: usize,
    /// Its named sum.
    pub sum: &'a str,
    /// Clients there are, numbered from 0.
    pub population: usize,
    /// Clients that the task asks for.
    pub size: usize,
}

/// A sum that was recovered, and what the product makes of it.
#[derive(Debug)]
pub struct ServerStep<'a> {
    /// Its last round, from 1.
    pub round: usize,
    /// The sum.
    pub sum: &'a Sum,
    /// The model that clients learned from.
    pub before: Parameters,
    /// What they sent, added up.
    pub delta: &'a MeanDelta,
    /// The model that the product's own server step makes of it.
    pub after: &'a Parameters,
    /// What the round did.
    pub row: &'a RoundRow,
}

/// Hooks of a [`Simulation`](crate::Simulation). Whatever they give is checked; nothing stands for what the product does.
pub trait Hooks: Send {
    /// The clients of a round, each once and in any order.
    ///
    /// # Errors
    /// Whatever the hook says; it ends the simulation.
    fn sample(&mut self, _draw: Draw<'_>) -> Result<Option<Vec<usize>>, HookError> {
        Ok(None)
    }

    /// The next model, with the tensors and shapes of `step.after`.
    ///
    /// # Errors
    /// Whatever the hook says; it ends the simulation.
    fn step(&mut self, _step: ServerStep<'_>) -> Result<Option<Parameters>, HookError> {
        Ok(None)
    }
}

/// The cohorts of a sum: the one that the hook gives, and the usual ones where it gives none.
pub(crate) fn cohorts(
    hooks: &mut dyn Hooks,
    usual: Vec<Vec<usize>>,
    task: &Task,
    draw: Draw<'_>,
) -> Result<Vec<Vec<usize>>, SimulateError> {
    let clients = hooks.sample(draw).map_err(SimulateError::Hook)?;
    let Some(clients) = clients else {
        return Ok(usual);
    };
    let refuse = |problem| SimulateError::Sampler {
        round: draw.round,
        problem,
    };
    if task.privacy.bound().is_some() {
        let problem = "with noise everyone takes part in every sum, which what is promised counts on: leave the sampler \
            out, or the noise";
        return Err(refuse(problem.to_owned()));
    }
    if clients.is_empty() {
        let problem = "it gave nobody: give one client at least";
        return Err(refuse(problem.to_owned()));
    }
    let mut cohort = BTreeSet::new();
    for client in clients {
        if client >= draw.population {
            let problem = format!(
                "there is no client {client}: they are numbered from 0 to {}",
                draw.population.saturating_sub(1)
            );
            return Err(refuse(problem));
        }
        if !cohort.insert(client) {
            return Err(refuse(format!(
                "client {client} is there twice: give each once"
            )));
        }
    }
    Ok(vec![cohort.into_iter().collect()])
}

/// The next model: the one that the hook gives; nothing where it gives none.
pub(crate) fn step(
    hooks: &mut dyn Hooks,
    step: ServerStep<'_>,
) -> Result<Option<Parameters>, SimulateError> {
    let (round, after) = (step.round, step.after);
    let given = hooks.step(step).map_err(SimulateError::Hook)?;
    let Some(given) = given else {
        return Ok(None);
    };
    let refuse = |problem| Err(SimulateError::ServerStep { round, problem });
    let (names, expected): (Vec<&str>, Vec<&str>) = (names(&given), names(after));
    if names != expected {
        let problem = format!("it gave the tensors {names:?}: give {expected:?}");
        return refuse(problem);
    }
    for ((name, tensor), (_, expected)) in given.iter().zip(after.iter()) {
        if tensor.shape != expected.shape {
            let (shape, expected) = (&tensor.shape, &expected.shape);
            return refuse(format!(
                "tensor `{name}` has the shape {shape:?}: give {expected:?}"
            ));
        }
        if tensor.values.iter().any(|value| !value.is_finite()) {
            return refuse(format!("tensor `{name}` holds a value that is not finite"));
        }
    }
    Ok(Some(given))
}

fn names(parameters: &Parameters) -> Vec<&str> {
    parameters.iter().map(|(name, _)| name).collect()
}
