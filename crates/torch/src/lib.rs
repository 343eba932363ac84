#![doc = include_str!("../README.md")]

mod engine;
mod solve;
mod trained;
mod trainer;

pub use engine::Torch;
pub use trained::{Autograd, ModuleError, check_module};
