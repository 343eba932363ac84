//! Errors that must name the field.

use chorus_wire::WireError;

/// How an error is to be labelled, and what its sentence says.
pub type Named = (&'static str, &'static str);

pub fn assert_named(found: Result<(), WireError>, (label, text): Named) {
    let Err(error) = found else {
        panic!("`{text}` was not found wrong")
    };
    assert_eq!(error.label(), label, "{error}");
    assert!(error.to_string().contains(text), "{error}, not {text}");
}

pub fn bytes(length: usize) -> Vec<u8> {
    vec![1; length]
}
