#![doc = include_str!("../README.md")]

mod engine;
mod solve;
mod trainer;

pub use engine::Torch;
