use std::ffi::c_char;
use std::ptr::null_mut;

use chorus_client::{Choice, Control, Purpose, Subject};
use serde::Deserialize;

use crate::code::{CHORUS_NOT_GRANTED, Failure};
use crate::entry::entry;
use crate::handle::{ChorusClient, Handle};
use crate::text::{Place, read, text};

/// What the person chose.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    what: Subject,
    choice: Choice,
}

/// Keeps a choice of the person, in the place of what was chosen about the same before. It holds from the next list on.
///
/// `control`: `{"what": {"topic": "horror"}, "choice": "mute"}`; `what`: `{"item": 17}`, `{"topic": "..."}` as the catalogue names
/// it, or `{"group": "..."}`; `choice`: `mute` (as if it did not exist), `not-interested`, `pin`, `hide` (not while somebody else may be
/// looking), and for groups `in` and `out`.
///
/// Codes: `CHORUS_NOT_GRANTED`: nothing was kept; `CHORUS_MISUSE` for a topic that no item of the catalogue has, with the nearest.
///
/// # Safety
/// `control` is text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_choose(client: ChorusClient, control: *const c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let Chosen { what, choice } = read(unsafe { text(control, "control") }?, "control")?;
        let control = Control { what, choice };
        match Handle::of(client)?.with(|client| client.choose(&control))? {
            true => Ok(()),
            false => {
                let purpose = Purpose::LocalPersonalisation;
                let sentence = format!("nothing was kept: the person has not granted `{purpose}`");
                Err(Failure::new(CHORUS_NOT_GRANTED, sentence))
            }
        }
    })
}

/// Takes a choice back. None to take back is no error.
///
/// `what`: as in `chorus_choose`.
///
/// # Safety
/// `what` is text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_unchoose(client: ChorusClient, what: *const c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let what: Subject = read(unsafe { text(what, "what") }?, "what")?;
        Handle::of(client)?.with(|client| client.unchoose(&what).map(drop))
    })
}

/// Every choice that holds, for the person's screen: `[{"what": {"topic": "horror"}, "choice": "mute"}, ...]`.
///
/// # Safety
/// `choices` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_choices(client: ChorusClient, choices: *mut *mut c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let choices = unsafe { Place::at(choices, null_mut(), "choices") }?;
        choices.tell(&Handle::of(client)?.with(|client| client.choices())?)
    })
}
