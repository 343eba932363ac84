use std::ffi::c_char;
use std::ptr::null_mut;

use chorus_client::{Amended, Event, EventKind};
use chorus_model::ItemId;
use chorus_wire::Clock;
use serde::Deserialize;

use crate::code::Failure;
use crate::entry::entry;
use crate::handle::{ChorusClient, Handle};
use crate::text::{Place, read, text};

/// What an event should have been.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Correction {
    event: Event,
    kind: EventKind,
    #[serde(default)]
    value: Option<f32>,
}

/// Makes of one event another kind, or gives it another value: everything is then as if it had been recorded so.
///
/// `correction`: `{"event": {"item": 17, "kind": "rating", "at": 1800000000}, "kind": "rating", "value": 4}`; `event` says which, by
/// item, kind, time and source. `outcome`: `"done"`; `"unknown"` where there is no such event; `"folded"` where it is part of the
/// summary of its item by now, which can only be removed as a whole.
///
/// Codes: `CHORUS_MISUSE` for a value that makes no sense; then nothing changed.
///
/// # Safety
/// `correction` is text that ends with a zero; `outcome` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_correct(
    client: ChorusClient,
    correction: *const c_char,
    outcome: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (outcome, correction) = unsafe {
            let outcome = Place::at(outcome, null_mut(), "outcome")?;
            (outcome, text(correction, "correction")?)
        };
        let Correction { event, kind, value } = read(correction, "correction")?;
        let now = Clock::system().now();
        let amended =
            Handle::of(client)?.with(|client| client.correct(&event, kind, value, now))?;
        if let Amended::Refused(flaw) = amended {
            return Err(Failure::misuse(format!("correction: {flaw}")));
        }
        outcome.tell(&amended)
    })
}

/// What is to be as if it had never been.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unwanted {
    /// An item, with everything that was done with it.
    Item(ItemId),
    /// One event.
    Event(Event),
}

/// Removes an item with everything that was done with it, or one event: everything is then as if it had never been recorded.
///
/// `what`: `{"item": 17}` or `{"event": {"item": 17, "kind": "click", "at": 1800000000}}`. `outcome`: as in `chorus_correct`.
///
/// # Safety
/// `what` is text that ends with a zero; `outcome` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_remove(
    client: ChorusClient,
    what: *const c_char,
    outcome: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (outcome, what) = unsafe {
            let outcome = Place::at(outcome, null_mut(), "outcome")?;
            (outcome, text(what, "what")?)
        };
        let what: Unwanted = read(what, "what")?;
        let amended = Handle::of(client)?.with(|client| match what {
            Unwanted::Item(item) => Ok(match client.remove_item(item)? {
                true => Amended::Done,
                false => Amended::Unknown,
            }),
            Unwanted::Event(event) => client.remove_event(&event),
        })?;
        outcome.tell(&amended)
    })
}
