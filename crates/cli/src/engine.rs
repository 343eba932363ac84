//! Which engine learns: libtorch when the command was built with it, plain Rust otherwise.

use chorus_model::Engine;

/// The engine of this build.
#[cfg(feature = "torch")]
pub fn engine() -> impl Engine {
    chorus_torch::Torch
}

/// The engine of this build.
#[cfg(not(feature = "torch"))]
pub fn engine() -> impl Engine {
    chorus_model::Direct
}

/// Its name, for reports.
pub const NAME: &str = if cfg!(feature = "torch") {
    "libtorch"
} else {
    "plain Rust"
};
