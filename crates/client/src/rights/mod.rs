//! What a person can do with what is kept about them: see it, take it along, begin anew, end it.

mod amend;
mod erase;
mod export;
mod items;
mod page;
mod story;
mod view;
mod words;

#[cfg(test)]
mod tests;

pub use amend::Amended;
pub use erase::{Erasure, ErasureReceipt, Remaining, erase};
pub use items::KeptItem;
pub use view::{Entry, Records, View, Withheld};

use crate::store::Kind;
use crate::{Client, Error};

impl Client {
    /// Begins a private session, or ends it: nothing of what is done or shown meanwhile is recorded, not even for a moment, and nothing that was
    /// due is written. It ends with the app. What the person chooses or decides in it is kept.
    pub fn private(&mut self, is_private: bool) {
        self.is_private = is_private;
    }

    /// True within a private session.
    pub fn is_private(&self) -> bool {
        self.is_private
    }

    /// Forgets everything about the person: the history, the names of files that it came from, what they said about themselves, their choices, what they were shown. What they
    /// allowed, the enrolment and the record of what was contributed stay. Returns how many records went.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn reset_profile(&mut self) -> Result<usize, Error> {
        let profile = [
            Kind::Item,
            Kind::Person,
            Kind::Control,
            Kind::Shown,
            Kind::Import,
        ];
        Ok(self.store.write(|batch| {
            let counts = profile.map(|kind| batch.clear(kind));
            counts.into_iter().sum()
        })?)
    }
}
