//! What is written can be read, and nothing that is read can do harm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/cases.rs"]
mod cases;

use chorus_protocol::{
    COHORT_MOST, Digest, Endorsement, Generator, MaskedWith, Neighbour, Neighbourhood, Proof,
    PublicKeys, Request, Response, Roster, WITNESS_MOST,
};
use chorus_secagg::Ring;
use chorus_wire::{
    Call, Shape, WireError, certificate,
    limits::{MAX_CERTIFICATE_BYTES, MAX_COHORT, MAX_MESSAGE_BYTES, MAX_NEIGHBOURS, MAX_PATH},
    proto,
    revocation::SignedRevocations,
};
use proptest::prelude::*;
use prost::Message;

/// A request through bytes and back.
fn through(call: Call, shape: Shape) -> Result<Request, WireError> {
    fn again<M: Message + Default>(message: &M) -> M {
        M::decode(message.encode_to_vec().as_slice()).unwrap()
    }
    let call = match call {
        Call::CheckIn(message) => Call::CheckIn(again(&message)),
        Call::FetchLog(message) => Call::FetchLog(again(&message)),
        Call::FetchModel(message) => Call::FetchModel(again(&message)),
        Call::AdvertiseKeys(message) => Call::AdvertiseKeys(again(&message)),
        Call::ShareKeys(message) => Call::ShareKeys(again(&message)),
        Call::ConfirmShares(message) => Call::ConfirmShares(again(&message)),
        Call::Upload(start, bytes) => Call::Upload(again(&start), bytes),
        Call::Endorse(message) => Call::Endorse(again(&message)),
        Call::Unmask(message) => Call::Unmask(again(&message)),
        Call::Await(message) => Call::Await(again(&message)),
    };
    call.read(shape)
}

/// Tries to read `bytes` as every message there is; only that it returns matters.
fn read_as_everything(bytes: &[u8]) {
    macro_rules! requests {
        ($($message:ident),*) => {
            $(if let Ok(message) = proto::$message::decode(bytes) {
                let _ = Request::try_from(message);
            })*
        };
    }
    requests!(
        CheckInRequest,
        FetchLogRequest,
        FetchModelRequest,
        AdvertiseKeysRequest,
        ShareKeysRequest,
        ConfirmSharesRequest,
        EndorseRequest,
        UnmaskRequest,
        AwaitRequest
    );
    if let Ok(start) = proto::UploadStart::decode(bytes) {
        for ring in Ring::ALL {
            let length = bytes.len() / 2;
            let _ = Call::Upload(start.clone(), bytes.to_vec()).read(Shape { ring, length });
        }
    }
    if let Ok(reply) = proto::Reply::decode(bytes) {
        let _ = Response::try_from(reply);
    }
}

proptest! {
    // A failed case is printed whole: no file is needed to find it again.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_come_back((call, shape) in cases::call()) {
        let back = through(call.clone(), shape).unwrap();
        prop_assert_eq!(Call::from(&back), call);
    }

    #[test]
    fn responses_come_back(response in cases::response()) {
        let reply = proto::Reply::try_from(response.clone()).unwrap();
        let bytes = reply.encode_to_vec();
        prop_assert!(bytes.len() < chorus_wire::limits::MAX_MESSAGE_BYTES);
        let back = Response::try_from(proto::Reply::decode(bytes.as_slice()).unwrap()).unwrap();
        prop_assert_eq!(back, response);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_as_everything(&bytes);
        let _ = certificate::verify(&bytes, &[1; 32], 0);
        let _ = certificate::verify_request(&bytes);
        let _ = certificate::Authority::from_der(bytes.clone());
        let _ = certificate::Authority::from_pem(&bytes);
        let _ = SignedRevocations { bytes, signature: [0; 64] }.verify(&[1; 32], 0);
    }

    /// Bytes that are nearly a message reach deeper than arbitrary ones.
    #[test]
    fn damaged_messages_never_panic(
        (call, _) in cases::call(),
        response in cases::response(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
    ) {
        let call = match call {
            Call::CheckIn(message) => message.encode_to_vec(),
            Call::FetchLog(message) => message.encode_to_vec(),
            Call::FetchModel(message) => message.encode_to_vec(),
            Call::AdvertiseKeys(message) => message.encode_to_vec(),
            Call::ShareKeys(message) => message.encode_to_vec(),
            Call::ConfirmShares(message) => message.encode_to_vec(),
            Call::Upload(start, _) => start.encode_to_vec(),
            Call::Endorse(message) => message.encode_to_vec(),
            Call::Unmask(message) => message.encode_to_vec(),
            Call::Await(message) => message.encode_to_vec(),
        };
        for mut bytes in [call, proto::Reply::try_from(response).unwrap().encode_to_vec()] {
            for (place, byte) in &damage {
                let place = place.index(bytes.len().max(1));
                if let Some(found) = bytes.get_mut(place) {
                    *found = *byte;
                }
            }
            read_as_everything(&bytes);
            bytes.truncate(end.index(bytes.len() + 1));
            read_as_everything(&bytes);
        }
    }
}

#[test]
fn a_long_log_comes_in_parts() {
    let entry = |length| chorus_protocol::SignedEntry {
        bytes: vec![1; length],
        signature: [0; 64],
    };
    let sent = |entries| {
        let reply = proto::Reply::try_from(Response::Log(entries)).unwrap();
        assert!(reply.encoded_len() < chorus_wire::limits::MAX_MESSAGE_BYTES);
        match Response::try_from(reply).unwrap() {
            Response::Log(entries) => entries.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(sent(vec![entry(300); 1500]), 1024);
    let large = sent(vec![entry(16 << 10); 1000]);
    assert!((150..200).contains(&large), "{large}");
    assert!(proto::Reply::try_from(Response::Log(vec![entry((16 << 10) + 1)])).is_err());
}

#[test]
fn the_largest_answers_fit() {
    let fits = |response| {
        let length = proto::Reply::try_from(response).unwrap().encoded_len();
        assert!(length < MAX_MESSAGE_BYTES, "{length}");
        length
    };
    let path = vec![Digest([5; 32]); MAX_PATH];
    // Certificates of the authority have less than 512 bytes.
    let neighbour = Neighbour {
        index: u32::MAX,
        certificate: vec![1; MAX_CERTIFICATE_BYTES / 2],
        keys: PublicKeys {
            cipher: [1; 32],
            mask: [2; 32],
            generator: Generator::ChaCha12,
        },
        signature: [3; 64],
        path: path.clone(),
    };
    fits(Response::Neighbours(Neighbourhood {
        index: 0,
        cohort: MAX_COHORT,
        cohort_root: Digest([4; 32]),
        key_root: Digest([4; 32]),
        path,
        beacon: None,
        members: vec![[2; 32]; WITNESS_MOST],
        neighbours: vec![neighbour; MAX_NEIGHBOURS],
    }));
    let everyone = Roster::of(MAX_COHORT, 0..MAX_COHORT);
    assert!(fits(Response::Survivors(everyone)) < 132_000);
    let endorsement = Endorsement {
        index: u32::MAX,
        certificate: vec![1; 512],
        signature: [3; 64],
    };
    let masked = MaskedWith {
        index: u32::MAX,
        signature: [3; 64],
    };
    let proof = Proof::Cohort {
        members: vec![[6; 32]; COHORT_MOST],
        endorsements: vec![endorsement; COHORT_MOST],
    };
    fits(Response::Proof(proof, vec![masked; MAX_NEIGHBOURS]));
}
