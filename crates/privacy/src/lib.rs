#![doc = include_str!("../README.md")]

mod accountant;
pub mod audit;
mod clip;
mod encoding;
mod error;
mod guarantee;
mod noise;
mod quantise;
mod rotation;
mod survivors;
mod update;
mod words;

pub use accountant::{ACCOUNTANT, Release, Spent, SummedNoise, SummedSkellam, calibrate, spent};
pub use accountant::{Accountant, Answer, Bound, Event, Kind, Mechanism};
pub use accountant::{account, gaussian, lattice, matrix, renyi, subsampled};
pub use clip::{ClippedUpdate, clip, clip_groups};
pub use encoding::{Encoding, LARGEST_LENGTH, decode};
pub use error::PrivacyError;
pub use guarantee::Guarantee;
pub use noise::{
    Law, LayerSeed, LayeredNoise, LocalNoise, MAX_SKELLAM_VARIANCE, MAX_VARIANCE, MIN_VARIANCE,
    MOST_LAYERS, NoiseShare, NoisedUpdate, add_noise, fill_discrete_gaussian, fill_skellam,
    sample_discrete_gaussian,
};
pub use quantise::{QuantisedUpdate, quantise};
pub use survivors::{Splitting, Survivors, splitting, survivors};
pub use update::Update;
