use std::ffi::c_char;
use std::path::Path;
use std::ptr::null_mut;

use chorus_client::{Event, FileKey, KeyStore, PassphraseKey, Recorded, Settings};
use chorus_wire::certificate::Authority;
use chorus_wire::client::Target;
use chorus_wire::{Clock, InvitationCode};
use zeroize::Zeroizing;

use crate::CHORUS_ABI_VERSION;
use crate::code::{CHORUS_ENROL_AGAIN, CHORUS_NOT_GRANTED, Failure};
use crate::contribute::runtime;
use crate::entry::{entry, last};
use crate::handle::{ChorusClient, Handle};
use crate::keys::{Callbacks, ChorusKeyStore};
use crate::random::generator;
use crate::text::{Place, bytes, optional, read, take_back, text};

/// The version of this library. Compare it with `CHORUS_ABI_VERSION` of the header: a lower one lacks calls.
#[unsafe(no_mangle)]
pub extern "C" fn chorus_abi_version() -> i32 {
    CHORUS_ABI_VERSION
}

/// What went wrong in the last call of this thread, as a sentence; empty after a call that went well. Valid until this
/// thread's next call; not to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn chorus_last_error() -> *const c_char {
    last()
}

/// Frees a text that a call gave. Null is no error. What no call gave, or what was freed before, is a misuse and left alone, as far
/// as that can be known: another call may have been given the same place since.
///
/// # Safety
/// Nobody uses the text any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_text_free(text: *mut c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        unsafe { take_back(text) }
    })
}

/// Opens the client that lives in the folder `home`, or makes a new one there. Nothing is sent, and no thread is started.
///
/// `passphrase`: locks the key of the store; null keeps the key in a file beside it, which protects it from nobody who can
/// copy the folder. `settings`: JSON of the library's settings, such as `{"durability": "power-loss"}`; null for the
/// careful choice in everything.
///
/// Codes: `CHORUS_STORE` for a folder that cannot be used, a damaged store and a wrong passphrase.
///
/// # Safety
/// The texts end with a zero or are null; `client` is a place for one number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_open(
    home: *const c_char,
    passphrase: *const c_char,
    settings: *const c_char,
    client: *mut ChorusClient,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (client, home, passphrase, settings) = unsafe {
            let client = Place::at(client, 0, "client")?;
            let home = Path::new(text(home, "home")?);
            let passphrase = optional(passphrase, "passphrase")?;
            (client, home, passphrase, read_settings(settings)?)
        };
        let keys: Box<dyn KeyStore + Send + Sync> = match passphrase {
            None => Box::new(FileKey::beside(home)),
            Some(passphrase) => {
                let passphrase = Zeroizing::new(passphrase.to_owned());
                Box::new(PassphraseKey::new(home, passphrase))
            }
        };
        client.fill(Handle::open(home, keys, settings)?.give());
        Ok(())
    })
}

/// As `chorus_open`, with the key in a key store of the app's choice.
///
/// Codes: as there; `CHORUS_STORE` also for a key store that fails.
///
/// # Safety
/// As there; `keys` shows a key store, which is copied, and what it says of its callbacks holds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_open_with(
    home: *const c_char,
    keys: *const ChorusKeyStore,
    settings: *const c_char,
    client: *mut ChorusClient,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (client, home, keys, settings) = unsafe {
            let client = Place::at(client, 0, "client")?;
            let home = Path::new(text(home, "home")?);
            (client, home, Callbacks::at(keys)?, read_settings(settings)?)
        };
        client.fill(Handle::open(home, Box::new(keys), settings)?.give());
        Ok(())
    })
}

/// Settings; the careful ones where the pointer is null.
///
/// # Safety
/// As [`optional`].
unsafe fn read_settings(settings: *const c_char) -> Result<Settings, Failure> {
    // SAFETY: the caller's word is passed on.
    match unsafe { optional(settings, "settings") }? {
        Some(settings) => read(settings, "settings"),
        None => Ok(Settings::default()),
    }
}

/// Closes a client. Calls with it that are under way in other threads end as they would, a contribution at its next step;
/// its number is of no use any more.
#[unsafe(no_mangle)]
pub extern "C" fn chorus_close(client: ChorusClient) -> i32 {
    entry(|| Handle::close(client))
}

/// Exchanges an invitation for a certificate: once, and again when the certificate ran out. Blocks for the network.
///
/// `authority`: `host:port`. `certificate`: the PEM file that came with the invitation, `length` bytes. `status`: as in
/// `chorus_status`, `enrolment`.
///
/// Codes: `CHORUS_NOT_GRANTED`, `CHORUS_ENROL_AGAIN` for an invitation of no use, `CHORUS_OTHER_FOLDER`,
/// `CHORUS_DISTRUST`, `CHORUS_LATER`.
///
/// # Safety
/// The texts end with a zero; `certificate` shows `length` bytes; `status` is a place for one pointer, to be freed with
/// `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_enrol(
    client: ChorusClient,
    authority: *const c_char,
    certificate: *const u8,
    length: usize,
    invitation: *const c_char,
    status: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (status, authority, certificate, invitation) = unsafe {
            let status = Place::at(status, null_mut(), "status")?;
            let certificate = bytes(certificate, length, "certificate")?;
            let authority = text(authority, "authority")?;
            (
                status,
                authority,
                certificate,
                text(invitation, "invitation")?,
            )
        };
        let target = Target::new(authority)
            .map_err(|error| Failure::misuse(format!("authority: {error}")))?;
        let root = Authority::from_pem(certificate)
            .map_err(|error| Failure::misuse(format!("certificate: {error}")))?;
        let code: InvitationCode = invitation
            .parse()
            .map_err(|error| Failure::new(CHORUS_ENROL_AGAIN, format!("invitation: {error}")))?;
        let (handle, runtime, mut rng) = (Handle::of(client)?, runtime()?, generator()?);
        let clock = Clock::system();
        let enrolled = handle.with(|client| {
            runtime.block_on(client.enrol(&target, &root, &code, &mut rng, &clock))
        })?;
        status.tell(&enrolled)
    })
}

/// Writes down what the person did with an item, durably.
///
/// `event`: `{"item": 17, "kind": "purchase", "at": 1800000000}`; `at`: seconds since 1970 UTC; `kind`: `view`, `click`, `pause`,
/// `purchase`, `rating` with a `value` from 1 to 5, `survey` with a `value` from -1 to 1, or `dismiss`; left out, `click`. The
/// same event again changes nothing.
///
/// Codes: `CHORUS_NOT_GRANTED`: nothing was kept; `CHORUS_MISUSE` for an event that makes no sense.
///
/// # Safety
/// `event` is text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_record(client: ChorusClient, event: *const c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let event: Event = read(unsafe { text(event, "event") }?, "event")?;
        let now = Clock::system().now();
        match Handle::of(client)?.with(|client| client.record(event, now))? {
            Recorded::Kept | Recorded::Known | Recorded::Private => Ok(()),
            Recorded::NotGranted(purpose) => {
                let sentence = format!("nothing was kept: the person has not granted `{purpose}`");
                Err(Failure::new(CHORUS_NOT_GRANTED, sentence))
            }
            Recorded::Refused(flaw) => Err(Failure::misuse(format!("event: {flaw}"))),
        }
    })
}

/// What the client can say about itself: enrolment, history, rounds, privacy spent. For the person's screen.
///
/// # Safety
/// `status` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_status(client: ChorusClient, status: *mut *mut c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let status = unsafe { Place::at(status, null_mut(), "status") }?;
        let now = Clock::system().now();
        let found = Handle::of(client)?.with(|client| client.status(now))?;
        status.tell(&found)
    })
}
