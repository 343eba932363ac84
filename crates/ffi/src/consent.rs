use std::ffi::c_char;
use std::ptr::null_mut;

use chorus_client::{Answer, Decision, Notice, Purpose, Receipt, Signal, Switch};
use chorus_protocol::Digest;
use chorus_wire::Clock;
use serde::{Deserialize, Serialize};

use crate::code::{CHORUS_NOTICE, Failure};
use crate::entry::entry;
use crate::handle::{ChorusClient, Handle};
use crate::text::{Place, optional, read, text};

/// What to show, and what ties a decision to it.
#[derive(Serialize)]
struct Shown {
    digest: Digest,
    #[serde(flatten)]
    notice: &'static Notice,
}

/// What the person is to read before they decide. Show it, and hand its digest in with the decision.
///
/// `language`: such as `de`; English where there is nothing in it.
/// `notice`: `{"digest": "...", "language": "en", "version": 1, "sections": {"contribute-training": {"title": ...}}}`.
///
/// # Safety
/// `language` is text that ends with a zero; `notice` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_notice(
    client: ChorusClient,
    language: *const c_char,
    notice: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (place, language) = unsafe {
            let place = Place::at(notice, null_mut(), "notice")?;
            (place, text(language, "language")?)
        };
        Handle::of(client)?.switch(|switch| {
            let notice = current(switch, language)?;
            let digest = notice.digest();
            place.tell(&Shown { digest, notice })
        })
    })
}

/// What the person said, and what they had read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    answer: Answer,
    purposes: Vec<Purpose>,
    language: String,
    notice: Digest,
}

/// Every purpose as it stands, for the person's switches: `[{"purpose": "contribute-training", "state": "granted", "since": 1800000000,
/// "changes": [], "signals": [], "may_ask": false}, ...]`. `may_ask`: whether the app may ask for it now; after a no, and after a
/// question that was left open (`chorus_asked`), it may not for a while. It waits for no other call of this client.
///
/// # Safety
/// `consents` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_consents(client: ChorusClient, consents: *mut *mut c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let consents = unsafe { Place::at(consents, null_mut(), "consents") }?;
        let now = Clock::system().now();
        Handle::of(client)?.switch(|switch| consents.tell(&switch.consents(now)?))
    })
}

/// Remembers that the app asked for a purpose and got no answer. An answer needs no such note.
///
/// `purpose`: its name, such as `contribute-training`.
///
/// # Safety
/// `purpose` is text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_asked(client: ChorusClient, purpose: *const c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let purpose = named(unsafe { text(purpose, "purpose") }?)?;
        let now = Clock::system().now();
        Handle::of(client)?.with(|client| client.asked(purpose, now))
    })
}

/// Takes a decision of the person: yes and no are the same call. It waits for no other call of this client, from no thread.
///
/// `decision`: `{"answer": "yes", "purposes": ["contribute-training", "local-personalisation"], "language": "en",
/// "notice": "digest of what was shown"}`. `receipt`: JSON-LD, the person's to keep.
///
/// Codes: `CHORUS_NOTICE` for a yes to anything but the current notice.
///
/// # Safety
/// `decision` is text that ends with a zero; `receipt` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_decide(
    client: ChorusClient,
    decision: *const c_char,
    receipt: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (receipt, decision) = unsafe {
            let receipt = Place::at(receipt, null_mut(), "receipt")?;
            (receipt, text(decision, "decision")?)
        };
        let said: Said = read(decision, "decision")?;
        Handle::of(client)?.switch(|switch| {
            let notice = current(switch, &said.language)?;
            if said.answer == Answer::Yes && notice.digest() != said.notice {
                let sentence =
                    "the notice that was shown is not the current one: show that one and ask again";
                return Err(Failure::new(CHORUS_NOTICE, sentence));
            }
            let decision = Decision::new(said.answer, said.purposes, notice);
            receipt.tell(decide(switch, &decision)?.json())
        })
    })
}

/// Withdraws one purpose, or with null all of them. When this returns, no byte is handed to the operating system for it any
/// more, whatever other threads are at; a contribution that is under way ends with `CHORUS_NOT_GRANTED`.
///
/// `purpose`: its name, such as `contribute-training`. `receipt`: as in `chorus_decide`.
///
/// # Safety
/// `purpose` is null or text that ends with a zero; `receipt` is a place for one pointer, to be freed with
/// `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_withdraw(
    client: ChorusClient,
    purpose: *const c_char,
    receipt: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (receipt, purpose) = unsafe {
            let receipt = Place::at(receipt, null_mut(), "receipt")?;
            (receipt, optional(purpose, "purpose")?)
        };
        let purposes: Vec<Purpose> = match purpose {
            None => Purpose::all().collect(),
            Some(name) => vec![named(name)?],
        };
        Handle::of(client)?.switch(|switch| {
            let decision = Decision::new(Answer::No, purposes, current(switch, "en")?);
            receipt.tell(decide(switch, &decision)?.json())
        })
    })
}

/// Takes what a browser, the system or a consent dialogue says for the person. It can only deny, what it denies ends at once as in
/// `chorus_withdraw`, and one that cannot be read denies all that its kind can speak of. Saying the same again changes nothing.
///
/// `signal`: `{"kind": "gpc", "on": true}` (Global Privacy Control), `{"kind": "limit-ad-tracking", "on": true}`, `{"kind": "tcf",
/// "applies": true, "string": "..."}` or `{"kind": "gpp", "sections": [7], "string": "..."}`.
///
/// # Safety
/// `signal` is text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_signal(client: ChorusClient, signal: *const c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let signal: Signal = read(unsafe { text(signal, "signal") }?, "signal")?;
        let now = Clock::system().now();
        Handle::of(client)?.with(|client| client.signal(&signal, now))
    })
}

/// The signals so far and what became of each, for the person's screen: `[{"signal": {...}, "denied": ["third-party-share"], ...}]`.
///
/// # Safety
/// `signals` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_signals(client: ChorusClient, signals: *mut *mut c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let signals = unsafe { Place::at(signals, null_mut(), "signals") }?;
        signals.tell(&Handle::of(client)?.with(|client| client.signals())?)
    })
}

fn named(purpose: &str) -> Result<Purpose, Failure> {
    let named: Result<Purpose, _> = purpose.parse();
    named.map_err(|error| Failure::misuse(format!("purpose: {error}")))
}

fn current(switch: &Switch, language: &str) -> Result<&'static Notice, Failure> {
    let notice = switch.notice(language);
    notice.ok_or_else(|| Failure::new(CHORUS_NOTICE, "there is no notice in this library"))
}

fn decide(switch: &mut Switch, decision: &Decision) -> Result<Receipt, Failure> {
    Ok(switch.decide(decision, Clock::system().now())?)
}
