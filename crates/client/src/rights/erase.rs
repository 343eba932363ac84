use std::collections::BTreeMap;
use std::path::Path;

use chorus_privacy::spent;
use chorus_protocol::{BadSignature, Identity, Purpose, RoundId, TaskName, verify};
use serde::{Deserialize, Serialize};

use crate::door::Door;
use crate::keys::random;
use crate::store::{self, receipt, strangers};
use crate::{Client, Error, KeyStore, StoreError};

/// What an erasure did and could not do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// When, seconds since 1970 UTC.
    pub at: i64,
    /// True where the store did not open: what it held and what privacy was spent, nobody can say any more. `gone` and
    /// `remaining` are empty then, and that says nothing.
    #[serde(default)]
    pub unread: bool,
    /// Records that are gone, by kind; with them the key that they were sealed under.
    pub gone: BTreeMap<String, u64>,
    /// Files and folders in the client's folder that no client wrote, by name: they stay there.
    #[serde(default)]
    pub left: Vec<String>,
    /// What is in sums that others have, and cannot be taken out of them.
    pub remaining: Vec<Remaining>,
    /// What all of `remaining` together can tell about the person at most, at `delta`: less than its parts added up, 0 where nothing
    /// was contributed. Nothing where a sum had no noise, so that no epsilon bounds it, and where the store did not open.
    #[serde(default)]
    pub epsilon: Option<f64>,
    /// The delta that `epsilon` is counted at.
    #[serde(default)]
    pub delta: f64,
}

/// One contribution that was sent before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remaining {
    /// The task.
    pub task: TaskName,
    /// The round.
    pub round: RoundId,
    /// The named sum.
    pub release: String,
    /// What this one contribution can tell about the person at most, at `delta`; nothing for a sum without noise, where no epsilon
    /// bounds it.
    pub epsilon: Option<f64>,
    /// The delta that `epsilon` is counted at.
    pub delta: f64,
}

/// An [`Erasure`], signed by the client that did it. It proves that a client with this key said so; that the key was the person's, only who
/// knows the key can tell, such as the authority that enrolled it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureReceipt {
    /// The [`Erasure`] as JSON, exactly as it was signed.
    pub statement: String,
    /// Ed25519 public key: the client's own, or one made for this receipt when it was not enrolled.
    #[serde(with = "hex")]
    pub key: [u8; 32],
    /// Over the statement.
    #[serde(with = "hex")]
    pub signature: [u8; 64],
}

/// A key that was made for one receipt.
fn stranger() -> Result<Identity, Error> {
    Ok(Identity::from_seed(&random().map_err(StoreError::from)?))
}

impl Erasure {
    /// Of a store that does not open.
    fn unread(now: i64, left: Vec<String>) -> Self {
        Self {
            at: now,
            unread: true,
            gone: BTreeMap::new(),
            left,
            remaining: Vec::new(),
            epsilon: None,
            delta: 0.0,
        }
    }

    fn sign(&self, identity: &Identity) -> ErasureReceipt {
        // A map of texts and numbers: it has no way to fail.
        let statement = serde_json::to_string(self).unwrap_or_default();
        let signature = identity.sign(Purpose::Erasure, &[statement.as_bytes()]);
        ErasureReceipt {
            statement,
            key: identity.public(),
            signature,
        }
    }
}

/// Erases everything that a client has in the folder `home` without opening it: for a forgotten passphrase, a lost key, a damaged store. The
/// key first, as [`Client::erase`] does, and then every file by the names that clients give theirs. Nothing there is no error.
///
/// The receipt cannot say what went and what was contributed, and says so: `unread`. It is signed with a key made for it. Where the
/// store opens, [`Client::erase`] says more; where such an erasure broke off, this one finishes it and returns its receipt.
///
/// # Errors
/// When the key or a file cannot be removed: then call it again.
///
/// # Privacy
/// Nothing is sent, and clients of the folder that are open send nothing any more.
pub fn erase(home: &Path, keys: &dyn KeyStore, now: i64) -> Result<ErasureReceipt, Error> {
    let unread = || ErasureReceipt::unread(home, now);
    if !home.is_dir() {
        keys.destroy().map_err(StoreError::from)?;
        return unread();
    }
    let begun = store::unfinished(home).unwrap_or_default();
    let receipt = begun.map_or_else(unread, Ok)?;
    if let Ok(door) = Door::new(home) {
        door.close();
    }
    store::erase(home, keys, &receipt)?;
    Ok(receipt)
}

impl ErasureReceipt {
    /// Of the folder `home`, whose store does not open.
    pub(crate) fn unread(home: &Path, now: i64) -> Result<Self, Error> {
        let left = strangers(home).unwrap_or_default();
        Ok(Erasure::unread(now, left).sign(&stranger()?))
    }

    /// What was signed.
    ///
    /// # Errors
    /// When the signature does not fit, or what was signed is no erasure.
    pub fn verify(&self) -> Result<Erasure, BadSignature> {
        let content = [self.statement.as_bytes()];
        verify(&self.key, Purpose::Erasure, &content, &self.signature)?;
        serde_json::from_str(&self.statement).map_err(|_| BadSignature)
    }
}

impl Client {
    /// Erases everything that this client has: the key first, which makes the rest unreadable at once, then every file. Works without a
    /// network. `keys`: the key store that the client was opened with. `now`: seconds since 1970 UTC.
    ///
    /// The receipt says what went, and what cannot go: contributions that were sent are in sums that others have. Clients of the same folder
    /// that are still open find nothing any more.
    ///
    /// # Errors
    /// [`StoreError::Closed`] when another one erased the folder, [`StoreError::Elsewhere`] when another one took a new key. A store that cannot be
    /// read is erased all the same, also on a full disk, and the receipt says so. When the key or a file cannot be removed: then call it again, or open
    /// the folder, which finishes it before anything else.
    ///
    /// # Privacy
    /// Nothing is sent. What the disk itself keeps of old blocks is sealed under the key that is gone.
    pub fn erase(self, keys: &dyn KeyStore, now: i64) -> Result<ErasureReceipt, Error> {
        let home = self.store.home().to_owned();
        let receipt = match self.erasure(now) {
            // What cannot be read goes all the same.
            Err(Error::Store(StoreError::Damaged { .. } | StoreError::Unusable { .. })) => {
                ErasureReceipt::unread(&home, now)?
            }
            receipt => receipt?,
        };
        // Nothing is sent from here on, by nobody who has this folder open.
        self.door.close();
        drop(self);
        store::erase(&home, keys, &receipt)?;
        Ok(receipt)
    }

    /// The receipt of an erasure of this folder that broke off and was finished when the folder was opened. It stays until the next
    /// erasure.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn erased(&self) -> Result<Option<ErasureReceipt>, Error> {
        Ok(receipt(self.store.home())?)
    }

    fn erasure(&self, now: i64) -> Result<ErasureReceipt, Error> {
        let mut gone = BTreeMap::new();
        for (kind, ..) in self.store.everything()? {
            *gone.entry(kind.name().to_owned()).or_default() += 1;
        }
        let delta = self.settings.floor.delta;
        let charges = self.store.charges()?;
        let costs: Option<Vec<_>> = charges.iter().map(|charge| charge.cost).collect();
        let total = costs.and_then(|costs| spent(&costs, delta).ok());
        let remaining = charges.into_iter().map(|charge| Remaining {
            epsilon: charge
                .cost
                .and_then(|cost| spent(&[cost], delta).ok())
                .map(|spent| spent.epsilon),
            task: charge.task,
            round: charge.round,
            release: charge.release,
            delta,
        });
        let erasure = Erasure {
            at: now,
            unread: false,
            gone,
            left: strangers(self.store.home())?,
            remaining: remaining.collect(),
            epsilon: total.map(|spent| spent.epsilon),
            delta,
        };
        let identity = self.store.identity()?.map_or_else(stranger, Ok)?;
        Ok(erasure.sign(&identity))
    }
}
