//! What a run is asked for by: keys with values, whoever wrote them.

mod error;
pub mod ranges;
mod task;

use std::collections::BTreeMap;
use std::path::PathBuf;

use chorus_privacy::Law;
use serde_json::Value;

use crate::{Attack, Sampling};

pub use error::{SettingsError, nearest};
use ranges::within;
pub use task::{DEFAULT_EPSILON, trained, width};

/// Keys with what was given for them.
pub type Keys = BTreeMap<String, Value>;

/// Whether noise is added, and how, where the clients do not share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseChoice {
    /// No noise: exact sums, no differential privacy.
    Off,
    /// Noise on every report that makes it private by itself.
    Local,
}

/// One line a key: its field, what it is where nobody gives it, and what reads it from text.
macro_rules! settings {
    ($($(#[$words:meta])* $key:literal: $field:ident: $kind:ty = $usual:expr, $read:expr;)*) => {
        /// Everything that a run is asked for, by the keys that `chorus simulate --config` takes. What says where results go is
        /// of whoever asks.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings {
            $($(#[$words])* pub $field: $kind,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($field: $usual,)* }
            }
        }

        impl Settings {
            /// Every key.
            pub const KEYS: &[&str] = &[$($key),*];

            fn set(&mut self, key: &str, value: &Value) -> Result<(), SettingsError> {
                match key {
                    $($key => self.$field = taken($key, value, $read)?,)*
                    _ => return Err(SettingsError::unknown(key, Self::KEYS)),
                }
                Ok(())
            }
        }
    };
}

settings! {
    /// The data set; the caller reads it.
    "data": data: Option<PathBuf> = None, some(path);
    /// The plan of a model, or its folder; the caller reads it. Nothing for `ials` without noise, `ials-private` with it.
    "model": model: Option<PathBuf> = None, some(path);
    /// Without it, and with an epsilon, the clients' shares of noise protect the sum together.
    "noise": noise: Option<NoiseChoice> = None, some(noise);
    /// Privacy bound over everything that one client contributes.
    "epsilon": epsilon: Option<f64> = None, some(ranges::epsilon);
    /// Probability at which epsilon may fail.
    "delta": delta: f64 = 1e-5, ranges::delta;
    /// Directions that a sweep learns, or the width of the item table.
    "factors": factors: Option<usize> = None, some(within(1, 1_024));
    /// Share of the clients in one round.
    "cohort": cohort: Option<f64> = None, some(ranges::some_share);
    /// Gradient rounds.
    "rounds": rounds: Option<usize> = None, some(within(1, 100_000));
    /// Rounds after those for the model that ranks beside the item table.
    "head": head: Option<usize> = None, some(within(0, 100_000));
    /// Sweeps with noise.
    "sweeps": sweeps: Option<usize> = None, some(within(1, 20));
    /// The weighted count from which an item's row is learned, with noise.
    "row-threshold": row_threshold: f64 = 20.0, ranges::threshold;
    /// Leaves out what the data says about its items publicly.
    "no-features": no_features: bool = false, whether;
    /// Disjoint cohorts of each noised sum.
    "split": split: usize = 1, within(1, 100_000);
    /// Largest share of a round's clients that may be lost.
    "bearable-dropout": bearable_dropout: Option<f64> = None, some(ranges::bearable);
    /// Bits of one value of a sum.
    "bits": bits: u32 = 32, ranges::ring_bits;
    /// Asks for a witness where the number of clients does not.
    "witness": witness: bool = false, whether;
    /// Rows of the item table in each round.
    "block": block: Option<usize> = None, some(within(1, 1 << 24));
    /// The law of each client's noise.
    "mechanism": mechanism: Law = Law::DiscreteGaussian, law;
    /// Rotates updates before they are rounded.
    "rotation": rotation: bool = false, whether;
    /// Takes noise off again that was planned for clients that then did not vanish.
    "remove-surplus": remove_surplus: bool = false, whether;
    /// Decides everything that is drawn.
    "seed": seed: u64 = 1, ranges::seed;
    /// Share of a round's clients that vanish.
    "dropout": dropout: f64 = 0.0, ranges::bearable;
    /// Parts of those that vanish, by what they do not send any more: keys, shares, confirmations, updates, help with the unmasking.
    "dropout-phases": dropout_phases: [u8; 5] = [1, 1, 1, 1, 0], ranges::phases;
    /// Share of a round's clients whose update comes too late.
    "stragglers": stragglers: f64 = 0.0, ranges::bearable;
    /// How cohorts are drawn.
    "sampling": sampling: Sampling = Sampling::Turns, sampling;
    /// A trace of when clients can be reached.
    "availability": availability: Option<PathBuf> = None, some(path);
    /// Share of the clients that attack.
    "malicious": malicious: Option<f64> = None, some(ranges::share);
    /// What they send.
    "attack": attack: Option<Attack> = None, some(attack);
    /// How often the sum holds what they send.
    "strength": strength: Option<usize> = None, some(within(1, 10_000));
    /// The item that they promote.
    "promote": promote: Option<usize> = None, some(within(0, 1 << 24));
    /// Updates of one server step, where they come one by one.
    "buffer": buffer: Option<usize> = None, some(within(1, 100_000));
    /// Server steps that an update may come late by.
    "staleness": staleness: usize = 20, within(0, 100_000);
    /// Runs keys, shares and masks too.
    "masks": masks: bool = false, whether;
    /// Draws the noise of each sum in one piece.
    "noise-at-once": noise_at_once: bool = false, whether;
    /// One party adds the noise to each sum.
    "central-noise": central_noise: bool = false, whether;
    /// How often every user is there; the caller makes the copies.
    "copies": copies: usize = 1, within(1, 1 << 22);
    /// People that quality is measured on after each round.
    "measured": measured: usize = 1_000, within(0, 1 << 22);
    /// Rounds between two evaluations by the clients themselves.
    "evaluate": evaluate: Option<usize> = None, some(within(1, 100_000));
    /// Threads to compute with; the caller starts them.
    "threads": threads: Option<usize> = None, some(within(1, 1_024));
}

impl Settings {
    /// Of keys as they stand in a file, or as text.
    ///
    /// # Errors
    /// An unknown key, with the nearest; a value that its key does not take, with what it takes.
    pub fn of(keys: &Keys) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for (key, value) in keys {
            settings.set(key, value)?;
        }
        Ok(settings)
    }
}

fn taken<T>(
    key: &'static str,
    value: &Value,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, SettingsError> {
    let taken = match value {
        Value::String(text) => read(text),
        Value::Number(number) => read(&plainly(number)),
        Value::Bool(flag) => read(&flag.to_string()),
        _ => Err("expected a number, a text, or true or false".to_owned()),
    };
    taken.map_err(|expected| SettingsError::Value {
        key,
        expected,
        found: value.to_string(),
    })
}

/// A number as text: `30.0` is a whole number where one is expected.
pub fn plainly(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => value.to_string(),
        _ => number.to_string(),
    }
}

fn some<T>(read: impl Fn(&str) -> Result<T, String>) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| read(text).map(Some)
}

fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

fn whether(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| "expected true or false".to_owned())
}

fn noise(text: &str) -> Result<NoiseChoice, String> {
    match text {
        "off" => Ok(NoiseChoice::Off),
        "local" => Ok(NoiseChoice::Local),
        _ => Err("expected `off` or `local`".to_owned()),
    }
}

fn sampling(text: &str) -> Result<Sampling, String> {
    match text {
        "turns" => Ok(Sampling::Turns),
        "uniform" => Ok(Sampling::Uniform),
        "poisson" => Ok(Sampling::Poisson),
        _ => Err("expected `turns`, `uniform` or `poisson`".to_owned()),
    }
}

fn attack(text: &str) -> Result<Attack, String> {
    match text {
        "random" => Ok(Attack::Random),
        "sign-flip" => Ok(Attack::SignFlip),
        "scaled" => Ok(Attack::Scaled),
        "promotion" => Ok(Attack::Promotion),
        _ => Err("expected `random`, `sign-flip`, `scaled` or `promotion`".to_owned()),
    }
}

fn law(text: &str) -> Result<Law, String> {
    match text {
        "discrete-gaussian" => Ok(Law::DiscreteGaussian),
        "skellam" => Ok(Law::Skellam),
        _ => Err("expected `discrete-gaussian` or `skellam`".to_owned()),
    }
}
