//! Whole servers, less TLS and HTTP/2: any calls in any order, any bytes as their bodies.
//!
//! An input is a list of calls, each a byte that chooses the call and how its body claims to be compressed, the length
//! of the body in two bytes, and the body: gRPC messages, or what is sent in their place.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use chorus_protocol::{Beacon, Digest, PROTOCOL_VERSION, Reject, Request, Response, RoundId, Seal};
use chorus_secagg::Ring;
use chorus_wire::{
    Clock, InvitationCode, Kind, Rejection, Shape,
    certificate::{Enrolled, Role, certificate_request},
    proto::{self, upload_chunk::Part},
    revocation::{Revocations, SignedRevocations},
    server::{
        Calls, Certificates, EnrolmentService, Limits, Peer, Service, WitnessService,
        enrolment_calls, training_calls, witness_calls,
    },
};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tonic::{Code, Status, body::Body};

use super::{
    messages::encoded,
    world::{MODEL, member, signer, world},
};

/// In the order of [`encoded`].
const TRAINING: &[&str] = &[
    "CheckIn",
    "FetchLog",
    "FetchModel",
    "AdvertiseKeys",
    "ShareKeys",
    "ConfirmShares",
    "Endorse",
    "Unmask",
    "Await",
    "Upload",
    "UploadStatus",
    "Nothing",
];

const UPLOAD: u8 = 9;
const UPLOAD_STATUS: u8 = 10;

/// What each of the first calls of an input is, at most so many.
const CALLS: usize = 16;

/// Splits an input: which call, how compressed, which body.
pub fn calls(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut calls = Vec::new();
    while let Some((&[call, low, high], rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let (body, rest) = rest.split_at(length.min(rest.len()));
        calls.push((call, body));
        bytes = rest;
    }
    calls
}

/// Writes a call of an input.
pub fn call(call: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a short body");
    [&[call][..], &length.to_le_bytes(), body].concat()
}

/// One gRPC message.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0][..], &length.to_be_bytes(), message].concat()
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
}

/// Makes the calls of an input one after another. Gives how many were answered and how many refused; every refusal has
/// a name.
fn make(server: &mut impl Calls, service: &str, names: &[&str], bytes: &[u8]) -> (usize, usize) {
    let (mut answered, mut refused) = (0, 0);
    for (choice, body) in calls(bytes).into_iter().take(CALLS) {
        let name = names[usize::from(choice & 0x1f) % names.len()];
        let mut request = http::Request::post(format!("http://fuzz/chorus.v1.{service}/{name}"))
            .header("content-type", "application/grpc");
        let compression = match choice >> 5 {
            1 => Some(("grpc-encoding", "gzip")),
            2 => Some(("content-encoding", "br")),
            3 => Some(("grpc-encoding", "identity")),
            _ => None,
        };
        if let Some((header, encoding)) = compression {
            request = request.header(header, encoding);
        }
        let body = Body::new(Full::from(body.to_vec()));
        let mut request = request.body(body).expect("a sound request");
        request.extensions_mut().insert(peer());
        let answering = async {
            let answer = server.call(request).await.expect("never fails");
            let status = Status::from_header_map(answer.headers());
            let body = answer.into_body().collect().await.expect("a whole answer");
            (status, body.to_bytes())
        };
        let (status, body) = RUNTIME.with(|runtime| runtime.block_on(answering));
        match status.filter(|status| status.code() != Code::Ok) {
            Some(status) => {
                refused += 1;
                let label = status.metadata().get("chorus-reject");
                let label = label.map_or("", |label| label.to_str().expect("a word"));
                // `internal` is what a call ends with whose service stopped.
                assert!(!["", "internal"].contains(&label), "{status:?}");
                assert!(body.is_empty());
            }
            None => {
                answered += 1;
                assert!(body.len() >= 5 && body[0] == 0, "an answer is a message");
            }
        }
    }
    (answered, refused)
}

fn peer() -> Arc<Peer> {
    let enrolled = Enrolled {
        key: member(0).public(),
        role: Role::Client,
        not_before: 0,
        not_after: i64::MAX,
        serial: vec![1],
    };
    Arc::new(Peer::new(&[1], enrolled))
}

/// Accepts an upload to each round once, and counts what was refused.
#[derive(Default)]
struct Coordinator {
    refused: AtomicUsize,
    accepted: Mutex<BTreeSet<RoundId>>,
}

/// The rounds that run here, each with another shape.
fn shape(round: RoundId) -> Result<Shape, Rejection> {
    if round.0 >= 200 {
        return Err(Reject::UnknownRound(round.0).into());
    }
    let number = usize::try_from(round.0).unwrap_or_default();
    Ok(Shape {
        ring: Ring::ALL[number % 4],
        length: number / 4,
    })
}

impl Service for Coordinator {
    fn admit(&self, _: &Peer) -> Result<(), Rejection> {
        Ok(())
    }

    async fn handle(&self, _: &Peer, request: Request) -> Result<Response, Rejection> {
        match request {
            Request::CheckIn { .. } => Ok(Response::Wait { milliseconds: 1 }),
            Request::FetchLog { .. } => Ok(Response::Log(Vec::new())),
            Request::FetchModel { .. } => panic!("the wire asks for the file"),
            Request::Upload { round, update } => {
                let shape = shape(round)?;
                let update = update.masked;
                assert_eq!(update.bytes().len() as u64, shape.bytes());
                assert_eq!((update.ring(), update.length()), (shape.ring, shape.length));
                if round.0 % 5 == 4 {
                    return Err(Reject::LeftOut.into());
                }
                let is_new = self.accepted.lock().expect("whole").insert(round);
                assert!(is_new, "an upload that was accepted comes again");
                Ok(Response::Accepted)
            }
            Request::Endorse { round, .. } if round.0 % 2 == 0 => Err(Reject::Signature.into()),
            Request::Await { .. } => Ok(Response::Pending),
            _ => Ok(Response::Accepted),
        }
    }

    async fn model(&self, _: &Peer, digest: Digest) -> Result<Arc<[u8]>, Rejection> {
        match digest == Digest::of(MODEL) {
            true => Ok(MODEL.into()),
            false => Err(Rejection::new(
                Kind::Unknown,
                "unknown-model",
                "no such file",
            )),
        }
    }

    async fn upload_shape(&self, _: &Peer, round: RoundId) -> Result<Shape, Rejection> {
        shape(round)
    }

    fn refused(&self, label: &str) {
        assert!(!label.is_empty());
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Calls of a client to its coordinator.
pub fn training(bytes: &[u8]) -> bool {
    let service = Arc::new(Coordinator::default());
    let clock = Clock::new(|| 1_800_000_000);
    let mut server = training_calls(service.clone(), &clock, &Limits::default());
    let (answered, refused) = make(&mut server, "Training", TRAINING, bytes);
    assert_eq!(service.refused.load(Ordering::Relaxed), refused);
    answered > 0
}

/// An upload of one round in tiles of `tile` bytes, from `offset` to `end`.
fn uploading(round: u64, offset: usize, end: usize, tile: usize) -> Vec<u8> {
    let shape = shape(RoundId(round)).expect("it runs");
    let bytes = vec![0; usize::try_from(shape.bytes()).expect("short")];
    let chunk = |part| framed(&proto::UploadChunk { part: Some(part) }.encode_to_vec());
    let start = proto::UploadStart {
        protocol_version: PROTOCOL_VERSION,
        round,
        total_bytes: shape.bytes(),
        sha256: Digest::of(&bytes).0.to_vec(),
        offset: offset as u64,
        signature: vec![9; 64],
    };
    let tiles = bytes[offset..end.min(bytes.len())].chunks(tile);
    let tiles = tiles.map(|tile| chunk(Part::Data(tile.to_vec())));
    let body: Vec<u8> = std::iter::once(chunk(Part::Start(start)))
        .chain(tiles)
        .flatten()
        .collect();
    call(UPLOAD, &body)
}

pub fn training_seeds() -> Vec<Vec<u8>> {
    let spoken = world().calls.iter().map(encoded);
    let mut seeds: Vec<Vec<u8>> = spoken
        .filter(|(kind, _)| *kind != UPLOAD)
        .map(|(kind, message)| call(kind, &framed(&message)))
        .collect();
    seeds.sort();
    seeds.dedup();
    let status = proto::UploadStatusRequest {
        protocol_version: PROTOCOL_VERSION,
        round: 41,
    };
    let status = call(UPLOAD_STATUS, &framed(&status.encode_to_vec()));
    let all = usize::MAX;
    seeds.extend([
        // Whole, and again.
        [uploading(40, 0, all, 9), uploading(40, 0, all, 1000)].concat(),
        // Broken off, asked about, gone on with.
        [
            uploading(41, 0, 30, 7),
            status.clone(),
            uploading(41, 30, all, 20),
            status,
        ]
        .concat(),
        // Broken off, begun anew; refused by the service, sent again.
        [
            uploading(42, 0, 30, 30),
            uploading(42, 0, all, 30),
            uploading(44, 0, all, 50),
            uploading(44, 0, all, 50),
        ]
        .concat(),
    ]);
    let model = proto::FetchModelRequest {
        protocol_version: PROTOCOL_VERSION,
        digest: Digest::of(MODEL).0.to_vec(),
        offset: 5,
    };
    seeds.push(call(2, &framed(&model.encode_to_vec())));
    seeds
}

struct Testifying;

impl WitnessService for Testifying {
    async fn draw(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        commitment: Digest,
    ) -> Result<Beacon, Rejection> {
        let certificate = vec![1; 500];
        let drawn = commitment.0;
        Ok(Beacon::sign(
            &signer(),
            certificate,
            coordinator,
            round,
            &commitment,
            drawn,
        ))
    }

    async fn sign(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        statement: Digest,
    ) -> Result<Seal, Rejection> {
        let certificate = vec![1; 500];
        Ok(Seal::sign(
            &signer(),
            certificate,
            coordinator,
            round,
            &statement,
        ))
    }
}

/// Questions of a coordinator to its witness.
pub fn witness(bytes: &[u8]) -> bool {
    let clock = Clock::new(|| 1_800_000_000);
    let mut server = witness_calls(Arc::new(Testifying), &clock);
    make(&mut server, "Witness", &["Draw", "Sign", "Nothing"], bytes).0 > 0
}

pub fn witness_seeds() -> Vec<Vec<u8>> {
    let draw = proto::DrawRequest {
        protocol_version: PROTOCOL_VERSION,
        round: 7,
        commitment: vec![3; 32],
    };
    let sign = proto::SignRequest {
        protocol_version: PROTOCOL_VERSION,
        round: 7,
        statement: vec![4; 32],
    };
    let draw = call(0, &framed(&draw.encode_to_vec()));
    let sign = call(1, &framed(&sign.encode_to_vec()));
    vec![draw.clone(), sign.clone(), [draw, sign].concat()]
}

struct Enrolling;

impl EnrolmentService for Enrolling {
    async fn enrol(
        &self,
        invitation: InvitationCode,
        key: [u8; 32],
    ) -> Result<Certificates, Rejection> {
        Ok(Certificates {
            certificate: invitation.as_bytes().to_vec(),
            authority: key.to_vec(),
        })
    }

    async fn revocations(&self) -> Result<SignedRevocations, Rejection> {
        Revocations::default()
            .sign(&signer())
            .map_err(|_| Rejection::broken())
    }
}

/// Requests to the enrolment authority.
pub fn enrolment(bytes: &[u8]) -> bool {
    let mut server = enrolment_calls(Arc::new(Enrolling));
    let names = &["Enrol", "Revocations", "Nothing"];
    make(&mut server, "Enrolment", names, bytes).0 > 0
}

pub fn enrolment_seeds() -> Vec<Vec<u8>> {
    let enrol = proto::EnrolRequest {
        protocol_version: PROTOCOL_VERSION,
        invitation: vec![3; 20],
        certificate_request: certificate_request(&member(3)),
    };
    let revocations = proto::RevocationsRequest {
        protocol_version: PROTOCOL_VERSION,
    };
    vec![
        call(0, &framed(&enrol.encode_to_vec())),
        call(1, &framed(&revocations.encode_to_vec())),
    ]
}
