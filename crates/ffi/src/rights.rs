use std::ffi::c_char;
use std::ptr::null_mut;

use chorus_client::Language;
use chorus_wire::Clock;

use crate::code::Failure;
use crate::entry::entry;
use crate::handle::{ChorusClient, Handle};
use crate::text::{Place, text};

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
