use std::collections::BTreeSet;

use chorus_model::Step;
use chorus_protocol::RoundPlan;

use super::Purpose;

/// What a request needs of the person before it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Enrolling, being there, and rounds: the leave to contribute.
    Contribute,
    /// A round that asks how well a model does: beside that, the leave for statistics.
    Evaluate,
    /// Fetching what everybody gets: any leave that a model is of use for.
    Model,
}

impl Leave {
    /// What everything that is sent in a round of this plan needs.
    pub fn of(plan: &RoundPlan) -> Self {
        match plan.step {
            Step::Ranks => Self::Evaluate,
            _ => Self::Contribute,
        }
    }

    /// The first purpose that is missing, if any is.
    pub fn missing(self, granted: &BTreeSet<Purpose>) -> Option<Purpose> {
        use Purpose::{AggregateStatistics, ContributeTraining, LocalPersonalisation};
        let all: &[Purpose] = match self {
            Self::Contribute => &[ContributeTraining],
            Self::Evaluate => &[ContributeTraining, AggregateStatistics],
            Self::Model if granted.contains(&ContributeTraining) => &[],
            Self::Model => &[LocalPersonalisation],
        };
        all.iter()
            .find(|purpose| !granted.contains(purpose))
            .copied()
    }
}
