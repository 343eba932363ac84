use std::{
    future::Future,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chorus_protocol::Identity;
use chorus_wire::{
    Clock, InvitationCode, Kind, Rejection,
    certificate::{Authority, Role},
    revocation::SignedRevocations,
    server::{Certificates, EnrolmentService, ServerTls, serve_enrolment},
    tls::Credentials,
};
use rand_core::CryptoRng;
use tokio::{net::TcpListener, task::spawn_blocking};

use crate::{
    AuthorityError,
    error::seconds,
    files::Files,
    issue::{Wanted, check_server_name, issue},
    store::{Redeemed, Store},
};

/// How an authority serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// The name under which callers reach it: a DNS name or an IP address.
    pub server_name: String,
    /// How long the certificates that it issues are valid.
    pub certificate_lifetime: Duration,
}

impl Default for ServeOptions {
    /// `localhost`, and seven days.
    fn default() -> Self {
        Self {
            server_name: "localhost".to_owned(),
            certificate_lifetime: Duration::from_secs(7 * 86_400),
        }
    }
}

/// The server's own certificate, made anew with a new key at each start.
const SERVER_SECONDS: i64 = 366 * 86_400;

/// Serves enrolment from `directory` on `listener` until `shutdown`, over TLS 1.3. Callers have no certificate yet.
///
/// # Errors
/// When there is no authority in the directory, its files cannot be used, an option is out of range, or the
/// transport fails.
///
/// # Privacy
/// The authority learns every public key that enrols and the network address it came from, and which invitation it
/// used. It learns nothing of rounds.
pub async fn serve<R: CryptoRng + Send + 'static>(
    listener: TcpListener,
    directory: &Path,
    options: &ServeOptions,
    clock: Clock,
    mut rng: R,
    shutdown: impl Future<Output = ()>,
) -> Result<(), AuthorityError> {
    check_server_name(&options.server_name)?;
    let lifetime = seconds(options.certificate_lifetime)?;
    let files = Files::of(directory);
    let (identity, authority) = files.read(directory)?;
    let store = Store::open(&files.store, directory)?;
    let server = Identity::generate(&mut rng);
    let wanted = Wanted {
        key: server.public(),
        role: Role::Authority,
        server_name: Some(&options.server_name),
        seconds: SERVER_SECONDS,
    };
    let certificate = issue(&identity, &wanted, clock.now(), &mut rng)?.der;
    let tls = ServerTls::open(&Credentials::new(&server, certificate), &clock)?;
    let desk = Desk {
        identity,
        authority,
        lifetime,
        clock,
        state: Mutex::new((store, rng)),
    };
    let service = Arc::new(Counter(Arc::new(desk)));
    Ok(serve_enrolment(listener, tls, service, shutdown).await?)
}

/// Where invitations are exchanged.
struct Desk<R> {
    identity: Identity,
    authority: Authority,
    lifetime: i64,
    clock: Clock,
    state: Mutex<(Store, R)>,
}

/// Takes callers to the desk on threads that may wait for the disk.
struct Counter<R>(Arc<Desk<R>>);

impl<R: CryptoRng + Send + 'static> EnrolmentService for Counter<R> {
    async fn enrol(
        &self,
        invitation: InvitationCode,
        key: [u8; 32],
    ) -> Result<Certificates, Rejection> {
        let desk = self.0.clone();
        let enrolled = spawn_blocking(move || desk.enrol(&invitation, key)).await;
        enrolled.unwrap_or_else(|_| Err(Rejection::broken()))
    }

    async fn revocations(&self) -> Result<SignedRevocations, Rejection> {
        let desk = self.0.clone();
        let listed = spawn_blocking(move || desk.revocations()).await;
        listed.unwrap_or_else(|_| Err(Rejection::broken()))
    }
}

fn broken(error: impl std::fmt::Display) -> Rejection {
    tracing::error!(%error, "a call failed for a fault of this side");
    Rejection::broken()
}

fn refused(label: &'static str, message: &str) -> Rejection {
    Rejection::new(Kind::Forbidden, label, message)
}

impl<R: CryptoRng> Desk<R> {
    fn enrol(&self, invitation: &InvitationCode, key: [u8; 32]) -> Result<Certificates, Rejection> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, rng) = &mut *state;
        let redeemed = store.redeem(invitation, &key, now, |terms| {
            let server_name = terms.server_name.as_deref();
            let wanted = Wanted {
                key,
                role: terms.role,
                server_name,
                seconds: self.lifetime,
            };
            issue(&self.identity, &wanted, now, rng)
        });
        match redeemed.map_err(broken)? {
            Redeemed::Certificate(certificate) => Ok(Certificates {
                certificate,
                authority: self.authority.der().to_vec(),
            }),
            Redeemed::Unknown => Err(refused(
                "invitation-unknown",
                "this invitation is not known here; check that it was copied whole and is for this authority",
            )),
            Redeemed::Used => Err(refused(
                "invitation-used",
                "this invitation was used by another key; ask the operator for a new one",
            )),
            Redeemed::Expired(at) => Err(refused(
                "invitation-expired",
                &format!(
                    "this invitation expired {} seconds ago; ask the operator for a new one",
                    now - at
                ),
            )),
            Redeemed::Revoked => Err(refused(
                "revoked",
                "this key was revoked and cannot be enrolled again; make a new one or ask the operator",
            )),
        }
    }

    fn revocations(&self) -> Result<SignedRevocations, Rejection> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let list = state.0.revocations(self.clock.now()).map_err(broken)?;
        list.sign(&self.identity).map_err(broken)
    }
}
