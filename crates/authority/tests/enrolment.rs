//! Enrolment from the invitation to the first call, over real TLS, and everything that must not get through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chorus_authority::{
    AuthorityError, InvitationCode, Invited, Revoked, ServeOptions, certificate, init, invite,
    revoke, serve,
};
use chorus_protocol::{ClientId, Identity, PROTOCOL_VERSION};
use chorus_wire::{
    Clock,
    certificate::{Authority, Role},
    client::{Issued, Open, SendError, Target, enrol, revocations},
    proto::{self, enrolment_client::EnrolmentClient},
    server::ServerTls,
    tls::{self, Credentials},
};
use hyper_util::rt::TokioIo;
use rand::{SeedableRng, rngs::StdRng};
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;
use tonic::{Code, transport::Endpoint};

const NOW: i64 = 1_800_000_000;
const DAY: Duration = Duration::from_secs(86_400);

struct Federation {
    directory: tempfile::TempDir,
    authority: Authority,
    address: SocketAddr,
    time: Arc<AtomicI64>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), AuthorityError>>,
}

impl Federation {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = init(
            &directory.path().join("authority"),
            NOW,
            &mut StdRng::seed_from_u64(1),
        )
        .unwrap();
        Self::serve(directory, authority, Arc::new(AtomicI64::new(NOW)), 2).await
    }

    async fn serve(
        directory: tempfile::TempDir,
        authority: Authority,
        time: Arc<AtomicI64>,
        seed: u64,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let path = directory.path().join("authority");
        let clock = clock(&time);
        let task = tokio::spawn(async move {
            let until = async move {
                let _ = stopped.await;
            };
            serve(
                listener,
                &path,
                &ServeOptions::default(),
                clock,
                StdRng::seed_from_u64(seed),
                until,
            )
            .await
        });
        Self {
            directory,
            authority,
            address,
            time,
            stop,
            task,
        }
    }

    async fn restart(self) -> Self {
        drop(self.stop);
        self.task.await.unwrap().unwrap();
        Self::serve(self.directory, self.authority, self.time, 3).await
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("authority")
    }

    fn target(&self) -> Target {
        target(self.address)
    }

    fn invite(&self, invited: &Invited, seed: u64) -> InvitationCode {
        let rng = &mut StdRng::seed_from_u64(seed);
        let now = self.time.load(Ordering::SeqCst);
        invite(&self.path(), invited, DAY, 1, now, rng)
            .unwrap()
            .remove(0)
    }

    async fn enrol(&self, code: &InvitationCode, identity: &Identity) -> Result<Issued, SendError> {
        enrol(
            &self.target(),
            &self.authority,
            code,
            identity,
            &clock(&self.time),
            Arc::new(Open),
        )
        .await
    }
}

fn target(address: SocketAddr) -> Target {
    Target::with_name(&address.to_string(), "localhost").unwrap()
}

fn clock(time: &Arc<AtomicI64>) -> Clock {
    let time = time.clone();
    Clock::new(move || time.load(Ordering::SeqCst))
}

fn label<T: std::fmt::Debug>(result: Result<T, SendError>) -> String {
    match result {
        Err(SendError::Refused { label, .. }) => label,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[tokio::test]
async fn an_invitation_becomes_a_certificate_once() {
    let federation = Federation::start().await;
    let code = federation.invite(&Invited::Client, 10);
    let typed: InvitationCode = code.to_string().parse().unwrap();
    let identity = Identity::from_seed(&[7; 32]);
    let issued = federation.enrol(&typed, &identity).await.unwrap();
    assert_eq!(
        (issued.enrolled.key, issued.enrolled.role),
        (identity.public(), Role::Client)
    );
    assert_eq!(issued.enrolled.not_after, NOW + 7 * 86_400);
    // The answer was lost: the same again, also after a restart and after the invitation's time.
    assert_eq!(federation.enrol(&code, &identity).await.unwrap(), issued);
    let federation = federation.restart().await;
    federation.time.store(NOW + 2 * 86_400, Ordering::SeqCst);
    assert_eq!(federation.enrol(&code, &identity).await.unwrap(), issued);
    let other = Identity::from_seed(&[8; 32]);
    assert_eq!(
        label(federation.enrol(&code, &other).await),
        "invitation-used"
    );
}

#[tokio::test]
async fn a_race_for_one_invitation_has_one_winner() {
    let federation = Federation::start().await;
    let code = federation.invite(&Invited::Client, 10);
    let identities: Vec<_> = (0..8)
        .map(|seed| Identity::from_seed(&[seed; 32]))
        .collect();
    let results =
        futures_util::future::join_all(identities.iter().map(|key| federation.enrol(&code, key)))
            .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(
        results
            .into_iter()
            .filter(Result::is_err)
            .all(|result| label(result) == "invitation-used")
    );
}

#[tokio::test]
async fn what_is_unknown_or_late_is_refused_in_a_sentence() {
    let federation = Federation::start().await;
    let identity = Identity::from_seed(&[7; 32]);
    let unknown = InvitationCode::from_bytes([1; 20]);
    assert_eq!(
        label(federation.enrol(&unknown, &identity).await),
        "invitation-unknown"
    );
    let code = federation.invite(&Invited::Client, 10);
    federation.time.store(NOW + 86_401, Ordering::SeqCst);
    match federation.enrol(&code, &identity).await {
        Err(SendError::Refused { label, message }) => {
            assert_eq!(label, "invitation-expired");
            assert_eq!(
                message,
                "this invitation expired 1 seconds ago; ask the operator for a new one"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_witness_gets_a_server_certificate_for_its_name() {
    let federation = Federation::start().await;
    let named = |server_name: &str| Invited::Witness {
        server_name: server_name.to_owned(),
    };
    let rng = &mut StdRng::seed_from_u64(10);
    for wrong in ["", "two words", "-witness.example"] {
        let refused = invite(&federation.path(), &named(wrong), DAY, 1, NOW, rng);
        assert!(matches!(refused, Err(AuthorityError::ServerName(_))));
    }
    let code = federation.invite(&named("witness.example"), 10);
    let identity = Identity::from_seed(&[7; 32]);
    let issued = federation.enrol(&code, &identity).await.unwrap();
    assert_eq!(issued.enrolled.role, Role::Witness);
    let credentials = Credentials::new(&identity, issued.certificate);
    let (root, time) = (&federation.authority, clock(&federation.time));
    assert!(ServerTls::for_coordinators(&credentials, root, &time).is_ok());
}

#[tokio::test]
async fn a_coordinator_gets_a_server_certificate_for_its_name() {
    let federation = Federation::start().await;
    let code = federation.invite(
        &Invited::Coordinator {
            server_name: "rounds.example".to_owned(),
        },
        10,
    );
    let identity = Identity::from_seed(&[7; 32]);
    let issued = federation.enrol(&code, &identity).await.unwrap();
    assert_eq!(issued.enrolled.role, Role::Coordinator);
    let credentials = Credentials::new(&identity, issued.certificate);
    assert!(
        ServerTls::mutual(
            &credentials,
            &federation.authority,
            &clock(&federation.time)
        )
        .is_ok()
    );
    // Another key cannot use it.
    let stolen = Credentials::new(
        &Identity::from_seed(&[8; 32]),
        credentials.certificate().to_vec(),
    );
    assert!(ServerTls::mutual(&stolen, &federation.authority, &clock(&federation.time)).is_err());
}

#[tokio::test]
async fn the_list_of_revocations_is_signed_and_grows() {
    let federation = Federation::start().await;
    let clock = clock(&federation.time);
    let fetch =
        async |seen| revocations(&federation.target(), &federation.authority, seen, &clock).await;
    let (list, _) = fetch(0).await.unwrap();
    assert_eq!(
        (list.sequence, list.issued_at, list.clients.len()),
        (0, NOW, 0)
    );
    let identity = Identity::from_seed(&[7; 32]);
    let code = federation.invite(&Invited::Client, 10);
    let issued = federation.enrol(&code, &identity).await.unwrap();
    // Beside the running server, as an operator does it.
    let by_id = Revoked::client(&hex::encode(identity.id().0)).unwrap();
    revoke(&federation.path(), &by_id).unwrap();
    let serial = hex::encode(&issued.enrolled.serial);
    revoke(&federation.path(), &Revoked::serial(&serial).unwrap()).unwrap();
    let (list, signed) = fetch(0).await.unwrap();
    assert!(
        list.names(&identity.id(), &[]) && list.names(&ClientId([0; 16]), &issued.enrolled.serial)
    );
    assert!(
        signed
            .verify(&federation.authority.key(), list.sequence)
            .is_ok()
    );
    // An authority that shows an old list is not believed.
    assert!(matches!(
        fetch(list.sequence + 1).await,
        Err(SendError::Protocol(_))
    ));
    // Neither the old invitation nor a new one brings a revoked key back.
    assert_eq!(label(federation.enrol(&code, &identity).await), "revoked");
    let again = federation.invite(&Invited::Client, 11);
    assert_eq!(label(federation.enrol(&again, &identity).await), "revoked");
}

#[tokio::test]
async fn another_authority_is_not_trusted() {
    let federation = Federation::start().await;
    let foreign = Federation::start_at(5).await;
    let code = foreign.invite(&Invited::Client, 10);
    let identity = Identity::from_seed(&[7; 32]);
    let clock = clock(&federation.time);
    let other_name = Target::with_name(&federation.address.to_string(), "example.org").unwrap();
    for target in [foreign.target(), other_name] {
        let (root, gate) = (&federation.authority, Arc::new(Open));
        let result = enrol(&target, root, &code, &identity, &clock, gate).await;
        assert_eq!(label(result), "server-certificate");
    }
}

impl Federation {
    async fn start_at(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = init(
            &directory.path().join("authority"),
            NOW,
            &mut StdRng::seed_from_u64(seed),
        )
        .unwrap();
        Self::serve(
            directory,
            authority,
            Arc::new(AtomicI64::new(NOW)),
            seed + 1,
        )
        .await
    }
}

#[tokio::test]
async fn requests_without_manners_are_refused() {
    let federation = Federation::start().await;
    let config = tls::client(&federation.authority, None, &clock(&federation.time)).unwrap();
    let address = federation.address;
    let connector = tower::service_fn(move |_| {
        let connector = TlsConnector::from(config.clone());
        async move {
            let tcp = TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost").unwrap();
            std::io::Result::Ok(TokioIo::new(connector.connect(name, tcp).await?))
        }
    });
    let channel = Endpoint::from_static("http://chorus")
        .connect_with_connector(connector)
        .await
        .unwrap();
    let mut client = EnrolmentClient::new(channel);
    let good = chorus_wire::certificate::certificate_request(&Identity::from_seed(&[7; 32]));
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let request =
        |protocol_version, invitation: usize, certificate_request: &[u8]| proto::EnrolRequest {
            protocol_version,
            invitation: vec![1; invitation],
            certificate_request: certificate_request.to_vec(),
        };
    for (message, code, label) in [
        (
            request(PROTOCOL_VERSION - 1, 20, &good),
            Code::FailedPrecondition,
            "protocol-version",
        ),
        (
            request(PROTOCOL_VERSION, 19, &good),
            Code::InvalidArgument,
            "field-length",
        ),
        (
            request(PROTOCOL_VERSION, 20, &[]),
            Code::InvalidArgument,
            "certificate-request",
        ),
        (
            request(PROTOCOL_VERSION, 20, &damaged),
            Code::InvalidArgument,
            "certificate-request",
        ),
        (
            request(PROTOCOL_VERSION, 20, &vec![0; 4200]),
            Code::InvalidArgument,
            "field-too-long",
        ),
        (
            request(PROTOCOL_VERSION, 20, &vec![0; 5000]),
            Code::OutOfRange,
            "message-too-long",
        ),
        (
            request(PROTOCOL_VERSION, 20, &good),
            Code::PermissionDenied,
            "invitation-unknown",
        ),
    ] {
        let status = client.enrol(message).await.unwrap_err();
        let found = status
            .metadata()
            .get("chorus-reject")
            .map_or("", |label| label.to_str().unwrap());
        assert_eq!((status.code(), found), (code, label), "{status:?}");
    }
}

#[test]
fn an_authority_is_made_once_and_its_key_is_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b");
    let rng = &mut StdRng::seed_from_u64(1);
    assert!(matches!(certificate(&path), Err(AuthorityError::Absent(_))));
    assert!(matches!(
        invite(&path, &Invited::Client, DAY, 1, NOW, rng),
        Err(AuthorityError::Absent(_))
    ));
    let made = init(&path, NOW, rng).unwrap();
    assert_eq!(certificate(&path).unwrap(), made);
    let before = fs::read(path.join("authority.key")).unwrap();
    let error = init(&path, NOW, rng).unwrap_err();
    assert!(
        matches!(error, AuthorityError::Exists(_)) && error.to_string().contains("authority.key"),
        "{error}"
    );
    assert_eq!(fs::read(path.join("authority.key")).unwrap(), before);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path.join("authority.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn no_code_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let rng = &mut StdRng::seed_from_u64(1);
    init(directory.path(), NOW, rng).unwrap();
    let codes = invite(directory.path(), &Invited::Client, DAY, 50, NOW, rng).unwrap();
    assert_eq!(codes.len(), 50);
    let files: Vec<u8> = fs::read_dir(directory.path())
        .unwrap()
        .flat_map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    for code in &codes {
        let shown = code.to_string();
        assert!(!files.windows(20).any(|bytes| bytes == code.as_bytes()));
        assert!(
            !files
                .windows(shown.len())
                .any(|bytes| bytes == shown.as_bytes())
        );
    }
}

#[test]
fn arguments_out_of_range_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let rng = &mut StdRng::seed_from_u64(1);
    init(directory.path(), NOW, rng).unwrap();
    let mut invite =
        |invited: &Invited, life, count| invite(directory.path(), invited, life, count, NOW, rng);
    let named = |name: &str| Invited::Coordinator {
        server_name: name.to_owned(),
    };
    assert!(matches!(
        invite(&Invited::Client, DAY, 0),
        Err(AuthorityError::Count(0))
    ));
    assert!(matches!(
        invite(&Invited::Client, DAY, 1_000_001),
        Err(AuthorityError::Count(_))
    ));
    assert!(matches!(
        invite(&Invited::Client, Duration::ZERO, 1),
        Err(AuthorityError::Lifetime(0))
    ));
    assert!(matches!(
        invite(&Invited::Client, DAY * 1000, 1),
        Err(AuthorityError::Lifetime(_))
    ));
    for name in ["", "a b", "-", "*.example", "a..b"] {
        let result = invite(&named(name), DAY, 1);
        assert!(
            matches!(result, Err(AuthorityError::ServerName(_))),
            "{name}"
        );
    }
    assert!(invite(&named("127.0.0.1"), DAY, 1).is_ok() && invite(&named("::1"), DAY, 1).is_ok());
    for text in ["", "xyz", "00"] {
        assert!(
            Revoked::client(text).is_err() && Revoked::serial(text).is_err(),
            "{text}"
        );
    }
    let error = revoke(
        directory.path(),
        &Revoked::client(&"ab".repeat(16)).unwrap(),
    )
    .unwrap_err();
    assert!(matches!(error, AuthorityError::NeverIssued("client id")));
    assert_eq!(
        Revoked::serial("00:4a:ff").unwrap(),
        Revoked::Serial(vec![0x4a, 0xff])
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_that_others_can_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), NOW, &mut StdRng::seed_from_u64(1)).unwrap();
    let key = directory.path().join("authority.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        try_serve(directory.path()).await,
        Err(AuthorityError::Exposed(_))
    ));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "not a key").unwrap();
    assert!(matches!(
        try_serve(directory.path()).await,
        Err(AuthorityError::Key(_))
    ));
    let other = tempfile::tempdir().unwrap();
    init(other.path(), NOW, &mut StdRng::seed_from_u64(2)).unwrap();
    fs::copy(other.path().join("authority.key"), &key).unwrap();
    assert!(matches!(
        try_serve(directory.path()).await,
        Err(AuthorityError::Mismatch(_))
    ));
}

async fn try_serve(directory: &Path) -> Result<(), AuthorityError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let clock = Clock::new(|| NOW);
    let rng = StdRng::seed_from_u64(1);
    serve(
        listener,
        directory,
        &ServeOptions::default(),
        clock,
        rng,
        async {},
    )
    .await
}
