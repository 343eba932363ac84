use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::guard::Guard;

/// What `models/NAME/model.toml` says: how scores come about, every tensor, how clients learn and what the coordinator
/// does with the sum of what they learned.
///
/// It does not know the size of a catalogue: a shape says `items` for it. The signed task holds the plan, and so does every
/// published model, so that a client can open one that it stored.
///
/// ```
/// # use chorus_model::ModelPlan;
/// let plan: ModelPlan = serde_json::from_str(r#"{
///     "name": "small", "architecture": "factors", "loss": "binary",
///     "tensors": [{"name": "items", "shape": ["items", 8], "group": "items", "initial": {"normal": 0.1}}],
///     "groups": {"items": 1.0},
///     "client": {"batch": 128, "step_size": 1.0, "negatives": 4, "person": {"steps": 5, "step_size": 1.0}},
///     "server": {"optimiser": "fedadam", "step_size": 0.01}
/// }"#).unwrap();
/// assert_eq!(plan.validate(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPlan {
    /// Its name: 1 to 64 characters of a-z, 0-9 and `-`.
    pub name: String,
    /// How a score comes about.
    pub architecture: Architecture,
    /// SHA-256 of the module, of a `torchscript` model: 64 digits of a-f, 0-9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// What learning makes small.
    pub loss: Loss,
    /// Every tensor of the shared model but `counts` and `clip`, which every model has. Those of a clip group stand together.
    pub tensors: Vec<TensorPlan>,
    /// The clip groups: L2 bound of what one client changes in the tensors of the group, in parameter units. With
    /// [`ModelPlan::adaptive`] it is the bound of the first round.
    pub groups: BTreeMap<String, f64>,
    /// Moves the bounds to a quantile of the norms of the clients; left out: they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveClip>,
    /// How a client learns.
    pub client: ClientPlan,
    /// What the coordinator does with the mean.
    pub server: ServerPlan,
}

/// How a score comes about from the tensors and a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// The dot product of a person vector with the rows of `items` `[items, factors]`, plus `item-bias` `[items]` where
    /// there is one. The engine in plain Rust has it.
    Factors,
    /// A dot product and a tower over both vectors, side by side (He et al. 2017). Needs libtorch.
    Neumf,
    /// An item tower over the rows of public item features. Needs libtorch.
    TwoTower,
    /// The next item of a sequence. Needs libtorch.
    Sequence,
    /// A TorchScript module of one's own. Needs libtorch.
    Torchscript,
}

/// What learning makes small, for a score s and a label y (1 for an item of the history, 0 for a negative).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// (s - y)^2 / 2.
    Squared,
    /// Binary cross-entropy of sigmoid(s) and y.
    Binary,
    /// -ln sigmoid(s - s') for an item of the history and a negative (Rendle et al. 2009, BPR).
    Bpr,
    /// Cross-entropy of the softmax over an item and its negatives.
    Softmax,
}

/// One tensor of the shared model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorPlan {
    /// Its name: 1 to 64 characters of a-z, 0-9 and `-`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<Dimension>,
    /// Its clip group; of a tensor that is not trained, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it holds before the first round.
    pub initial: Initial,
    /// False for a tensor that stays as it was published first.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub trained: bool,
}

/// One number of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dimension {
    /// A number, at least 1.
    Fixed(usize),
    /// The size of the catalogue.
    Catalogue(Catalogue),
}

/// The word for the size of the catalogue in a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Catalogue {
    /// `items`.
    #[serde(rename = "items")]
    Items,
}

/// What a tensor holds before the first round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initial {
    /// Zeros.
    Zeros,
    /// One number everywhere.
    Constant(f64),
    /// Normal draws of this standard deviation.
    Normal(f64),
    /// Uniform draws between this number and its negative.
    Uniform(f64),
    /// The public item features of the task, in the columns of their order; further columns are zeros. Of a tensor
    /// `["items", columns]` that is not trained.
    Features,
}

/// Bounds that follow a quantile of the clients' norms (Andrew et al. 2021, arXiv 1905.03871; `privacy.md` 1.1).
///
/// Each client says of each group whether its norm was at most the published bound C, in one coordinate of its contribution
/// centred on zero: (1 or 0, minus 1/2) times `weight`. From the share b of those within, C becomes C exp(-eta (b - gamma)).
/// A contribution is scaled to a bound of 1 a group before it is clipped, so the protocol's bound is the same in every
/// round: sqrt(groups (1 + weight^2 / 4)). The accountant sees the vector as a whole; the bits cost that factor in noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveClip {
    /// gamma: the share of clients whose norm is to be within the bound, above 0 and below 1.
    #[serde(default = "half")]
    pub quantile: f64,
    /// eta: how fast the bound moves, above 0 and up to 2.
    #[serde(default = "fifth")]
    pub step_size: f64,
    /// What the bit weighs beside an update of norm 1, above 0 and up to 2. The noise of the share is the noise of a coordinate
    /// over this and the clients.
    #[serde(default = "fifth")]
    pub weight: f64,
}

/// How a client learns in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientPlan {
    /// Passes over the examples, 1 to 100.
    #[serde(default = "one")]
    pub epochs: usize,
    /// Examples of a step, at least 1.
    pub batch: usize,
    /// Step size on the shared tensors.
    pub step_size: f64,
    /// Negatives for each item of the history, at most 1,000: uniform over the catalogue. What is held out to measure the
    /// model is drawn like any other item: clients know nothing of it.
    pub negatives: usize,
    /// Whether a negative that the history holds is drawn again.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub redraw: bool,
    /// mu of FedProx (Li et al. 2020): the loss has mu / 2 times the squared distance to the published tensors.
    #[serde(default)]
    pub proximal: f64,
    /// How the person's own parameters are rebuilt from the history before the shared ones are trained (Singhal et al. 2021,
    /// FedRecon); left out for models without any. They never leave the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonPlan>,
}

/// How the person's own parameters are rebuilt: from zeros, in full-batch gradient steps, the shared tensors fixed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonPlan {
    /// Steps, 1 to 1,000.
    pub steps: usize,
    /// Step size on the mean gradient over the examples.
    pub step_size: f64,
    /// lambda: the mean loss has lambda / 2 times the squared norm of the person vector.
    #[serde(default)]
    pub regularisation: f64,
}

/// What the coordinator does with the mean of the updates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerPlan {
    /// The optimiser.
    pub optimiser: Optimiser,
    /// eta.
    pub step_size: f64,
    /// beta_1, of `fedavgm` the momentum; in 0..1.
    #[serde(default = "beta1")]
    pub beta1: f64,
    /// beta_2 of `fedadam` and `fedyogi`; in 0..1.
    #[serde(default = "beta2")]
    pub beta2: f64,
    /// tau: what is added to the root of the second moment.
    #[serde(default = "tau")]
    pub tau: f64,
    /// v_-1, the second moment before the first round; left out: tau^2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_moment: Option<f64>,
    /// What the step size is multiplied with from round to round.
    #[serde(default)]
    pub schedule: Schedule,
    /// What it does not believe.
    #[serde(default)]
    pub guard: Guard,
}

/// Server optimisers: Reddi et al. 2021, Adaptive Federated Optimization (arXiv 2003.00295), Algorithms 1 and 2. With D the
/// mean of the updates, x the tensors, and squares and roots taken of each word:
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// x + eta D.
    FedAvg,
    /// m = beta_1 m + D; x + eta m (Hsu et al. 2019).
    FedAvgM,
    /// m = beta_1 m + (1 - beta_1) D; v = beta_2 v + (1 - beta_2) D^2; x + eta m / (sqrt(v) + tau).
    FedAdam,
    /// The same with v = v - (1 - beta_2) D^2 sign(v - D^2).
    FedYogi,
    /// The same with v = v + D^2.
    FedAdagrad,
}

/// What the server's step size is multiplied with in round t, from 0, of R.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// 1.
    #[default]
    Constant,
    /// 1 / (1 + t / this).
    Inverse(f64),
    /// From 1 down to this in half a wave.
    Cosine(f64),
    /// `factor` to the power of floor(t / `every`).
    Step {
        /// Rounds between two changes, at least 1.
        every: usize,
        /// In (0, 1].
        factor: f64,
    },
}

impl ModelPlan {
    /// SHA-256 of its canonical JSON: the fields in the order of this type, without spaces.
    ///
    /// # Errors
    /// When a number of it is not finite.
    pub fn digest(&self) -> Result<[u8; 32], serde_json::Error> {
        Ok(Sha256::digest(self.to_json()?).into())
    }

    /// The canonical JSON.
    ///
    /// # Errors
    /// When a number of it is not finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Width of the person vector: the columns of `items`, or 0 without such a table.
    pub fn factors(&self) -> usize {
        let items = self.tensors.iter().find(|tensor| tensor.name == "items");
        match items.map(|tensor| tensor.shape.as_slice()) {
            Some([Dimension::Catalogue(_), Dimension::Fixed(factors)]) => *factors,
            _ => 0,
        }
    }
}

impl TensorPlan {
    /// Its shape in a catalogue of `items`.
    pub fn resolved(&self, items: usize) -> Vec<usize> {
        let number = |dimension: &Dimension| match dimension {
            Dimension::Fixed(number) => *number,
            Dimension::Catalogue(Catalogue::Items) => items,
        };
        self.shape.iter().map(number).collect()
    }
}

fn yes() -> bool {
    true
}
fn is_true(value: &bool) -> bool {
    *value
}
fn one() -> usize {
    1
}
fn half() -> f64 {
    0.5
}
fn fifth() -> f64 {
    0.2
}
fn beta1() -> f64 {
    0.9
}
fn beta2() -> f64 {
    0.99
}
fn tau() -> f64 {
    1e-3
}
