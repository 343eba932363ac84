use chorus_protocol::TaskError;
use thiserror::Error;

use crate::SimulateError;

/// Why keys make no run.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A key that there is not.
    #[error("unknown key `{key}`; did you mean `{nearest}`?")]
    Unknown {
        /// The key.
        key: String,
        /// The one that is most like it.
        nearest: String,
    },
    /// A value that its key does not take.
    #[error("`{key}`: {expected}, found `{found}`")]
    Value {
        /// The key.
        key: &'static str,
        /// What it takes: `expected …`.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A value that does not go with the data or with another key.
    #[error("`{key}`: {problem}")]
    Impossible {
        /// The key.
        key: &'static str,
        /// Why, and what to do.
        problem: String,
    },
    /// A bound where there is no noise.
    #[error("`epsilon` is a bound on what noise lets through: leave it out with `noise = \"off\"`")]
    EpsilonWithoutNoise,
    /// Nobody said whether there is noise.
    #[error(
        "decide about noise: `epsilon = E` adds noise for that privacy bound, `noise = \"off\"` adds none"
    )]
    NoiseUndecided,
    /// The task that they make cannot be run.
    #[error(transparent)]
    Task(TaskError),
    /// It cannot be simulated with this data.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
}

impl SettingsError {
    pub(super) fn unknown(key: &str, known: &[&str]) -> Self {
        Self::Unknown {
            key: key.to_owned(),
            nearest: nearest(key, known.iter().copied()).to_owned(),
        }
    }

    /// An error of a task that keys made: it names the key instead of the field.
    pub(super) fn of_task(error: TaskError) -> Self {
        let (field, problem) = match &error {
            TaskError::Field { field, problem } => (*field, problem.as_str()),
            TaskError::Recipe(recipe) => (recipe.field.as_ref(), recipe.problem.as_ref()),
            _ => return Self::Task(error),
        };
        let key = match field {
            "cohort" => "cohort",
            "split" => "split",
            "bits" => "bits",
            "factors" => "factors",
            "rounds" => "rounds",
            "head" => "head",
            "sweeps" => "sweeps",
            "block" => "block",
            "dropout" => "bearable-dropout",
            "privacy.delta" => "delta",
            "row_threshold" => "row-threshold",
            _ => return Self::Task(error),
        };
        Self::Impossible {
            key,
            problem: problem.to_owned(),
        }
    }
}

/// The name that is most like a word; nothing where there are none.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> &'a str {
    let near = |name: &&str| strsim::normalized_damerau_levenshtein(word, name);
    let nearest = names
        .into_iter()
        .max_by(|one, other| near(one).total_cmp(&near(other)));
    nearest.unwrap_or_default()
}
