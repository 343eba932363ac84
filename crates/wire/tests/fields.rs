//! What is wrong with a field of a request is named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/named.rs"]
mod named;

use chorus_protocol::{Digest, PROTOCOL_VERSION, Request};
use chorus_wire::{Call, WireError, limits::MAX_NEIGHBOURS, proto};
use named::{Named, assert_named, bytes};
use proptest::prelude::*;

fn asked<M: TryInto<Request, Error = WireError>>(message: M) -> Result<(), WireError> {
    message.try_into().map(drop)
}

fn advertising(
    cipher_key: Vec<u8>,
    mask_key: Vec<u8>,
    signature: Vec<u8>,
) -> proto::AdvertiseKeysRequest {
    proto::AdvertiseKeysRequest {
        protocol_version: PROTOCOL_VERSION,
        round: 1,
        cipher_key,
        mask_key,
        signature,
        generator: proto::Generator::Chacha12.into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fields_of_any_length_are_read_or_named(
        first in prop::collection::vec(any::<u8>(), 0..100),
        second in prop::collection::vec(any::<u8>(), 0..100),
        third in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let fits = first.len() == 32 && second.len() == 32 && third.len() == 64;
        match Request::try_from(advertising(first, second, third)) {
            Ok(_) => prop_assert!(fits),
            Err(error) => prop_assert!(!fits && error.to_string().contains("AdvertiseKeysRequest.")),
        }
    }

    #[test]
    fn numbers_that_name_nothing_are_refused(number: i32) {
        let advertising = proto::AdvertiseKeysRequest {
            generator: number,
            ..advertising(bytes(32), bytes(32), bytes(64))
        };
        prop_assert_eq!(Request::try_from(advertising).is_ok(), [1, 2].contains(&number));
        let awaiting = proto::AwaitRequest {
            protocol_version: PROTOCOL_VERSION, round: 1, awaited: number,
        };
        prop_assert_eq!(Request::try_from(awaiting).is_ok(), (1..=6).contains(&number));
        let share = proto::RevealedShare { owner: 1, kind: number, share: bytes(32) };
        let unmasking = proto::UnmaskRequest {
            protocol_version: PROTOCOL_VERSION, round: 1, revealed: vec![share],
        };
        prop_assert_eq!(Request::try_from(unmasking).is_ok(), (1..=3).contains(&number));
    }
}

#[test]
fn every_request_says_its_version_first() {
    // Whatever else is wrong: the version comes first.
    macro_rules! other_versions {
        ($($message:ident),*) => {
            $(for protocol_version in [0, 1, PROTOCOL_VERSION + 1, u32::MAX] {
                let message = proto::$message { protocol_version, ..Default::default() };
                let field = concat!(stringify!($message), ".protocol_version");
                assert_named(asked(message), ("protocol-version", field));
            })*
        };
    }
    other_versions!(
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
    let start = proto::UploadStart {
        protocol_version: 1,
        ..Default::default()
    };
    let read = Call::Upload(start, vec![]).read(cases::words(8)).map(drop);
    assert_named(
        read,
        (
            "protocol-version",
            "version 1 is not spoken here, expected 2",
        ),
    );
}

#[test]
fn what_is_wrong_in_a_request_is_named() {
    let protocol_version = PROTOCOL_VERSION;
    let round = 1;
    let task = |task: &str| {
        asked(proto::CheckInRequest {
            protocol_version,
            task: task.to_owned(),
        })
    };
    let share = |length| proto::AddressedShares {
        peer: 1,
        sealed: bytes(length),
    };
    let shares = |sealed| {
        asked(proto::ShareKeysRequest {
            protocol_version,
            round,
            sealed,
        })
    };
    let confirmed = |count| {
        asked(proto::ConfirmSharesRequest {
            protocol_version,
            round,
            unopenable: vec![7; count],
        })
    };
    let awaited = |awaited| {
        asked(proto::AwaitRequest {
            protocol_version,
            round,
            awaited,
        })
    };
    let endorsed = |length| {
        asked(proto::EndorseRequest {
            protocol_version,
            round,
            signature: bytes(length),
        })
    };
    let revealed = |kind, length, count| {
        let share = proto::RevealedShare {
            owner: 1,
            kind,
            share: bytes(length),
        };
        asked(proto::UnmaskRequest {
            protocol_version,
            round,
            revealed: vec![share; count],
        })
    };
    let generator = |generator| {
        asked(proto::AdvertiseKeysRequest {
            generator,
            ..advertising(bytes(32), bytes(32), bytes(64))
        })
    };
    let cases: [(Result<(), WireError>, Named); 21] = [
        (task("Movies!"), ("field-value", "CheckInRequest.task")),
        (task(""), ("field-value", "CheckInRequest.task")),
        (
            asked(advertising(bytes(31), bytes(32), bytes(64))),
            ("field-length", "AdvertiseKeysRequest.cipher_key"),
        ),
        (
            asked(advertising(bytes(32), bytes(33), bytes(64))),
            ("field-length", "AdvertiseKeysRequest.mask_key"),
        ),
        (
            asked(advertising(bytes(32), bytes(32), vec![])),
            ("field-length", "AdvertiseKeysRequest.signature"),
        ),
        (
            generator(0),
            (
                "field-unspecified",
                "`AdvertiseKeysRequest.generator`: 0 is",
            ),
        ),
        (
            generator(3),
            (
                "field-unspecified",
                "`AdvertiseKeysRequest.generator`: 3 is",
            ),
        ),
        (
            shares(vec![share(79)]),
            ("field-length", "expected 80 bytes, found 79"),
        ),
        (
            shares(vec![share(80); 255]),
            ("field-too-long", "at most 254 shares, found 255"),
        ),
        (
            confirmed(255),
            ("field-too-long", "at most 254 numbers, found 255"),
        ),
        (
            endorsed(63),
            (
                "field-length",
                "`EndorseRequest.signature`: expected 64 bytes, found 63",
            ),
        ),
        (endorsed(0), ("field-length", "`EndorseRequest.signature`")),
        (endorsed(65), ("field-length", "`EndorseRequest.signature`")),
        (
            awaited(0),
            ("field-unspecified", "`AwaitRequest.awaited`: 0 is"),
        ),
        (awaited(7), ("field-unspecified", "7 is no value")),
        (awaited(-1), ("field-unspecified", "-1 is no value")),
        (
            revealed(0, 32, 1),
            ("field-unspecified", "RevealedShare.kind"),
        ),
        (
            revealed(4, 32, 1),
            ("field-unspecified", "RevealedShare.kind"),
        ),
        (revealed(1, 33, 1), ("field-length", "RevealedShare.share")),
        (
            revealed(1, 32, 319),
            ("field-too-long", "at most 318 shares, found 319"),
        ),
        (
            asked(proto::FetchModelRequest {
                protocol_version,
                digest: bytes(33),
                offset: 0,
            }),
            ("field-length", "FetchModelRequest.digest"),
        ),
    ];
    for (found, named) in cases {
        assert_named(found, named);
    }
    // What is just within the limits is read.
    for fits in [
        task("a"),
        shares(vec![share(80); MAX_NEIGHBOURS]),
        confirmed(MAX_NEIGHBOURS),
        revealed(2, 32, MAX_NEIGHBOURS),
        endorsed(64),
        generator(1),
        awaited(6),
    ] {
        fits.unwrap();
    }
}

#[test]
fn what_is_wrong_in_an_upload_is_named() {
    let start = |total_bytes, sha256: &[u8], offset| proto::UploadStart {
        protocol_version: PROTOCOL_VERSION,
        round: 1,
        total_bytes,
        sha256: sha256.to_vec(),
        offset,
        signature: vec![9; 64],
    };
    let right = Digest::of(&[1; 64]).0;
    let read = |start, bytes| Call::Upload(start, bytes).read(cases::words(8)).map(drop);
    read(start(64, &right, 0), bytes(64)).unwrap();
    let signed = |length| proto::UploadStart {
        signature: bytes(length),
        ..start(64, &right, 0)
    };
    let cases: [(Result<(), WireError>, Named); 8] = [
        (
            read(signed(63), bytes(64)),
            ("field-length", "UploadStart.signature"),
        ),
        (
            read(signed(0), bytes(64)),
            ("field-length", "UploadStart.signature"),
        ),
        (
            read(start(64, &right[1..], 0), bytes(64)),
            ("field-length", "UploadStart.sha256"),
        ),
        (
            read(start(64, &right, 65), bytes(64)),
            ("field-value", "UploadStart.offset"),
        ),
        (
            read(start(1 << 40, &right, 0), bytes(64)),
            ("field-too-long", "UploadStart.total_bytes"),
        ),
        (
            read(start(68, &right, 0), bytes(64)),
            ("field-length", "expected 68 bytes, found 64"),
        ),
        (
            read(start(64, &[0; 32], 0), bytes(64)),
            ("field-value", "UploadStart.sha256"),
        ),
        // Whole and as it was announced, but not what the round asks for.
        (
            read(start(60, &Digest::of(&[1; 60]).0, 0), bytes(60)),
            ("field-value", "UploadChunk.data"),
        ),
    ];
    for (found, named) in cases {
        assert_named(found, named);
    }
}
