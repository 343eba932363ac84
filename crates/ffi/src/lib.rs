#![doc = include_str!("../README.md")]
// The one surface that speaks C: pointers come in and go out. Every block says why it is sound.
#![allow(unsafe_code)]
#![warn(
    clippy::undocumented_unsafe_blocks,
    clippy::missing_safety_doc,
    unsafe_op_in_unsafe_fn
)]

mod calls;
mod catalogue;
mod code;
mod consent;
mod contribute;
mod control;
mod entry;
mod handle;
mod history;
mod keys;
mod lists;
mod random;
mod rights;
mod text;

pub use calls::*;
pub use catalogue::chorus_catalogue;
pub use code::*;
pub use consent::{
    chorus_asked, chorus_consents, chorus_decide, chorus_notice, chorus_signal, chorus_signals,
    chorus_withdraw,
};
pub use contribute::{chorus_contribute, chorus_stop};
pub use control::{chorus_choices, chorus_choose, chorus_unchoose};
pub use handle::ChorusClient;
pub use history::{chorus_correct, chorus_remove};
pub use keys::{CHORUS_KEY_DONE, CHORUS_KEY_NONE, ChorusKeyStore};
pub use lists::{chorus_explain, chorus_parameters, chorus_rank, chorus_what_if};
pub use rights::{
    chorus_activity, chorus_erase, chorus_erase_folder, chorus_export, chorus_private,
    chorus_verify_receipt,
};

/// The version of what this header says. A higher one may have more calls and codes; a call that is there stays as it is.
pub const CHORUS_ABI_VERSION: i32 = 2;
