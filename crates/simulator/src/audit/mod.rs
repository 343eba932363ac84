//! What the released sums and models say about one participant: measured with canaries, with attacks, and with faults
//! that the measurements must find.

mod attack;
pub(crate) mod canary;
mod checks;
mod evidence;
mod monitor;
mod privacy;

pub use attack::{AttackOptions, AttackRow, Attacks, OneRound, attack, attack_one_round};
pub use checks::{Check, Control, Effort, Fault, Finding, Proof, control, self_test};
pub use evidence::{Evidence, Measured};
pub use monitor::{Look, Monitor};
pub use privacy::{AuditOptions, PrivacyAudit, Verdict, audit_privacy};
