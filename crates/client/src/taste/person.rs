use serde::{Deserialize, Serialize};

use crate::map::{AgeBand, Region};

/// What a person said about themselves. Never guessed, and never finer than this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Person {
    /// About how old they are.
    pub age: Option<AgeBand>,
    /// About where they live.
    pub region: Option<Region>,
}
