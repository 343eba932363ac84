//! What every call goes through: nothing but a number crosses, and no panic.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null;

use crate::code::{CHORUS_FAULT, CHORUS_OK, Failure};

thread_local! {
    /// What went wrong in this thread's last call.
    static LAST: RefCell<CString> = RefCell::default();
}

/// Does the work of one call, and turns whatever becomes of it into a code. The sentence is kept for `chorus_last_error`.
pub(crate) fn entry(work: impl FnOnce() -> Result<(), Failure>) -> i32 {
    // Whatever a panic leaves half done is behind a lock, which is poisoned by it.
    let (code, sentence) = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => (CHORUS_OK, String::new()),
        Ok(Err(failure)) => (failure.code, failure.sentence),
        Err(panic) => {
            let words = panic
                .downcast_ref::<&str>()
                .map(|words| (*words).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            // Its drop is somebody else's code, and might panic in turn.
            std::mem::forget(panic);
            let sentence = format!(
                "a fault of this library ({words}): close the client, open it again, and report this"
            );
            (CHORUS_FAULT, sentence)
        }
    };
    // A thread that is ending has no last error any more.
    let _kept = LAST.try_with(|last| last.replace(c_text(sentence)));
    code
}

/// The last error of this thread; null where the thread is ending.
pub(crate) fn last() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr())
        .unwrap_or(null())
}

/// Text for C, which ends at the first zero.
pub(crate) fn c_text(mut text: String) -> CString {
    text.retain(|letter| letter != '\0');
    CString::new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::code::CHORUS_MISUSE;

    fn said() -> String {
        // SAFETY: the text of this thread, which makes no other call meanwhile.
        let text = unsafe { CStr::from_ptr(last()) };
        text.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_is_a_code_and_a_sentence() {
        assert_eq!(entry(|| panic!("number {}", 7)), CHORUS_FAULT);
        assert!(said().contains("number 7"), "{}", said());
        assert_eq!(entry(|| std::panic::panic_any(7)), CHORUS_FAULT);
        assert_eq!(entry(|| Err(Failure::misuse("a\0b"))), CHORUS_MISUSE);
        assert_eq!(said(), "ab");
        assert_eq!(entry(|| Ok(())), CHORUS_OK);
        assert_eq!(said(), "");
    }

    #[test]
    fn a_panic_that_panics_when_it_is_dropped_does_not_cross_either() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert_eq!(entry(|| std::panic::panic_any(Bomb)), CHORUS_FAULT);
    }

    #[test]
    fn every_thread_has_its_own_last_error() {
        entry(|| Err(Failure::misuse("here")));
        let there = std::thread::spawn(said).join().unwrap();
        assert_eq!((said().as_str(), there.as_str()), ("here", ""));
    }
}
