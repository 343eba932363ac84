//! What a client and a coordinator read from their own disks. Whoever can write there has won; but a disk that failed
//! must not stop a process that could go on without it. What is kept ends in a digest, which finds damage: the targets
//! set it right, or nothing else would ever be read.

use std::sync::OnceLock;

use chorus_protocol::{
    ClientId, Digest, Input, Next, Participation, Record, Response, Roster, Round,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use super::world::{Keys, TIMING, member, world};

/// The rounds of the world, where their checkpoints have them.
fn rounds() -> &'static [Round] {
    static ROUNDS: OnceLock<Vec<Round>> = OnceLock::new();
    ROUNDS.get_or_init(|| {
        let restored = world().checkpoints.iter();
        let restored = restored.map(|bytes| Round::restore(bytes, TIMING, 0));
        restored
            .collect::<Result<_, _>>()
            .expect("sound checkpoints")
    })
}

/// Length of the digest.
const DIGEST: usize = 32;

/// With its digest set right.
fn kept(domain: &str, bytes: &[u8]) -> Vec<u8> {
    let digest: [u8; DIGEST] = Digest::of_parts(domain, &[bytes]).0;
    [bytes, &digest].concat()
}

/// Without its digest.
fn body(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() - DIGEST].to_vec()
}

/// A client's message after the checkpoint, given to the rounds again.
pub fn record(bytes: &[u8]) -> bool {
    let bytes = &kept("chorus/v2/record", bytes);
    let Ok(message) = Record::read(bytes) else {
        return false;
    };
    let record = Record::of(&message).expect("it was recorded");
    let again = Record::read(record.bytes()).expect("what was recorded");
    let again = Record::of(&again).expect("it was recorded");
    assert!(again.bytes() == record.bytes() && again.kind() == record.kind());
    for round in rounds() {
        let message = Record::read(bytes).expect("as before");
        let client = member(1).id();
        let mut after = round.clone();
        let taken = after.handle(1, Input::From { client, message }, &mut Vec::new());
        assert!(
            taken.is_ok() || after == *round,
            "a refusal changed the round"
        );
    }
    true
}

pub fn records() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = world()
        .records
        .iter()
        .filter(|(client, _)| [member(0).id(), member(1).id()].contains(client))
        .map(|(_, bytes)| body(bytes))
        .collect();
    seeds.sort();
    seeds.dedup();
    seeds
}

/// A coordinator's checkpoint of a round.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let bytes = &kept("chorus/v2/checkpoint", bytes);
    let Ok(mut round) = Round::restore(bytes, TIMING, 0) else {
        return false;
    };
    let written = round.checkpoint().expect("the survivors are settled");
    let again = Round::restore(&written, TIMING, 0).expect("what was written");
    // What is forged can hold what is never written; what was written is written again.
    assert!(again.checkpoint() == Some(written), "another round");
    let mut events = Vec::new();
    for (client, bytes) in world().records.iter().take(8) {
        let message = Record::read(bytes).expect("a sound record");
        let client = *client;
        let _refused = round.handle(1, Input::From { client, message }, &mut events);
    }
    let answer = round.answer(&ClientId([0; 16]), chorus_protocol::Awaited::Survivors);
    let _ = (round.question(), answer);
    for now in [10, 2_000, 4_000, u64::MAX] {
        round
            .handle(now, Input::Tick, &mut events)
            .expect("a tick is no message");
    }
    true
}

pub fn checkpoints() -> Vec<Vec<u8>> {
    let whole = world().checkpoints.iter();
    whole.map(|bytes| body(bytes)).collect()
}

/// A client's saved part in a round.
pub fn participation(bytes: &[u8]) -> bool {
    let Ok(mut saved) = Participation::restore(&kept("chorus/v1/saved", bytes)) else {
        return false;
    };
    let written = saved.save().expect("it is saved");
    let again = Participation::restore(&written).expect("what was saved");
    assert!(*again.save().expect("it is saved") == *written);
    let identity = member(0);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for _ in 0..4 {
        if let Next::Over(_) | Next::Learn { .. } = saved.poll() {
            break;
        }
        let answers = [
            Response::Accepted,
            Response::Shares(Vec::new()),
            Response::Sharers(Roster::of(12, 0..12)),
            Response::Survivors(Roster::of(12, 0..12)),
        ];
        for answer in answers {
            let before = saved.save().expect("it is saved");
            if saved.handle(answer, &identity, &Keys, &mut rng).is_err() {
                saved = Participation::restore(&before).expect("what was saved");
            }
        }
    }
    true
}

pub fn participations() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = world().saved.iter().map(|bytes| body(bytes)).collect();
    seeds.dedup();
    seeds
}
