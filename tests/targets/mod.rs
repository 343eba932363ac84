//! Everything that reads what another party, or the disk, may have made up: each as a function of any bytes that
//! must not stop.
//!
//! A target also checks what must hold of whatever it could read: that writing and reading it again gives the same,
//! that a refusal has a name, that nothing is accepted twice. It stops (panics) when something does not hold. Two
//! programs feed the targets: `tests/fuzz.rs` damages the [`Target::seeds`] in a fixed way for a few seconds, and
//! `scripts/fuzz` lets libFuzzer find its own way for as long as it is given.

mod certificates;
mod masks;
mod messages;
pub mod mutation;
mod servers;
mod state;
mod texts;
mod world;

use mutation::Form;

/// One reader of bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// What `scripts/fuzz` calls it.
    pub name: &'static str,
    /// Reads the bytes, and stops when something does not hold. True when anything in them could be read.
    pub run: fn(&[u8]) -> bool,
    /// Sound inputs of every kind that the target knows: each can be read.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What its inputs look like, for damage that leaves their form whole.
    pub form: Form,
    /// How many damaged inputs take about half a second.
    pub inputs: usize,
}

/// Every target.
pub const ALL: &[Target] = &[
    Target {
        name: "request",
        run: messages::request,
        seeds: messages::requests,
        form: Form::Message { skip: 1 },
        inputs: 10_000,
    },
    Target {
        name: "upload",
        run: messages::upload,
        seeds: messages::uploads,
        form: Form::Bytes,
        inputs: 20_000,
    },
    Target {
        name: "reply",
        run: messages::reply,
        seeds: messages::replies,
        form: Form::Message { skip: 0 },
        inputs: 10_000,
    },
    Target {
        name: "training-calls",
        run: servers::training,
        seeds: servers::training_seeds,
        form: Form::Calls,
        inputs: 10_000,
    },
    Target {
        name: "witness-calls",
        run: servers::witness,
        seeds: servers::witness_seeds,
        form: Form::Calls,
        inputs: 6000,
    },
    Target {
        name: "enrolment-calls",
        run: servers::enrolment,
        seeds: servers::enrolment_seeds,
        form: Form::Calls,
        inputs: 8000,
    },
    Target {
        name: "certificate",
        run: certificates::certificate,
        seeds: certificates::certificate_seeds,
        form: Form::Bytes,
        inputs: 8000,
    },
    Target {
        name: "certificate-request",
        run: certificates::request,
        seeds: certificates::request_seeds,
        form: Form::Bytes,
        inputs: 8000,
    },
    Target {
        name: "plan",
        run: texts::plan,
        seeds: texts::plans,
        form: Form::Json,
        inputs: 5000,
    },
    Target {
        name: "log-entry",
        run: texts::log_entry,
        seeds: texts::log_entries,
        form: Form::Json,
        inputs: 4000,
    },
    Target {
        name: "revocations",
        run: texts::revocations,
        seeds: texts::revocation_seeds,
        form: Form::Json,
        inputs: 4000,
    },
    Target {
        name: "invitation",
        run: texts::invitation,
        seeds: texts::invitations,
        form: Form::Bytes,
        inputs: 20_000,
    },
    Target {
        name: "record",
        run: state::record,
        seeds: state::records,
        form: Form::Bytes,
        inputs: 10_000,
    },
    Target {
        name: "checkpoint",
        run: state::checkpoint,
        seeds: state::checkpoints,
        form: Form::Bytes,
        inputs: 6000,
    },
    Target {
        name: "participation",
        run: state::participation,
        seeds: state::participations,
        form: Form::Bytes,
        inputs: 6000,
    },
    Target {
        name: "masked-update",
        run: masks::update,
        seeds: masks::updates,
        form: Form::Bytes,
        inputs: 20_000,
    },
    Target {
        name: "sealed-shares",
        run: masks::sealed,
        seeds: masks::sealed_seeds,
        form: Form::Bytes,
        inputs: 4000,
    },
    Target {
        name: "shares",
        run: masks::shares,
        seeds: masks::share_seeds,
        form: Form::Bytes,
        inputs: 5000,
    },
    Target {
        name: "round-keys",
        run: masks::keys,
        seeds: masks::key_seeds,
        form: Form::Bytes,
        inputs: 8000,
    },
];

/// The target of this name.
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}
