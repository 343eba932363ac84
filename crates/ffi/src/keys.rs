use std::ffi::c_void;

use chorus_client::{Key, KeyError, KeyStore, Protection};
use zeroize::Zeroizing;

use crate::code::Failure;

/// What a callback of a key store gives when it did what it was asked.
pub const CHORUS_KEY_DONE: i32 = 0;
/// What `load` gives when there is no key. Only where there surely is none: what is sealed under one that was not found would be
/// lost. Everything else a callback gives means that it failed, and is said in the sentence of the call.
pub const CHORUS_KEY_NONE: i32 = 1;

/// A key store of the system, such as that of a phone: where the app keeps the 32 bytes that everything is sealed under. All three
/// callbacks must be there. They may be called in every call with the client, on the thread that makes it, until its number is
/// closed and the last call with it ended; so long `context` must be valid, and fit for every thread that calls. They must come
/// back: no exception, and no jump. Calls of this library must not be made in them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ChorusKeyStore {
    /// Handed to every callback. May be null.
    pub context: *mut c_void,
    /// Writes the key to `key`, 32 bytes.
    pub load: Option<unsafe extern "C" fn(context: *mut c_void, key: *mut u8) -> i32>,
    /// Keeps the 32 bytes at `key` in the place of the key before, at once or not at all; they are durable when it returns.
    pub replace: Option<unsafe extern "C" fn(context: *mut c_void, key: *const u8) -> i32>,
    /// Forgets the key for good. None to forget is no error.
    pub destroy: Option<unsafe extern "C" fn(context: *mut c_void) -> i32>,
}

/// The same, with everything there.
pub(crate) struct Callbacks {
    context: *mut c_void,
    load: unsafe extern "C" fn(*mut c_void, *mut u8) -> i32,
    replace: unsafe extern "C" fn(*mut c_void, *const u8) -> i32,
    destroy: unsafe extern "C" fn(*mut c_void) -> i32,
}

// SAFETY: `context` is only handed on, and its owner's word is that every thread that calls may use it.
unsafe impl Send for Callbacks {}
// SAFETY: as above; nothing here is written.
unsafe impl Sync for Callbacks {}

impl Callbacks {
    /// The callbacks that `pointer` shows, which are copied.
    ///
    /// # Safety
    /// `pointer` is null or shows a `ChorusKeyStore`, whose word is kept as long as this lives.
    pub unsafe fn at(pointer: *const ChorusKeyStore) -> Result<Self, Failure> {
        if pointer.is_null() {
            return Err(Failure::misuse("keys: expected a key store, found null"));
        }
        // SAFETY: not null, and by the caller's word a key store.
        let store = unsafe { pointer.read() };
        let missing =
            |name| Failure::misuse(format!("keys: {name}: expected a callback, found null"));
        Ok(Self {
            context: store.context,
            load: store.load.ok_or_else(|| missing("load"))?,
            replace: store.replace.ok_or_else(|| missing("replace"))?,
            destroy: store.destroy.ok_or_else(|| missing("destroy"))?,
        })
    }
}

impl KeyStore for Callbacks {
    fn load(&self) -> Result<Option<Key>, KeyError> {
        let mut key: Key = Zeroizing::new([0; 32]);
        // SAFETY: the owner's word; there is room for 32 bytes.
        match unsafe { (self.load)(self.context, key.as_mut_ptr()) } {
            CHORUS_KEY_DONE => Ok(Some(key)),
            CHORUS_KEY_NONE => Ok(None),
            code => Err(failed("load", code)),
        }
    }

    fn replace(&self, key: &Key) -> Result<(), KeyError> {
        // SAFETY: the owner's word; there are 32 bytes.
        match unsafe { (self.replace)(self.context, key.as_ptr()) } {
            CHORUS_KEY_DONE => Ok(()),
            code => Err(failed("replace", code)),
        }
    }

    fn destroy(&self) -> Result<(), KeyError> {
        // SAFETY: the owner's word.
        match unsafe { (self.destroy)(self.context) } {
            CHORUS_KEY_DONE => Ok(()),
            code => Err(failed("destroy", code)),
        }
    }

    fn protects(&self) -> Protection {
        Protection::Platform
    }
}

fn failed(what: &str, code: i32) -> KeyError {
    KeyError::Unusable {
        reason: format!("the app's `{what}` gave {code}"),
    }
}
