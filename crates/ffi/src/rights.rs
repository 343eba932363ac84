use std::ffi::c_char;
use std::path::Path;
use std::ptr::null_mut;

use chorus_client::{ErasureReceipt, FileKey, KeyStore, Language, Sent};
use chorus_wire::Clock;
use serde::Serialize;

use crate::code::{CHORUS_FORGED, Failure};
use crate::entry::entry;
use crate::handle::{ChorusClient, Handle};
use crate::keys::{Callbacks, ChorusKeyStore};
use crate::text::{Place, read, text};

/// Everything that is kept, for the person to take along; what is withheld (keys) is named in it.
///
/// `form`: `json`, `csv`, or `html` (English) or `html-de` (German) for a page to read. `export`: text in that form.
///
/// # Safety
/// `form` is text that ends with a zero; `export` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_export(
    client: ChorusClient,
    form: *const c_char,
    export: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (export, form) = unsafe {
            let export = Place::at(export, null_mut(), "export")?;
            (export, text(form, "form")?)
        };
        let now = Clock::system().now();
        let view = Handle::of(client)?.with(|client| client.view(now))?;
        export.say(match form {
            "json" => view.to_json(),
            "csv" => view.to_csv(),
            "html" => view.to_html(Language::English),
            "html-de" => view.to_html(Language::German),
            other => {
                let sentence =
                    format!("form: expected json, csv, html or html-de, found `{other}`");
                return Err(Failure::misuse(sentence));
            }
        });
        Ok(())
    })
}

/// Everything that left this device, the oldest first: `[{"at": 1800000000, "bytes": 5120, "messages": 1, "purpose":
/// "contribute-training", "round": 3, "what": "contribution", "epsilon": 1.4}, ...]`; `bytes`: as a packet capture shows them;
/// `epsilon`: privacy spent on the task by then, left out where nothing bounds it.
///
/// # Safety
/// `activity` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_activity(client: ChorusClient, activity: *mut *mut c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let activity = unsafe { Place::at(activity, null_mut(), "activity") }?;
        let sent = Handle::of(client)?.with(|client| client.activity())?;
        let lines = sent.iter().map(|sent| Line {
            sent,
            epsilon: sent.epsilon,
        });
        activity.tell(&lines.collect::<Vec<_>>())
    })
}

/// What left, and what it cost by then.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    sent: &'a Sent,
    #[serde(skip_serializing_if = "Option::is_none")]
    epsilon: Option<f64>,
}

/// Begins a private session, or ends it with 0: nothing of what is done or shown meanwhile is kept, and `chorus_record` says
/// `CHORUS_OK` all the same. It ends with the client.
#[unsafe(no_mangle)]
pub extern "C" fn chorus_private(client: ChorusClient, is_private: i32) -> i32 {
    entry(|| {
        Handle::of(client)?.with(|client| {
            client.private(is_private != 0);
            Ok(())
        })
    })
}

/// Erases everything in the client's folder: the key first, which makes the rest unreadable at once, then every file. Works
/// without a network. The client is of no use after that, but to be closed.
///
/// `receipt`: signed, says what went and what cannot go: `{"statement": "{...}", "key": "...", "signature": "..."}`.
///
/// Codes: `CHORUS_STORE` where something is left; call it again, or open the folder, which finishes it.
///
/// # Safety
/// `receipt` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_erase(client: ChorusClient, receipt: *mut *mut c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let receipt = unsafe { Place::at(receipt, null_mut(), "receipt") }?;
        let erased = Handle::of(client)?.erase(Clock::system().now())?;
        receipt.tell(&erased)
    })
}

/// Erases everything that a client has in the folder `home` without opening it: for a forgotten passphrase, a lost key, a damaged
/// store. The key first. Nothing there is no error.
///
/// `keys`: where the key is, if that is a key store of the app's; null for a key or passphrase in the folder. `receipt`: as in
/// `chorus_erase`; it cannot say what went, and says so.
///
/// Codes: `CHORUS_STORE` where something is left; call it again.
///
/// # Safety
/// `home` is text that ends with a zero; `keys` is null or as in `chorus_open_with`; `receipt` is a place for one pointer, to be
/// freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_erase_folder(
    home: *const c_char,
    keys: *const ChorusKeyStore,
    receipt: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (receipt, home, callbacks) = unsafe {
            let receipt = Place::at(receipt, null_mut(), "receipt")?;
            let callbacks = match keys.is_null() {
                true => None,
                false => Some(Callbacks::at(keys)?),
            };
            (receipt, Path::new(text(home, "home")?), callbacks)
        };
        let keys: Box<dyn KeyStore> = match callbacks {
            Some(callbacks) => Box::new(callbacks),
            None => Box::new(FileKey::beside(home)),
        };
        let erased = chorus_client::erase(home, keys.as_ref(), Clock::system().now())?;
        receipt.tell(&erased)
    })
}

/// Checks the receipt of an erasure by its signature. Needs no client, no folder and no network.
///
/// `receipt`: as `chorus_erase` gave it. `erasure`: what it says: `{"at": 1800000000, "unread": false, "gone": {"item": 5}, "left": [],
/// "remaining": [{"task": "films", "round": 3, ...}], "epsilon": 1.4, "delta": 0.00001}`; `unread`: the store did not open, so nobody can
/// say what went; `left`: files that no client wrote, and that are still there; `remaining`: contributions in sums that others have, which
/// together tell at most `epsilon`, null where nothing bounds it.
///
/// Codes: `CHORUS_FORGED` where the signature does not fit; `CHORUS_MISUSE` for what is no such receipt.
///
/// # Safety
/// `receipt` is text that ends with a zero; `erasure` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_verify_receipt(
    receipt: *const c_char,
    erasure: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (erasure, receipt) = unsafe {
            let erasure = Place::at(erasure, null_mut(), "erasure")?;
            (erasure, text(receipt, "receipt")?)
        };
        let receipt: ErasureReceipt = read(receipt, "receipt")?;
        let verified = receipt.verify().map_err(|_| {
            let sentence =
                "receipt: its signature does not fit what it says: it was changed, or is not whole";
            Failure::new(CHORUS_FORGED, sentence)
        })?;
        erasure.tell(&verified)
    })
}
