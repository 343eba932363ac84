//! What is written can be read, and nothing that is read can do harm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/cases.rs"]
mod cases;

use chorus_protocol::{Request, Response};
use chorus_wire::{Call, WireError, certificate, proto, revocation::SignedRevocations};
use proptest::prelude::*;
use prost::Message;

/// A request through bytes and back.
fn through(call: Call) -> Result<Request, WireError> {
    fn again<M: Message + Default>(message: &M) -> M {
        M::decode(message.encode_to_vec().as_slice()).unwrap()
    }
    Request::try_from(match call {
        Call::CheckIn(message) => Call::CheckIn(again(&message)),
        Call::FetchLog(message) => Call::FetchLog(again(&message)),
        Call::FetchModel(message) => Call::FetchModel(again(&message)),
        Call::AdvertiseKeys(message) => Call::AdvertiseKeys(again(&message)),
        Call::ShareKeys(message) => Call::ShareKeys(again(&message)),
        Call::ConfirmShares(message) => Call::ConfirmShares(again(&message)),
        Call::Upload(start, bytes) => Call::Upload(again(&start), bytes),
        Call::Unmask(message) => Call::Unmask(again(&message)),
        Call::Await(message) => Call::Await(again(&message)),
    })
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
        UnmaskRequest,
        AwaitRequest
    );
    if let Ok(start) = proto::UploadStart::decode(bytes) {
        let _ = Request::try_from(Call::Upload(start, bytes.to_vec()));
    }
    if let Ok(reply) = proto::Reply::decode(bytes) {
        let _ = Response::try_from(reply);
    }
}

proptest! {
    // A failed case is printed whole: no file is needed to find it again.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_come_back(call in cases::call()) {
        let back = through(call.clone()).unwrap();
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
        call in cases::call(),
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

    #[test]
    fn fields_of_any_length_are_read_or_named(
        round: u64,
        first in prop::collection::vec(any::<u8>(), 0..100),
        second in prop::collection::vec(any::<u8>(), 0..100),
        third in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let fits = first.len() == 32 && second.len() == 32 && third.len() == 64;
        let message = proto::AdvertiseKeysRequest {
            protocol_version: 1, round, cipher_key: first, mask_key: second, signature: third,
        };
        match Request::try_from(message) {
            Ok(_) => prop_assert!(fits),
            Err(error) => prop_assert!(!fits && error.to_string().contains("AdvertiseKeysRequest.")),
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let share = |length| proto::AddressedShares {
        peer: 1,
        sealed: vec![0; length],
    };
    let shares = |sealed| proto::ShareKeysRequest {
        protocol_version: 1,
        round: 1,
        sealed,
    };
    let awaited = |awaited| proto::AwaitRequest {
        protocol_version: 1,
        round: 1,
        awaited,
    };
    let revealed = |kind, length| proto::UnmaskRequest {
        protocol_version: 1,
        round: 1,
        revealed: vec![proto::RevealedShare {
            owner: 1,
            kind,
            share: vec![0; length],
        }],
    };
    let check_in = |protocol_version, task: &str| proto::CheckInRequest {
        protocol_version,
        task: task.to_owned(),
    };
    let start = |total_bytes, sha256, offset| {
        let start = proto::UploadStart {
            protocol_version: 1,
            round: 1,
            total_bytes,
            sha256,
            offset,
        };
        Request::try_from(Call::Upload(start, vec![0; 64]))
    };
    let cases: [(Result<Request, WireError>, &str, &str); 14] = [
        (
            check_in(0, "movies").try_into(),
            "protocol-version",
            "CheckInRequest.protocol_version",
        ),
        (
            check_in(2, "movies").try_into(),
            "protocol-version",
            "version 2 is not spoken here, expected 1",
        ),
        (
            check_in(1, "Movies!").try_into(),
            "field-value",
            "CheckInRequest.task",
        ),
        (
            shares(vec![share(79)]).try_into(),
            "field-length",
            "expected 80 bytes, found 79",
        ),
        (
            shares(vec![share(80); 255]).try_into(),
            "field-too-long",
            "at most 254 shares, found 255",
        ),
        (
            awaited(0).try_into(),
            "field-unspecified",
            "AwaitRequest.awaited",
        ),
        (awaited(6).try_into(), "field-unspecified", "6 is no value"),
        (
            revealed(0, 32).try_into(),
            "field-unspecified",
            "RevealedShare.kind",
        ),
        (
            revealed(1, 33).try_into(),
            "field-length",
            "RevealedShare.share",
        ),
        (
            start(64, vec![0; 31], 0),
            "field-length",
            "UploadStart.sha256",
        ),
        (
            start(64, vec![0; 32], 65),
            "field-value",
            "UploadStart.offset",
        ),
        (
            start(1 << 40, vec![0; 32], 0),
            "field-too-long",
            "UploadStart.total_bytes",
        ),
        (
            start(68, vec![0; 32], 0),
            "field-length",
            "expected 68 bytes, found 64",
        ),
        (
            start(64, vec![0; 32], 0),
            "field-value",
            "UploadStart.sha256",
        ),
    ];
    for (result, label, text) in cases {
        let Err(error) = result else {
            panic!("`{text}` was not found wrong")
        };
        assert_eq!(error.label(), label, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    for (reply, text) in [
        (None, "`Reply.reply` is missing"),
        (
            roster(9, vec![0]),
            "`Roster.bits`: expected 2 bytes, found 1",
        ),
        (roster(9, vec![0, 2]), "beyond the cohort of 9"),
        (
            roster(u32::MAX, vec![]),
            "`Roster.size`: at most 1048576 clients",
        ),
    ] {
        let error = Response::try_from(proto::Reply { reply }).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}

fn roster(size: u32, bits: Vec<u8>) -> Option<proto::reply::Reply> {
    Some(proto::reply::Reply::Sharers(proto::Roster { size, bits }))
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
fn a_full_neighbourhood_fits() {
    let neighbour = chorus_protocol::Neighbour {
        index: u32::MAX,
        certificate: vec![1; chorus_wire::limits::MAX_CERTIFICATE_BYTES],
        keys: chorus_protocol::PublicKeys {
            cipher: [1; 32],
            mask: [2; 32],
        },
        signature: [3; 64],
    };
    let full = chorus_protocol::Neighbourhood {
        index: 0,
        cohort: 1 << 20,
        key_root: chorus_protocol::Digest([4; 32]),
        neighbours: vec![neighbour; 254],
    };
    let reply = proto::Reply::try_from(Response::Neighbours(full)).unwrap();
    assert!(reply.encoded_len() < chorus_wire::limits::MAX_MESSAGE_BYTES);
    let everyone = chorus_protocol::Roster::of(1 << 20, 0..1 << 20);
    let reply = proto::Reply::try_from(Response::Survivors(everyone)).unwrap();
    assert!(reply.encoded_len() < 132_000);
}
