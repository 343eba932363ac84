//! What is wrong with a field of an answer is named, on both sides.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/named.rs"]
mod named;

use chorus_protocol::{
    Beacon, COHORT_MOST, Digest, Endorsement, MaskedWith, Neighbourhood, Proof, Response, Roster,
    Seal, WITNESS_MOST,
};
use chorus_wire::{
    WireError,
    limits::{MAX_CERTIFICATE_BYTES, MAX_COHORT, MAX_NEIGHBOURS, MAX_PATH},
    proto::{self, reply::Reply},
};
use named::{Named, assert_named, bytes};

fn said(reply: Reply) -> Result<(), WireError> {
    Response::try_from(proto::Reply { reply: Some(reply) }).map(drop)
}

fn neighbours() -> proto::Neighbours {
    let neighbour = proto::Neighbour {
        index: 1,
        certificate: bytes(MAX_CERTIFICATE_BYTES),
        cipher_key: bytes(32),
        mask_key: bytes(32),
        signature: bytes(64),
        generator: proto::Generator::Aes128Ctr.into(),
        path: vec![bytes(32); MAX_PATH],
    };
    proto::Neighbours {
        index: 1,
        cohort: MAX_COHORT,
        key_root: bytes(32),
        neighbours: vec![neighbour],
        cohort_root: bytes(32),
        path: vec![bytes(32); MAX_PATH],
        beacon: Some(proto::Beacon {
            certificate: bytes(MAX_CERTIFICATE_BYTES),
            randomness: bytes(32),
            signature: bytes(64),
        }),
        members: bytes(32 * WITNESS_MOST),
    }
}

#[test]
fn what_is_wrong_in_a_neighbourhood_is_named() {
    said(Reply::Neighbours(neighbours())).unwrap();
    type Change = fn(&mut proto::Neighbours);
    let cases: [(Change, Named); 23] = [
        (
            |it| it.cohort += 1,
            ("field-too-long", "`Neighbours.cohort`: at most 1048576"),
        ),
        (
            |it| it.key_root.truncate(31),
            ("field-length", "Neighbours.key_root"),
        ),
        (
            |it| it.cohort_root.clear(),
            ("field-length", "Neighbours.cohort_root"),
        ),
        (
            |it| it.cohort_root.push(0),
            ("field-length", "Neighbours.cohort_root"),
        ),
        (
            |it| it.path.push(bytes(32)),
            ("field-too-long", "`Neighbours.path`: at most 20 nodes"),
        ),
        (
            |it| it.path[7].truncate(31),
            ("field-length", "Neighbours.path"),
        ),
        (|it| it.path[0].push(0), ("field-length", "Neighbours.path")),
        (
            |it| it.neighbours = vec![it.neighbours[0].clone(); 255],
            ("field-too-long", "`Neighbours.neighbours`: at most 254"),
        ),
        (
            |it| it.neighbours[0].certificate.push(0),
            ("field-too-long", "`Neighbour.certificate`: at most 4096"),
        ),
        (
            |it| it.neighbours[0].cipher_key.truncate(1),
            ("field-length", "Neighbour.cipher_key"),
        ),
        (
            |it| it.neighbours[0].mask_key.push(1),
            ("field-length", "Neighbour.mask_key"),
        ),
        (
            |it| it.neighbours[0].signature.truncate(63),
            ("field-length", "Neighbour.signature"),
        ),
        (
            |it| it.neighbours[0].generator = 0,
            ("field-unspecified", "Neighbour.generator"),
        ),
        (
            |it| it.neighbours[0].generator = 3,
            ("field-unspecified", "`Neighbour.generator`: 3 is"),
        ),
        (
            |it| it.neighbours[0].path.push(bytes(32)),
            ("field-too-long", "`Neighbour.path`: at most 20 nodes"),
        ),
        (
            |it| it.neighbours[0].path[19].truncate(0),
            ("field-length", "Neighbour.path"),
        ),
        (
            |it| it.beacon.as_mut().unwrap().certificate.push(0),
            ("field-too-long", "Beacon.certificate"),
        ),
        (
            |it| it.beacon.as_mut().unwrap().randomness.truncate(31),
            ("field-length", "Beacon.randomness"),
        ),
        (
            |it| it.beacon.as_mut().unwrap().signature.push(0),
            ("field-length", "Beacon.signature"),
        ),
        (
            |it| it.members.truncate(31),
            ("field-length", "`Neighbours.members`: expected 32 bytes"),
        ),
        (
            |it| it.members.push(0),
            ("field-length", "Neighbours.members"),
        ),
        (
            |it| it.members.extend([0; 32]),
            ("field-too-long", "`Neighbours.members`: at most 100000"),
        ),
        // A beacon that says nothing is none.
        (
            |it| it.beacon = Some(proto::Beacon::default()),
            ("field-length", "Beacon"),
        ),
    ];
    for (change, named) in cases {
        let mut message = neighbours();
        change(&mut message);
        assert_named(said(Reply::Neighbours(message)), named);
    }
}

fn cohort_proof() -> proto::CohortProof {
    let endorsement = proto::Endorsement {
        index: 1,
        certificate: bytes(100),
        signature: bytes(64),
    };
    proto::CohortProof {
        members: bytes(32 * COHORT_MOST),
        endorsements: vec![endorsement; COHORT_MOST],
    }
}

#[test]
fn what_is_wrong_in_a_proof_is_named() {
    use proto::proof::Proof;
    let shown = |proof, masked| said(Reply::Proof(proto::Proof { proof, masked }));
    let proved = |proof| shown(proof, vec![]);
    assert_named(proved(None), ("field-missing", "`Proof.proof` is missing"));
    proved(Some(Proof::Cohort(cohort_proof()))).unwrap();
    type Change = fn(&mut proto::CohortProof);
    let cases: [(Change, Named); 7] = [
        (
            |it| it.members.truncate(33),
            (
                "field-length",
                "`CohortProof.members`: expected 64 bytes, found 33",
            ),
        ),
        (
            |it| it.members.push(0),
            ("field-length", "CohortProof.members"),
        ),
        (
            |it| it.members.extend([0; 32]),
            ("field-too-long", "at most 5000 clients, found 5001"),
        ),
        (
            |it| it.endorsements.push(it.endorsements[0].clone()),
            ("field-too-long", "`CohortProof.endorsements`: at most 5000"),
        ),
        (
            |it| it.endorsements[1].certificate = bytes(MAX_CERTIFICATE_BYTES + 1),
            ("field-too-long", "Endorsement.certificate"),
        ),
        (
            |it| it.endorsements[4999].signature.truncate(63),
            ("field-length", "Endorsement.signature"),
        ),
        (
            |it| it.endorsements[0].signature.clear(),
            ("field-length", "Endorsement.signature"),
        ),
    ];
    for (change, named) in cases {
        let mut message = cohort_proof();
        change(&mut message);
        assert_named(proved(Some(Proof::Cohort(message))), named);
    }
    let masked = |count, length| {
        let signature = bytes(length);
        let one = proto::MaskedWith {
            index: 1,
            signature,
        };
        shown(Some(Proof::Cohort(cohort_proof())), vec![one; count])
    };
    masked(MAX_NEIGHBOURS, 64).unwrap();
    let too_many = ("field-too-long", "`Proof.masked`: at most 254 neighbours");
    assert_named(masked(MAX_NEIGHBOURS + 1, 64), too_many);
    assert_named(masked(1, 63), ("field-length", "MaskedWith.signature"));
    assert_named(masked(1, 0), ("field-length", "MaskedWith.signature"));
    let seal = |certificate, signature| {
        let (certificate, signature) = (bytes(certificate), bytes(signature));
        proved(Some(Proof::Witness(proto::Seal {
            certificate,
            signature,
        })))
    };
    seal(MAX_CERTIFICATE_BYTES, 64).unwrap();
    let too_long = ("field-too-long", "`Seal.certificate`: at most 4096");
    assert_named(seal(MAX_CERTIFICATE_BYTES + 1, 64), too_long);
    assert_named(seal(0, 65), ("field-length", "Seal.signature"));
    assert_named(seal(0, 0), ("field-length", "Seal.signature"));
}

#[test]
fn what_is_wrong_in_other_answers_is_named() {
    let nothing = Response::try_from(proto::Reply { reply: None }).map(drop);
    assert_named(nothing, ("field-missing", "`Reply.reply` is missing"));
    let roster = |size, bits| said(Reply::Sharers(proto::Roster { size, bits }));
    let cases: [(Result<(), WireError>, Named); 6] = [
        (
            roster(9, vec![0]),
            ("field-length", "`Roster.bits`: expected 2 bytes, found 1"),
        ),
        (
            roster(9, vec![0, 2]),
            ("field-value", "beyond the cohort of 9"),
        ),
        (
            roster(u32::MAX, vec![]),
            ("field-too-long", "`Roster.size`: at most 1048576 clients"),
        ),
        (
            said(Reply::Invited(proto::Invited {
                plan: bytes((64 << 10) + 1),
                signature: bytes(64),
            })),
            ("field-too-long", "Invited.plan"),
        ),
        (
            said(Reply::Aborted(proto::Aborted {
                reason: "a".repeat(1025),
            })),
            ("field-too-long", "Aborted.reason"),
        ),
        (
            said(Reply::Log(proto::Log {
                entries: vec![proto::SignedEntry::default(); 1025],
            })),
            ("field-too-long", "Log.entries"),
        ),
    ];
    for (found, named) in cases {
        assert_named(found, named);
    }
}

#[test]
fn nothing_is_sent_that_would_not_be_read() {
    let sent = |response| proto::Reply::try_from(response).map(drop);
    let path = vec![Digest([1; 32]); MAX_PATH + 1];
    let certificate = bytes(MAX_CERTIFICATE_BYTES + 1);
    let (signature, randomness) = ([1; 64], [1; 32]);
    let empty = Neighbourhood {
        index: 0,
        cohort: 1,
        cohort_root: Digest::ZERO,
        key_root: Digest::ZERO,
        path: vec![],
        beacon: None,
        members: vec![],
        neighbours: vec![],
    };
    let endorsement = Endorsement {
        index: 0,
        certificate: vec![],
        signature,
    };
    let cohort = |members, endorsements| {
        sent(Response::Proof(
            Proof::Cohort {
                members: vec![[1; 32]; members],
                endorsements,
            },
            vec![],
        ))
    };
    let seal = |masked| {
        let certificate = vec![];
        let seal = Seal {
            certificate,
            signature,
        };
        sent(Response::Proof(Proof::Witness(seal), masked))
    };
    let masked = MaskedWith {
        index: 0,
        signature,
    };
    seal(vec![masked.clone(); MAX_NEIGHBOURS]).unwrap();
    let cases: [(Result<(), WireError>, Named); 9] = [
        (
            seal(vec![masked; MAX_NEIGHBOURS + 1]),
            ("field-too-long", "Proof.masked"),
        ),
        (
            sent(Response::Neighbours(Neighbourhood {
                members: vec![[1; 32]; WITNESS_MOST + 1],
                ..empty.clone()
            })),
            ("field-too-long", "Neighbours.members"),
        ),
        (
            sent(Response::Neighbours(Neighbourhood {
                path,
                ..empty.clone()
            })),
            ("field-too-long", "Neighbours.path"),
        ),
        (
            sent(Response::Neighbours(Neighbourhood {
                beacon: Some(Beacon {
                    certificate: certificate.clone(),
                    randomness,
                    signature,
                }),
                ..empty
            })),
            ("field-too-long", "Beacon.certificate"),
        ),
        (
            sent(Response::Proof(
                Proof::Witness(Seal {
                    certificate: certificate.clone(),
                    signature,
                }),
                vec![],
            )),
            ("field-too-long", "Seal.certificate"),
        ),
        (
            cohort(COHORT_MOST + 1, vec![]),
            ("field-too-long", "CohortProof.members"),
        ),
        (
            cohort(1, vec![endorsement.clone(); COHORT_MOST + 1]),
            ("field-too-long", "CohortProof.endorsements"),
        ),
        (
            cohort(
                1,
                vec![Endorsement {
                    certificate,
                    ..endorsement
                }],
            ),
            ("field-too-long", "Endorsement.certificate"),
        ),
        (
            sent(Response::Survivors(Roster::of(MAX_COHORT + 1, []))),
            ("field-too-long", "Roster.size"),
        ),
    ];
    for (found, named) in cases {
        assert_named(found, named);
    }
}
