//! What there is to show: the client, why there is none, or nothing any more.

use chorus_client::{Client, ErasureReceipt, Error, StoreError};

use crate::About;
use crate::answer::Fault;
use crate::pages::erased::Before;

/// What there is to show.
pub(crate) enum Place {
    Open(Box<Client>),
    Shut(Shut),
    /// The person erased everything, here or elsewhere.
    Erased,
}

/// Why there is no client, although not all is erased.
pub(crate) struct Shut {
    pub reason: Error,
    /// What there was before an erasure that did not come to its end.
    pub before: Option<Before>,
}

impl Shut {
    /// A file of another program is not ours to erase.
    pub fn may_erase(&self) -> bool {
        !matches!(self.reason, Error::Store(StoreError::Foreign { .. }))
    }
}

impl Place {
    /// Opens the client, or keeps why it does not open.
    pub fn open(about: &About) -> Self {
        match (about.open)(about.clock.now()) {
            Ok(client) => Self::Open(Box::new(client)),
            Err(reason) => Self::Shut(Shut {
                reason,
                before: None,
            }),
        }
    }

    /// Opens the client once more; one that is open stays as it is, and so does what was erased in part.
    pub fn open_again(&mut self, about: &About) {
        if let Self::Shut(shut) = self
            && shut.before.is_none()
        {
            match (about.open)(about.clock.now()) {
                Ok(client) => *self = Self::Open(Box::new(client)),
                Err(reason) => shut.reason = reason,
            }
        }
    }

    /// Erases everything, `before` of which was there. What fails leaves something to try again with.
    pub fn erase(&mut self, before: Before, about: &About) -> Result<Gone, Fault> {
        let now = about.clock.now();
        let (erased, before) = match std::mem::replace(self, Self::Erased) {
            Self::Erased => return Err(Fault::Erased),
            Self::Open(client) => (client.erase(about.keys.as_ref(), now), before),
            Self::Shut(shut) if !shut.may_erase() => {
                *self = Self::Shut(shut);
                return Err(Fault::Shut);
            }
            Self::Shut(shut) => (
                chorus_client::erase(&about.home, about.keys.as_ref(), now),
                shut.before.unwrap_or(before),
            ),
        };
        match erased {
            Ok(receipt) => Ok(Gone { before, receipt }),
            Err(Error::Store(StoreError::Closed { .. })) => Err(Fault::Erased),
            Err(reason) => {
                let before = Some(before);
                *self = Self::Shut(Shut { reason, before });
                Err(Fault::Shut)
            }
        }
    }
}

/// Everything is erased.
pub(crate) struct Gone {
    pub before: Before,
    pub receipt: ErasureReceipt,
}
