//! JSON and text that other parties write.

use chorus_protocol::{
    Invitation, LogEntry, LogView, Participation, Purpose, RoundPlan, SignedEntry,
};
use chorus_wire::{
    InvitationCode,
    revocation::{Revocations, SignedRevocations},
};

use super::world::{floor, signer, standing, world};

/// A round's plan, signed by the coordinator, as a client considers it.
pub fn plan(bytes: &[u8]) -> bool {
    let read = serde_json::from_slice::<RoundPlan>(bytes);
    if let Ok(plan) = &read {
        let written = serde_json::to_vec(plan).expect("a plan is written");
        let again = serde_json::from_slice::<RoundPlan>(&written).expect("what was written");
        assert!(again == *plan, "{}", String::from_utf8_lossy(&written));
        assert_eq!(plan.ring().bits(), plan.encoding.bits());
        let one = plan.digest(bytes, &plan.model);
        assert_ne!(one.0, plan.digest(&[bytes, b" "].concat(), &plan.model).0);
    }
    let invitation = Invitation {
        plan: bytes.to_vec(),
        signature: signer().sign(Purpose::Plan, &[bytes]),
    };
    let floor = floor();
    match Participation::join(invitation, standing(&floor)) {
        Ok(participation) => {
            assert!(read.as_ref().is_ok_and(|plan| plan == participation.plan()));
            participation.save().expect("it is saved");
        }
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
    read.is_ok()
}

pub fn plans() -> Vec<Vec<u8>> {
    world().plans.clone()
}

/// An entry of the model log, signed by the coordinator, as a client follows it.
pub fn log_entry(bytes: &[u8]) -> bool {
    let read = serde_json::from_slice::<LogEntry>(bytes);
    if let Ok(entry) = &read {
        let signed = SignedEntry::sign(entry, &signer()).expect("an entry is written");
        let again = serde_json::from_slice::<LogEntry>(&signed.bytes).expect("what was written");
        assert_eq!(again, *entry);
    }
    let signed = SignedEntry {
        bytes: bytes.to_vec(),
        signature: signer().sign(Purpose::LogEntry, &[bytes]),
    };
    let mut view = LogView::default();
    match view.follow(std::slice::from_ref(&signed), &signer().public()) {
        Ok(()) => {
            assert_eq!((view.length, view.head), (1, signed.digest()));
            // An entry continues a log in one place only.
            assert!(view.follow(&[signed], &signer().public()).is_err());
            assert_eq!(view.length, 1);
        }
        Err(error) => assert!(view == LogView::default() && !error.to_string().is_empty()),
    }
    read.is_ok()
}

pub fn log_entries() -> Vec<Vec<u8>> {
    world().entries.clone()
}

/// The authority's list of what was revoked.
pub fn revocations(bytes: &[u8]) -> bool {
    let signed = SignedRevocations {
        bytes: bytes.to_vec(),
        signature: signer().sign(Purpose::Revocations, &[bytes]),
    };
    match signed.verify(&signer().public(), 0) {
        Ok(list) => {
            let written = list.sign(&signer()).expect("it was short enough");
            assert_eq!(written.verify(&signer().public(), list.sequence), Ok(list));
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

pub fn revocation_seeds() -> Vec<Vec<u8>> {
    let list = Revocations {
        sequence: 7,
        issued_at: 1_700_000_000,
        clients: [signer().id()].into(),
        serials: [vec![9, 8, 7]].into(),
    };
    [Revocations::default(), list]
        .map(|list| list.sign(&signer()).expect("a short list").bytes)
        .into()
}

/// An invitation code that somebody typed.
pub fn invitation(bytes: &[u8]) -> bool {
    let text = str::from_utf8(bytes).unwrap_or_default();
    let Ok(code) = text.parse::<InvitationCode>() else {
        return false;
    };
    let again: InvitationCode = code.to_string().parse().expect("what is shown");
    assert_eq!(again.as_bytes(), code.as_bytes());
    assert!(again.is_of(&code.digest()));
    true
}

pub fn invitations() -> Vec<Vec<u8>> {
    let text = InvitationCode::from_bytes(*b"twenty bytes of this").to_string();
    let spaced = text.to_lowercase().replace('-', " ");
    [text, spaced].map(String::into_bytes).into()
}
