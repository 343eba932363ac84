#![doc = include_str!("../README.md")]

mod algebra;
mod block;
mod bounded;
mod delta;
mod direct;
mod evaluate;
mod event;
mod features;
mod ials;
mod ials_private;
mod list;
mod metrics;
mod mixing;
mod pace;
mod parameters;
mod possible;
mod rank;
mod recipe;
mod ridge;
mod serving;
mod sum;
mod table;
mod trained;
mod trainer;

pub use block::{Block, BlockError};
pub use bounded::Bounded;
pub use delta::{Delta, MeanDelta};
pub use direct::Direct;
pub use evaluate::{Evaluate, Learned};
pub use event::{Event, ItemId, TrainingSet};
pub use features::{FeaturesError, ItemFeatures};
pub use ials::IalsRecipe;
pub use ials_private::{Features, IalsPrivateRecipe};
pub use list::{Everything, Recommendation, Shelf, Wish, list};
pub use metrics::{
    Case, Categories, CategoryShare, Estimate, Group, Interval, ListFigures, Lists, Mean, Measured,
    MetricsError, Quality, Ranking, Ranks, World, popularity, rank_full, rank_newest, rank_sampled,
};
pub use mixing::Mixing;
pub use parameters::{Parameters, ParametersError, Tensor};
pub use rank::{by_popularity, finite, products, top};
pub use recipe::{LearnError, Learning, Recipe, RecipeError};
pub use ridge::{Factorised, Ridge};
pub use serving::Serving;
pub use sum::{LENGTH_UNIT, Step, Sum};
pub use trained::{
    AdaptiveClip, Architecture, Catalogue, ClientPlan, ClipGroup, Dimension, Examples, Guard,
    Initial, LARGEST_LOSS, Layout, Learner, Loss, ModelPlan, ModelSource, Opened, Optimiser,
    PersonPlan, Placed, Schedule, ServerPlan, TensorPlan, TrainedRecipe, Turn, within_catalogue,
};
pub use trainer::{Cause, Engine, GoOn, PersonVector, TrainError, Trainer};
