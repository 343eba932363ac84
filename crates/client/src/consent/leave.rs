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

    /// What it is for, first of all.
    pub fn purpose(self) -> Purpose {
        match self {
            Self::Contribute => Purpose::ContributeTraining,
            Self::Evaluate => Purpose::AggregateStatistics,
            Self::Model => Purpose::LocalPersonalisation,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Over all sets of purposes: a leave is there exactly when its own purposes are, whatever else is granted.
    #[test]
    fn every_leave_is_of_its_own_purposes_alone() {
        use Purpose::{AggregateStatistics, ContributeTraining, LocalPersonalisation};
        let all: Vec<Purpose> = Purpose::all().collect();
        for set in 0u32..1 << all.len() {
            let places = (0..all.len()).filter(|place| set >> place & 1 == 1);
            let granted: BTreeSet<Purpose> = places.map(|place| all[place]).collect();
            let has = |purpose| granted.contains(&purpose);
            let contributes = has(ContributeTraining);
            let expected = [
                (Leave::Contribute, contributes),
                (Leave::Evaluate, contributes && has(AggregateStatistics)),
                (Leave::Model, contributes || has(LocalPersonalisation)),
            ];
            for (leave, is_given) in expected {
                let missing = leave.missing(&granted);
                assert_eq!(missing.is_none(), is_given, "{leave:?} {granted:?}");
                assert!(missing.is_none_or(|purpose| !has(purpose)));
            }
        }
    }
}
