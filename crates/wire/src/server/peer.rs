use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use chorus_protocol::ClientId;

use super::accept::{Gate, Keep};
use crate::{
    Clock,
    certificate::{Authority, Enrolled, Role},
};

/// Who is at the other end of a connection: what its certificate says, checked when the connection was made.
#[derive(Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its enrolled Ed25519 public key.
    pub key: [u8; 32],
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its id: of the key.
    pub id: ClientId,
    /// The certificate's serial number, without leading zeros.
    pub serial: Vec<u8>,
    /// The certificate is valid until and including this time, seconds since 1970 UTC.
    pub not_after: i64,
}

impl Peer {
    /// The holder of a certificate that was checked.
    pub fn new(certificate: &[u8], enrolled: Enrolled) -> Self {
        Self {
            id: enrolled.id(),
            key: enrolled.key,
            certificate: certificate.to_vec(),
            serial: enrolled.serial,
            not_after: enrolled.not_after,
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer(..)")
    }
}

/// Lets in whoever shows a valid certificate of `authority` for `role`, with at most `limit` connections at once.
pub(super) fn gate(
    authority: Authority,
    role: Role,
    clock: Clock,
    limit: usize,
) -> Gate<Arc<Peer>> {
    let census = Arc::new(Census::default());
    Arc::new(move |tls| {
        let certificate = tls.get_ref().1.peer_certificates()?.first()?;
        let enrolled = authority.verify_role(certificate, role, clock.now()).ok()?;
        let counted = census.enter(enrolled.id(), limit)?;
        let keep: Keep = Some(Box::new(counted));
        Some((Arc::new(Peer::new(certificate, enrolled)), keep))
    })
}

/// How many connections each key has.
#[derive(Default)]
pub(super) struct Census(Mutex<HashMap<ClientId, usize>>);

/// One connection in the census.
pub(super) struct Counted {
    census: Arc<Census>,
    id: ClientId,
}

impl Census {
    /// Counts one more connection of `id`, unless there are `limit` already.
    pub fn enter(self: &Arc<Self>, id: ClientId, limit: usize) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(id).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Counted {
            census: self.clone(),
            id,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.census.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_so_many_connections_and_leaves_nothing_behind() {
        let census = Arc::new(Census::default());
        let id = ClientId([1; 16]);
        let first = census.enter(id, 2);
        let second = census.enter(id, 2);
        assert!(first.is_some() && second.is_some());
        assert!(census.enter(id, 2).is_none());
        assert!(census.enter(ClientId([2; 16]), 2).is_some());
        drop(first);
        assert!(census.enter(id, 2).is_some());
        drop(second);
        assert!(census.0.lock().unwrap().is_empty());
    }
}
