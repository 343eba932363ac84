use chorus_model::{Block, ClipGroup, Step};
use chorus_privacy::{Encoding, LocalNoise, Survivors};
use chorus_secagg::{Assumptions, GraphPlan, PlanError, Ring, RoundDigest, plan};
use serde::{Deserialize, Serialize};

use crate::{Consistency, Digest, PROTOCOL_VERSION, RoundId, TaskName};

/// Everything about one round that its clients and the coordinator must agree on.
///
/// Travels as JSON; the digest is taken over the bytes as they came, so both sides
/// hash the same thing whatever their serialiser does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundPlan {
    /// [`PROTOCOL_VERSION`] of the coordinator.
    pub protocol: u32,
    /// The task that learns.
    pub task: TaskName,
    /// This round.
    pub round: RoundId,
    /// The named sum, unique in the task: `gram-1`. The privacy ledgers are keyed by (task, release).
    pub release: String,
    /// What clients compute.
    pub step: Step,
    /// The rows of the item table that this round trains, the same for everyone; nothing for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
    /// The words of one contribution that are clipped together, each group to its own bound; nothing for all of them together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ClipGroup>,
    /// The task is evaluated: each client leaves its newest item out of what it adds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold_out: bool,
    /// Clip, scale, length and ring of one contribution.
    pub encoding: Encoding,
    /// The noise that each client adds, in grid units.
    pub noise: LocalNoise,
    /// Clients invited.
    pub invited: usize,
    /// Largest share of the invited that can be lost before the round ends without a sum.
    pub dropout: f64,
    /// Clients that must be in the sum, and how many of them are taken to add their noise and not to collude.
    pub survivors: Survivors,
    /// What the graph and the thresholds are computed from. Its shares are shares of the invited.
    pub assumptions: Assumptions,
    /// Who vouches that everyone was told the same.
    pub consistency: Consistency,
    /// The version of the model that is trained.
    pub version: u64,
    /// SHA-256 of that model's bytes.
    pub model: Digest,
    /// The delta at which the privacy loss is counted.
    pub delta: f64,
}

impl RoundPlan {
    /// The digest that every key of the round is derived from: of the protocol version, the task, the round,
    /// the model as the client received it, and the plan as it received that.
    pub fn digest(&self, plan_bytes: &[u8], model: &Digest) -> RoundDigest {
        let digest = Digest::of_parts(
            "chorus/v1/round",
            &[
                &PROTOCOL_VERSION.to_be_bytes(),
                self.task.as_str().as_bytes(),
                &self.round.0.to_be_bytes(),
                &model.0,
                &Digest::of(plan_bytes).0,
            ],
        );
        RoundDigest(digest.0)
    }

    /// Of the invited, how many are not among so many survivors.
    pub fn vanished(&self, survivors: usize) -> usize {
        self.invited.saturating_sub(survivors)
    }

    /// Whether each report is private by itself: no other client's noise is counted on.
    pub fn is_local(&self) -> bool {
        self.noise != LocalNoise::Off && self.survivors.honest == 1
    }

    /// How many of the round's clients are taken to work for the coordinator. Counted among the invited, for all of
    /// them may come: a coordinator that turns away others would make a share of those that came a larger one.
    pub fn corrupt(&self) -> usize {
        self.assumptions.corrupt_of(self.invited)
    }

    /// The graph of a cohort that is left of the invited, and its [`guard`](GraphPlan::guard).
    ///
    /// All the corrupt have come. As large a share of the cohort may be lost as the plan assumes of the invited; where no
    /// graph bears that, as many as are left of those that may be lost, for who did not come is lost already.
    ///
    /// # Errors
    /// When there is no safe one.
    pub(crate) fn graph(&self, cohort: usize) -> Result<(GraphPlan, usize), PlanError> {
        let share = |clients: usize| clients as f64 / cohort as f64;
        let gone = self.invited.saturating_sub(cohort);
        let lost = self.assumptions.dropped_of(self.invited);
        let many = Assumptions {
            corrupt: share(self.corrupt()),
            ..self.assumptions
        };
        let fewer = Assumptions {
            dropout: share(lost.saturating_sub(gone)),
            ..many
        };
        let with = |assumptions: &Assumptions| {
            plan(cohort, assumptions).map(|graph| (graph, graph.guard(assumptions)))
        };
        with(&many).or_else(|_| with(&fewer))
    }

    /// The ring that the sum is taken in.
    pub fn ring(&self) -> Ring {
        // An encoding has at most 32 bits, or it does not come into being. A wider ring than its modulus loses nothing.
        Ring::smallest_holding(self.encoding.bits()).unwrap_or(Ring::Bits32)
    }
}

/// A plan as it travels: its bytes and the coordinator's signature over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// [`RoundPlan`] as JSON.
    pub plan: Vec<u8>,
    /// Ed25519 by the coordinator.
    pub signature: [u8; 64],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;

    fn of(invited: usize) -> RoundPlan {
        let task: Task = serde_json::from_str(
            r#"{"name": "films", "population": 10, "dropout": 0.3, "privacy": {"noise": "off"},
                "recipe": {"algorithm": "ials", "items": 3, "factors": 1, "rounds": 1}}"#,
        )
        .unwrap();
        task.plan(0, invited, RoundId(1), 1, Digest::ZERO).unwrap()
    }

    /// Whoever stays away, there is a graph for those that come, and it bears all the corrupt.
    #[test]
    fn every_cohort_that_the_plan_allows_has_a_graph() {
        for invited in (10..260).chain([300, 1_000, 5_000]) {
            let round = of(invited);
            let corrupt = round.corrupt();
            assert_eq!(corrupt, invited.div_ceil(10));
            let whole = plan(invited, &round.assumptions).unwrap();
            assert_eq!(round.graph(invited).unwrap().0, whole);
            let step = 1 + invited / 100;
            for cohort in (round.survivors.minimum.max(10)..=invited).step_by(step) {
                let (graph, guard) = round.graph(cohort).unwrap();
                if cohort < 100 {
                    assert_eq!(graph.threshold, (cohort + corrupt) / 2 + 1);
                    assert_eq!(guard, 0);
                } else {
                    assert!(guard > 0 && guard <= graph.degree + 1);
                    // The corrupt are as many, so they are denser, and it takes no fewer shares.
                    let same = plan(cohort, &round.assumptions).unwrap();
                    let denser = graph.threshold * same.degree >= same.threshold * graph.degree;
                    assert!(denser, "{cohort} of {invited}");
                }
            }
        }
        assert!(of(20).graph(9).is_err());
        assert!(of(20).graph(0).is_err());
    }
}
