//! What the authority revoked: fetched again and again, kept in the store, asked on every call.

use std::sync::{Arc, PoisonError, RwLock};

use chorus_protocol::ClientId;
use chorus_wire::certificate::Authority;
use chorus_wire::client::revocations;
use chorus_wire::revocation::{Revocations, SignedRevocations};
use tokio::sync::watch;

use crate::desk::Common;
use crate::store::{self, Store, StoreError};

/// The newest signed list; none until the first was fetched.
#[derive(Default)]
pub(crate) struct Revoked {
    list: RwLock<Option<Arc<Revocations>>>,
}

impl Revoked {
    /// Takes up the list where the store has it. One that the authority did not sign is as good as none.
    pub fn load(store: &Store, authority: &Authority) -> Result<Self, StoreError> {
        let stored = store.read(store::revocations::last)?;
        let list = stored.and_then(|stored| {
            let signed = SignedRevocations {
                bytes: stored.list,
                signature: stored.signature,
            };
            signed.verify(&authority.key(), 0).ok().map(Arc::new)
        });
        Ok(Self {
            list: RwLock::new(list),
        })
    }

    pub fn current(&self) -> Option<Arc<Revocations>> {
        self.list
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// True when this holder, or this one certificate, may not speak any more.
    pub fn names(&self, id: &ClientId, serial: &[u8]) -> bool {
        self.current().is_some_and(|list| list.names(id, serial))
    }

    pub fn set(&self, list: Revocations) {
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(list));
    }
}

/// Fetches the list until the service stops. An authority that cannot be reached changes nothing: the last list holds.
pub(crate) async fn poll(
    common: Arc<Common>,
    authority: Authority,
    mut stopping: watch::Receiver<bool>,
) {
    let mut reached = true;
    loop {
        let answer = tokio::select! {
            answer = fetch(&common, &authority) => answer,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let pause = match answer {
            Ok(()) => {
                reached = true;
                common.config.poll()
            }
            Err(error) => {
                // Once, not with every try.
                if reached {
                    tracing::warn!(%error, "the list of revoked certificates could not be fetched");
                }
                reached = false;
                common.config.poll().min(std::time::Duration::from_secs(2))
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

async fn fetch(common: &Arc<Common>, authority: &Authority) -> Result<(), String> {
    let seen = common.revoked.current().map_or(0, |list| list.sequence);
    let target = common.config.authority();
    let (list, signed) = revocations(target, authority, seen, common.clock.wall())
        .await
        .map_err(|error| error.to_string())?;
    let (store, fetched) = (common.clone(), common.clock.unix());
    let kept = tokio::task::spawn_blocking(move || {
        let stored = store::Revocations {
            list: signed.bytes,
            signature: signed.signature,
            fetched,
        };
        store
            .store
            .write(|tx| store::revocations::keep(tx, &stored))
    });
    match kept.await {
        Ok(kept) => kept.map_err(|error| error.to_string())?,
        Err(error) => return Err(error.to_string()),
    }
    common.revoked.set(list);
    Ok(())
}
