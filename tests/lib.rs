//! Tests that cross crates.
//!
//! - `tests/layers.rs`: the arrows of the drawing in `crates/README.md`
//! - `tests/tree.rs`: what holds for every file
//! - `tests/proto.rs`: the protocol files and the code generated from them
//! - `tests/end_to_end.rs`: a whole federation over TLS, with people who come and go
//! - `tests/canary.rs`: what marked items must not leave behind anywhere but on their client
//! - `tests/fuzz.rs`: every one of the [`targets`] with a few thousand damaged messages; `scripts/fuzz` has more time
//! - `vectors/`: numbers that implementations must reproduce

pub mod targets;
