//! What an authority remembers: invitations (as digests), certificates, revocations. SQLite, WAL.

use std::{collections::BTreeSet, path::Path, time::Duration};

use chorus_protocol::ClientId;
use chorus_wire::{InvitationCode, certificate::Role, revocation::Revocations};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::{AuthorityError, issue::Issued};

/// Layout of the tables, kept in `user_version`.
const LAYOUT: i64 = 1;

const TABLES: &str = "
    CREATE TABLE invitation (
        digest BLOB PRIMARY KEY,       -- SHA-256 of the code
        lookup BLOB NOT NULL,          -- its first 8 bytes: found by these, then compared in constant time
        role TEXT NOT NULL,
        server_name TEXT,
        expires_at INTEGER NOT NULL,   -- seconds since 1970
        used_by BLOB,                  -- public key
        certificate BLOB               -- DER, given again when the same key asks again
    ) STRICT;
    CREATE INDEX invitation_lookup ON invitation (lookup);
    CREATE TABLE certificate (
        serial BLOB PRIMARY KEY,
        client BLOB NOT NULL,          -- id of the key
        role TEXT NOT NULL,
        not_after INTEGER NOT NULL     -- seconds since 1970
    ) STRICT;
    CREATE INDEX certificate_client ON certificate (client);
    CREATE TABLE revocation (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        client BLOB UNIQUE,
        serial BLOB UNIQUE
    ) STRICT;
";

/// Used or expired invitations are forgotten after so many seconds: long after their certificates.
const KEPT_SECONDS: i64 = 3 * 366 * 86_400;

pub(crate) struct Store {
    connection: Connection,
}

/// What an invitation allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub role: Role,
    pub server_name: Option<String>,
    pub expires_at: i64,
}

/// What came of an invitation.
#[derive(Debug)]
pub(crate) enum Redeemed {
    Unknown,
    Used,
    Expired(i64),
    Revoked,
    Certificate(Vec<u8>),
}

impl Store {
    pub fn create(path: &Path) -> Result<(), AuthorityError> {
        let store = Self {
            connection: Connection::open(path)?,
        };
        store
            .connection
            .pragma_update(None, "journal_mode", "WAL")?;
        store.connection.execute_batch(TABLES)?;
        store
            .connection
            .pragma_update(None, "user_version", LAYOUT)?;
        Ok(())
    }

    pub fn open(path: &Path, directory: &Path) -> Result<Self, AuthorityError> {
        if !path.exists() {
            return Err(AuthorityError::Absent(directory.to_path_buf()));
        }
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        match connection.pragma_query_value(None, "user_version", |row| row.get(0))? {
            LAYOUT => Ok(Self { connection }),
            other => Err(AuthorityError::Layout(other)),
        }
    }

    pub fn invite(
        &mut self,
        codes: &[InvitationCode],
        terms: &Terms,
        now: i64,
    ) -> Result<(), AuthorityError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "DELETE FROM invitation WHERE expires_at < ?1",
            [now - KEPT_SECONDS],
        )?;
        {
            let mut insert = transaction.prepare(
                "INSERT INTO invitation (digest, lookup, role, server_name, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for code in codes {
                let digest = code.digest();
                let role = terms.role.name();
                insert.execute(params![
                    digest,
                    lookup(&digest),
                    role,
                    terms.server_name,
                    terms.expires_at
                ])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Uses an invitation up and keeps what `issue` made of it, both or neither.
    pub fn redeem(
        &mut self,
        code: &InvitationCode,
        key: &[u8; 32],
        now: i64,
        issue: impl FnOnce(&Terms) -> Result<Issued, AuthorityError>,
    ) -> Result<Redeemed, AuthorityError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let client = ClientId::of_key(key).0;
        let revoked: bool = transaction.query_row(
            "SELECT EXISTS (SELECT 1 FROM revocation WHERE client = ?1)",
            [client],
            |row| row.get(0),
        )?;
        let found = transaction
            .query_row(
                "SELECT digest, role, server_name, expires_at, used_by, certificate FROM invitation WHERE lookup = ?1",
                [lookup(&code.digest())],
                |row| {
                    let role: String = row.get(1)?;
                    let terms = (role, row.get::<_, Option<String>>(2)?, row.get::<_, i64>(3)?);
                    let used: (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(4)?, row.get(5)?);
                    Ok((row.get::<_, Vec<u8>>(0)?, terms, used))
                },
            )
            .optional()?;
        let Some((digest, (role, server_name, expires_at), used)) =
            found.filter(|(digest, ..)| code.is_of(digest))
        else {
            return Ok(Redeemed::Unknown);
        };
        let Some(role) = Role::of_name(&role) else {
            return Ok(Redeemed::Unknown);
        };
        match used {
            (Some(by), _) if by != key => return Ok(Redeemed::Used),
            _ if revoked => return Ok(Redeemed::Revoked),
            (Some(_), Some(certificate)) => return Ok(Redeemed::Certificate(certificate)),
            _ if expires_at < now => return Ok(Redeemed::Expired(expires_at)),
            _ => {}
        }
        let issued = issue(&Terms {
            role,
            server_name,
            expires_at,
        })?;
        transaction.execute(
            "UPDATE invitation SET used_by = ?2, certificate = ?3 WHERE digest = ?1",
            params![digest, key, issued.der],
        )?;
        transaction.execute(
            "INSERT INTO certificate (serial, client, role, not_after) VALUES (?1, ?2, ?3, ?4)",
            params![issued.serial, client, role.name(), issued.not_after],
        )?;
        transaction.commit()?;
        Ok(Redeemed::Certificate(issued.der))
    }

    /// Revokes every certificate of a client, also those to come. False when none was ever issued.
    pub fn revoke_client(&mut self, client: &ClientId) -> Result<bool, AuthorityError> {
        self.revoke("client", &client.0)
    }

    /// Revokes one certificate. False when it was never issued.
    pub fn revoke_serial(&mut self, serial: &[u8]) -> Result<bool, AuthorityError> {
        self.revoke("serial", serial)
    }

    fn revoke(&mut self, column: &'static str, value: &[u8]) -> Result<bool, AuthorityError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let issued: bool = transaction.query_row(
            &format!("SELECT EXISTS (SELECT 1 FROM certificate WHERE {column} = ?1)"),
            [value],
            |row| row.get(0),
        )?;
        if issued {
            // Revoking again changes nothing, the number of the list included.
            transaction.execute(
                &format!("INSERT INTO revocation ({column}) VALUES (?1) ON CONFLICT DO NOTHING"),
                [value],
            )?;
            transaction.commit()?;
        }
        Ok(issued)
    }

    /// Everything that was revoked.
    pub fn revocations(&self, now: i64) -> Result<Revocations, AuthorityError> {
        let mut list = Revocations {
            issued_at: now,
            ..Revocations::default()
        };
        let mut select = self
            .connection
            .prepare("SELECT sequence, client, serial FROM revocation")?;
        let mut rows = select.query([])?;
        let mut clients = BTreeSet::new();
        while let Some(row) = rows.next()? {
            let sequence: i64 = row.get(0)?;
            list.sequence = list.sequence.max(sequence.unsigned_abs());
            if let Some(client) = row.get::<_, Option<[u8; 16]>>(1)? {
                clients.insert(ClientId(client));
            }
            if let Some(serial) = row.get::<_, Option<Vec<u8>>>(2)? {
                list.serials.insert(serial);
            }
        }
        list.clients = clients;
        Ok(list)
    }
}

fn lookup(digest: &[u8; 32]) -> &[u8] {
    digest
        .first_chunk::<8>()
        .map(<[u8; 8]>::as_slice)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn issued(byte: u8) -> Issued {
        Issued {
            der: vec![byte],
            serial: vec![0x40, byte],
            not_after: 100,
        }
    }

    fn client_terms(expires_at: i64) -> Terms {
        Terms {
            role: Role::Client,
            server_name: None,
            expires_at,
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        Store::create(&path).unwrap();
        let store = Store::open(&path, directory.path()).unwrap();
        (directory, store)
    }

    #[test]
    fn an_invitation_is_used_once_and_only_in_time() {
        let (_directory, mut store) = store();
        let rng = &mut StdRng::seed_from_u64(1);
        let codes = [InvitationCode::generate(rng), InvitationCode::generate(rng)];
        store.invite(&codes, &client_terms(50), 0).unwrap();
        let [first, second] = &codes;
        let mut redeem = |code: &InvitationCode, key: u8, now: i64, made: u8| {
            store
                .redeem(code, &[key; 32], now, |_| Ok(issued(made)))
                .unwrap()
        };
        assert!(matches!(
            redeem(&InvitationCode::generate(rng), 1, 10, 1),
            Redeemed::Unknown
        ));
        assert!(matches!(redeem(first, 1, 51, 1), Redeemed::Expired(50)));
        assert!(matches!(redeem(first, 1, 50, 1), Redeemed::Certificate(der) if der == [1]));
        // A lost answer: the same certificate, also after the invitation's time.
        assert!(matches!(redeem(first, 1, 60, 2), Redeemed::Certificate(der) if der == [1]));
        assert!(matches!(redeem(first, 2, 10, 2), Redeemed::Used));
        assert!(matches!(redeem(second, 2, 10, 3), Redeemed::Certificate(der) if der == [3]));
    }

    #[test]
    fn a_certificate_that_cannot_be_issued_leaves_the_invitation_good() {
        let (_directory, mut store) = store();
        let code = InvitationCode::from_bytes([1; 20]);
        store
            .invite(std::slice::from_ref(&code), &client_terms(50), 0)
            .unwrap();
        let failed = store.redeem(&code, &[1; 32], 1, |_| Err(AuthorityError::Count(0)));
        assert!(failed.is_err());
        let redeemed = store.redeem(&code, &[2; 32], 1, |_| Ok(issued(7))).unwrap();
        assert!(matches!(redeemed, Redeemed::Certificate(_)));
    }

    #[test]
    fn revocations_are_numbered_and_hold() {
        let (_directory, mut store) = store();
        let codes = [
            InvitationCode::from_bytes([1; 20]),
            InvitationCode::from_bytes([2; 20]),
        ];
        store.invite(&codes, &client_terms(50), 0).unwrap();
        let [first, second] = &codes;
        let id = ClientId::of_key(&[1; 32]);
        assert!(!store.revoke_client(&id).unwrap());
        store.redeem(first, &[1; 32], 1, |_| Ok(issued(7))).unwrap();
        assert_eq!(store.revocations(5).unwrap().sequence, 0);
        assert!(store.revoke_client(&id).unwrap() && store.revoke_client(&id).unwrap());
        assert!(store.revoke_serial(&[0x40, 7]).unwrap() && !store.revoke_serial(&[9]).unwrap());
        let list = store.revocations(5).unwrap();
        assert!(list.names(&id, &[]) && list.names(&ClientId([0; 16]), &[0x40, 7]));
        assert_eq!(
            (list.clients.len(), list.serials.len(), list.issued_at),
            (1, 1, 5)
        );
        assert!(matches!(
            store.redeem(first, &[1; 32], 1, |_| Ok(issued(8))).unwrap(),
            Redeemed::Revoked
        ));
        assert!(matches!(
            store
                .redeem(second, &[1; 32], 1, |_| Ok(issued(8)))
                .unwrap(),
            Redeemed::Revoked
        ));
    }
}
