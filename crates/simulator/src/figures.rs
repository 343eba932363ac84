use chorus_model::{Measured, Quality};
use chorus_protocol::Funnel;
use serde::{Deserialize, Serialize};

/// Whether clients added noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// No: sums are exact and no differential privacy is claimed.
    #[default]
    Off,
    /// Each client added its share of discrete Gaussian noise.
    Distributed,
    /// One party added the noise to each sum.
    Central,
    /// Each client added noise enough for its own report.
    Local,
}

/// What a federation measured: the content of `--json` of `chorus simulate` and `chorus demo`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Share of people whose held-out item is among the first ten of it and its listed negatives.
    pub hr_at_10: f64,
    /// Normalised discounted cumulative gain at ten, the same ranking.
    pub ndcg_at_10: f64,
    /// Share of people whose held-out item is among the first ten of every item they have not touched.
    pub full_hr_at_10: f64,
    /// Normalised discounted cumulative gain at ten, over every item they have not touched.
    pub full_ndcg_at_10: f64,
    /// Share of people whose held-out item is among the first twenty of every item they have not touched.
    pub full_recall_at_20: f64,
    /// Discounted cumulative gain of the held-out items at twenty over the largest possible, over every item they have not
    /// touched.
    #[serde(default)]
    pub full_ndcg_at_20: f64,
    /// `hr_at_10` of ranking by popularity in the training data.
    pub popularity_hr_at_10: f64,
    /// `ndcg_at_10` of ranking by popularity.
    pub popularity_ndcg_at_10: f64,
    /// `full_hr_at_10` of ranking by popularity.
    pub popularity_full_hr_at_10: f64,
    /// `full_ndcg_at_10` of ranking by popularity.
    pub popularity_full_ndcg_at_10: f64,
    /// `full_recall_at_20` of ranking by popularity.
    pub popularity_full_recall_at_20: f64,
    /// `full_ndcg_at_20` of ranking by popularity.
    #[serde(default)]
    pub popularity_full_ndcg_at_20: f64,
    /// The same figures of the noisy counts and the public item features alone; nothing without noise or without features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Rounds that the task has; a sum that is split over C cohorts takes C of them.
    pub rounds: usize,
    /// Rounds that ended with a sum.
    pub rounds_completed: usize,
    /// Clients in the population.
    pub clients: usize,
    /// Invited clients that are not in the sum of their round, over all rounds.
    pub dropouts: usize,
    /// Privacy loss of one client over the whole task; nothing when noise is off.
    pub epsilon: Option<f64>,
    /// The probability at which `epsilon` may fail; nothing when noise is off.
    pub delta: Option<f64>,
    /// Bytes of the longest upload that one client sends in one round.
    pub upload_bytes_per_client: u64,
    /// Seconds from the first invitation to the last figure.
    pub wall_seconds: f64,
    /// True when every recovered sum equals the sum of the encoded updates, bit for bit and without wrapping.
    pub sum_exact: bool,
    /// Share of contributions whose norm was cut down to the bound.
    pub clipped_share: f64,
    /// The choice of noise.
    pub noise: Noise,
    /// Cohorts over which one noised sum was split; its noise variance was multiplied by as much.
    pub split: usize,
    /// What server steps did out of the ordinary, such as the guard's going back: the round's name and a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What clients said of the model by sums of their own ranks, where the task is evaluated: of items that they left out of
    /// all they added, so neither what was measured nor the people are those of the figures above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub live: Vec<Live>,
    /// Share of the people that quality is measured on whose list of ten, of everything that they have not touched, holds the item
    /// that attackers promote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<f64>,
    /// The seed.
    pub seed: u64,
    /// Name of the data.
    pub data: String,
    /// The command that measured this, as it can be repeated.
    pub command: String,
}

/// What one sum of ranks said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The sum.
    pub round: String,
    /// What it said; nothing where that would be of fewer than 50 people, or where no clients could have such ranks.
    pub measured: Option<Measured>,
    /// The sum that had found a better model, which took the place of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<String>,
}

/// What the public item features and the noisy counts reach with the same ridge on the device, and no other sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// `hr_at_10`.
    pub hr_at_10: f64,
    /// `ndcg_at_10`.
    pub ndcg_at_10: f64,
    /// `full_hr_at_10`.
    pub full_hr_at_10: f64,
    /// `full_ndcg_at_10`.
    pub full_ndcg_at_10: f64,
    /// `full_recall_at_20`.
    pub full_recall_at_20: f64,
    /// `full_ndcg_at_20`.
    #[serde(default)]
    pub full_ndcg_at_20: f64,
}

impl From<&Quality> for Content {
    fn from(quality: &Quality) -> Self {
        Self {
            hr_at_10: quality.hr_at_10,
            ndcg_at_10: quality.ndcg_at_10,
            full_hr_at_10: quality.full_hr_at_10,
            full_ndcg_at_10: quality.full_ndcg_at_10,
            full_recall_at_20: quality.full_recall_at_20,
            full_ndcg_at_20: quality.full_ndcg_at_20,
        }
    }
}

impl Figures {
    /// What clients said of the model that is served: in the last sum of ranks, or in the one whose model took that one's place.
    pub fn served(&self) -> Option<&Live> {
        let last = self.live.last()?;
        let back = last.back_to.as_ref();
        let found = back.and_then(|back| self.live.iter().find(|live| live.round == *back));
        found.or(Some(last))
    }

    /// Writes the figures of the model and of popularity.
    pub fn set_quality(&mut self, model: &Quality, popularity: &Quality) {
        self.hr_at_10 = model.hr_at_10;
        self.ndcg_at_10 = model.ndcg_at_10;
        self.full_hr_at_10 = model.full_hr_at_10;
        self.full_ndcg_at_10 = model.full_ndcg_at_10;
        self.full_recall_at_20 = model.full_recall_at_20;
        self.full_ndcg_at_20 = model.full_ndcg_at_20;
        self.popularity_hr_at_10 = popularity.hr_at_10;
        self.popularity_ndcg_at_10 = popularity.ndcg_at_10;
        self.popularity_full_hr_at_10 = popularity.full_hr_at_10;
        self.popularity_full_ndcg_at_10 = popularity.full_ndcg_at_10;
        self.popularity_full_recall_at_20 = popularity.full_recall_at_20;
        self.popularity_full_ndcg_at_20 = popularity.full_ndcg_at_20;
    }
}

/// One round, as the report shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundRow {
    /// The named sum; with a number behind it where the sum is split over cohorts.
    pub name: String,
    /// How many clients passed each phase.
    pub funnel: Funnel,
    /// True when the round ended with a sum.
    pub completed: bool,
    /// The model after this round, where it was measured.
    pub quality: Option<Quality>,
    /// Seconds from the invitation to the sum.
    pub seconds: f64,
    /// Bytes of one upload.
    pub upload_bytes: u64,
    /// What one client has spent by the end of this round; nothing when noise is off.
    pub epsilon: Option<f64>,
    /// Contributions whose norm was cut down to the bound.
    pub clipped: usize,
    /// True when the recovered sum equals the sum of the encoded updates.
    pub sum_exact: bool,
    /// Server steps that updates came late by, mean; nothing where updates come in rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staleness: Option<f64>,
    /// What clients' own ranks say of the model; nothing where the sum is not of ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
    /// What the server step did out of the ordinary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl RoundRow {
    /// The note with the round's name before it.
    pub fn remark(&self) -> Option<String> {
        let note = self.note.as_ref()?;
        Some(format!("{}: {note}", self.name))
    }

    /// Invited clients that are not in the sum.
    pub fn dropouts(&self) -> usize {
        self.funnel.invited.saturating_sub(self.funnel.uploaded)
    }
}
