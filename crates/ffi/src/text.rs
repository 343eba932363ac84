//! Text and bytes from C, and text for C.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char};
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::code::{CHORUS_FAULT, Failure};
use crate::entry::c_text;

/// A place of the caller's for one value. Holds nothing of use until it is filled.
pub(crate) struct Place<'a, T>(&'a mut T);

impl<'a, T> Place<'a, T> {
    /// The place that `pointer` shows, emptied.
    ///
    /// # Safety
    /// `pointer` is null, or a place for a `T` that nobody else uses as long as `'a` lasts.
    pub unsafe fn at(pointer: *mut T, empty: T, name: &str) -> Result<Self, Failure> {
        if pointer.is_null() {
            return Err(missing(name));
        }
        // SAFETY: not null, and by the caller's word a place that is ours. It may hold anything, so it is written first.
        let place = unsafe {
            pointer.write(empty);
            &mut *pointer
        };
        Ok(Self(place))
    }

    pub fn fill(self, value: T) {
        *self.0 = value;
    }
}

impl Place<'_, *mut c_char> {
    /// Gives the caller a text, to be freed with `chorus_text_free`.
    pub fn say(self, text: String) {
        let text = c_text(text).into_raw();
        given().insert(text.addr());
        self.fill(text);
    }

    /// The same with a value as JSON.
    pub fn tell(self, answer: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(answer);
        self.say(text.map_err(|error| Failure::new(CHORUS_FAULT, error.to_string()))?);
        Ok(())
    }
}

/// Reads text; nothing where the pointer is null.
///
/// # Safety
/// `pointer` is null, or text that ends with a zero and does not change as long as `'a` lasts.
pub(crate) unsafe fn optional<'a>(
    pointer: *const c_char,
    name: &str,
) -> Result<Option<&'a str>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, and by the caller's word text that ends with a zero.
    let text = unsafe { CStr::from_ptr(pointer) };
    let text = text.to_str();
    text.map(Some)
        .map_err(|_| Failure::misuse(format!("{name}: expected UTF-8")))
}

/// Reads text that must be there.
///
/// # Safety
/// As [`optional`].
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Failure> {
    // SAFETY: the caller's word is passed on.
    unsafe { optional(pointer, name) }?.ok_or_else(|| missing(name))
}

/// Reads bytes that must be there.
///
/// # Safety
/// `pointer` is null, or shows `length` bytes that do not change as long as `'a` lasts.
pub(crate) unsafe fn bytes<'a>(
    pointer: *const u8,
    length: usize,
    name: &str,
) -> Result<&'a [u8], Failure> {
    if pointer.is_null() || isize::try_from(length).is_err() {
        return Err(missing(name));
    }
    // SAFETY: not null, not longer than any object can be, and by the caller's word so many bytes.
    Ok(unsafe { slice::from_raw_parts(pointer, length) })
}

/// Where the texts are that were given and not taken back: what is none of them is never freed.
static GIVEN: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

/// Nothing can panic while this is held, so it is whole whatever happened.
fn given() -> MutexGuard<'static, BTreeSet<usize>> {
    GIVEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes back a text that [`Place::say`] gave.
///
/// # Safety
/// `text` is null, or nobody uses what is there any more.
pub(crate) unsafe fn take_back(text: *mut c_char) -> Result<(), Failure> {
    if text.is_null() {
        return Ok(());
    }
    if !given().remove(&text.addr()) {
        let sentence = "text: expected one that a call gave and that was not freed yet";
        return Err(Failure::misuse(sentence));
    }
    // SAFETY: what is at this address came from `CString::into_raw`, and is freed once.
    drop(unsafe { CString::from_raw(text) });
    Ok(())
}

/// What a JSON text says.
pub(crate) fn read<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::misuse(format!("{name}: {error}")))
}

fn missing(name: &str) -> Failure {
    Failure::misuse(format!("{name}: expected something, found null"))
}
