use chorus_model::{LearnError, MetricsError, ParametersError, RecipeError, TrainError};
use chorus_privacy::PrivacyError;
use chorus_protocol::{Refusal, TaskError};
use thiserror::Error;

use crate::{Farewell, HookError};

/// Why a federation could not be simulated.
#[derive(Debug, Error)]
pub enum SimulateError {
    /// The task cannot be run.
    #[error("task: {0}")]
    Task(#[from] TaskError),
    /// The plan of a model cannot be followed.
    #[error("recipe: {0}")]
    Recipe(#[from] RecipeError),
    /// The task is for another population than the data holds.
    #[error(
        "the task is for {task} clients, but the data holds {data} users: set `population` to {data}"
    )]
    Population {
        /// Clients of the task.
        task: usize,
        /// Users of the data.
        data: usize,
    },
    /// The recipe has another catalogue than the data.
    #[error(
        "the recipe is for {recipe} items, but the data has {data}: set `recipe.items` to {data}"
    )]
    Catalogue {
        /// Items of the recipe.
        recipe: usize,
        /// Items of the data.
        data: usize,
    },
    /// More clients would vanish than the task bears.
    #[error(
        "dropout: {wanted} of the clients are to vanish, but the task ends a round that loses more than {borne}: \
         raise the task's dropout, which costs noise, or let fewer vanish"
    )]
    Dropout {
        /// Share of clients that were to vanish.
        wanted: f64,
        /// Share that the task bears.
        borne: f64,
    },
    /// A task without shared noise.
    #[error(
        "only a task with `noise = \"distributed\"` is audited: without noise nothing is claimed, and local noise is of the \
         report, not of the sum"
    )]
    NothingToAudit,
    /// Canaries that the sums have no room for, or too few to tell anything.
    #[error(
        "canaries: {wanted} were asked for; they count as honest participants, of which a sum has {most} for certain: \
         take 2 to {most}"
    )]
    Canaries {
        /// Canaries that were asked for.
        wanted: usize,
        /// Honest participants of the smallest sum.
        most: usize,
    },
    /// Too few people to tell an attack that works from chance.
    #[error(
        "attacks: {people} people have {shortest} items or more; a sixth of them is attacked and a sixth sends zeros, so take data \
         with at least {fewest} of them"
    )]
    TooFewToAttack {
        /// People with enough items.
        people: usize,
        /// Items that are enough.
        shortest: usize,
        /// People that are enough.
        fewest: usize,
    },
    /// Too few clients for a round, however long it waits.
    #[error(
        "sampling: a round needs {needed} clients, and at most {most} were drawn of those that can be reached in any of 1,000 slots: \
         take a larger cohort, or a trace in which more are there at the same time"
    )]
    TooFew {
        /// The most that were drawn.
        most: usize,
        /// What a round needs.
        needed: usize,
    },
    /// The model grew beyond all bounds.
    #[error(
        "round {round}: the run diverges: after `{sum}` the model holds {largest:e}; take a smaller step, a smaller clip or more clients a \
         round"
    )]
    Diverged {
        /// The round, from 1.
        round: usize,
        /// The sum that did it.
        sum: String,
        /// The largest number of the model; not a number where one of them is none.
        largest: f32,
    },
    /// What somebody asked for cannot be.
    #[error("{key}: {problem}")]
    Conduct {
        /// What was asked for.
        key: &'static str,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Masks hide each client's own noise, which is not drawn here.
    #[error(
        "noise at once: with masks every client draws its own share of the noise; leave one of the two out"
    )]
    NoiseAtOnce,
    /// A sampler that gave what is no cohort.
    #[error("round {round}: sampler: {problem}")]
    Sampler {
        /// The round, from 1.
        round: usize,
        /// What it gave, and what to give.
        problem: String,
    },
    /// A server step that gave what is no model of the task.
    #[error("round {round}: server_step: {problem}")]
    ServerStep {
        /// The round, from 1.
        round: usize,
        /// What it gave, and what to give.
        problem: String,
    },
    /// What a hook says.
    #[error("a hook: {0}")]
    Hook(HookError),
    /// A client could not learn.
    #[error("a client: {0}")]
    Train(#[from] TrainError),
    /// A contribution could not be encoded, or its cost not be counted.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The server step failed.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// The model cannot be written as a file.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// Scores that cannot be measured.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// Another process of the company ended.
    #[error("{0}")]
    Company(#[from] Farewell),
    /// A client refused a message of the protocol.
    #[error("round {round}: a client left: {refusal}")]
    Refused {
        /// The round, from 1.
        round: u64,
        /// Why.
        refusal: Refusal,
    },
    /// A round with masks ended without a sum.
    #[error("round {round} ended without a sum: {reason}")]
    Aborted {
        /// The round, from 1.
        round: u64,
        /// Why.
        reason: String,
    },
    /// A message of the protocol could not be written.
    #[error("round {round}: {reason}")]
    Message {
        /// The round, from 1.
        round: u64,
        /// Why.
        reason: String,
    },
}

/// Why a model could not be measured.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// A person vector could not be solved.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The model does not fit.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// A score is not finite, or a case names an unknown item.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Scores could not be read.
    #[error("scores could not be read: {0}")]
    Read(std::io::Error),
    /// A score matrix that ends too early.
    #[error(
        "the score file ends within a row: it must hold one row of {items} little-endian f32 for every user"
    )]
    Shorter {
        /// Items in the catalogue.
        items: usize,
    },
    /// A score matrix with more than the users of the data.
    #[error(
        "the score file goes on behind {users} rows of {items} scores: it is of another data set"
    )]
    Longer {
        /// Users in the data.
        users: usize,
        /// Items in the catalogue.
        items: usize,
    },
    /// Another process of the company ended.
    #[error("{0}")]
    Company(#[from] Farewell),
    /// Scores could not be written.
    #[error("scores could not be written: {0}")]
    Write(#[from] std::io::Error),
}
