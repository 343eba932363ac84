//! Tests that cross crates.
//!
//! - `tests/layers.rs`: the arrows of the drawing in `crates/README.md`
//! - `tests/tree.rs`: what holds for every file
//! - `tests/proto.rs`: the protocol files and the code generated from them
//! - `vectors/`: numbers that implementations must reproduce
