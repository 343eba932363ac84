//! What clients and the coordinator say to each other, as single messages.

use chorus_protocol::{Digest, PROTOCOL_VERSION, Request, Response};
use chorus_secagg::Ring;
use chorus_wire::{Call, Shape, WireError, proto};
use prost::Message;

use super::world::world;

/// A request of any kind but an upload: a byte that chooses the kind, and the message.
pub fn request(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else {
        return false;
    };
    match kind {
        0 => read::<proto::CheckInRequest>(bytes, Call::CheckIn),
        1 => read::<proto::FetchLogRequest>(bytes, Call::FetchLog),
        2 => read::<proto::FetchModelRequest>(bytes, Call::FetchModel),
        3 => read::<proto::AdvertiseKeysRequest>(bytes, Call::AdvertiseKeys),
        4 => read::<proto::ShareKeysRequest>(bytes, Call::ShareKeys),
        5 => read::<proto::ConfirmSharesRequest>(bytes, Call::ConfirmShares),
        6 => read::<proto::EndorseRequest>(bytes, Call::Endorse),
        7 => read::<proto::UnmaskRequest>(bytes, Call::Unmask),
        8 => read::<proto::AwaitRequest>(bytes, Call::Await),
        _ => false,
    }
}

/// No upload is read here, so its shape does not matter.
const ANY: Shape = Shape {
    ring: Ring::Bits32,
    length: 0,
};

fn read<M: Message + Default>(bytes: &[u8], call: fn(M) -> Call) -> bool {
    let Ok(message) = M::decode(bytes) else {
        return false;
    };
    match call(message).read(ANY) {
        Ok(request) => {
            let call = Call::from(&request);
            let again = encoded(&call);
            let again = call_of(again.0, &again.1).expect("what was written can be decoded");
            let again = again.read(ANY).expect("what was written can be read");
            assert!(Call::from(&again) == call, "{call:?}");
            true
        }
        Err(error) => refused(&error),
    }
}

/// False: nothing was read. Stops at an error that does not say what is wrong.
fn refused(error: &WireError) -> bool {
    assert!(!error.label().is_empty() && !error.to_string().is_empty());
    false
}

/// A call's kind and its message.
pub fn encoded(call: &Call) -> (u8, Vec<u8>) {
    match call {
        Call::CheckIn(message) => (0, message.encode_to_vec()),
        Call::FetchLog(message) => (1, message.encode_to_vec()),
        Call::FetchModel(message) => (2, message.encode_to_vec()),
        Call::AdvertiseKeys(message) => (3, message.encode_to_vec()),
        Call::ShareKeys(message) => (4, message.encode_to_vec()),
        Call::ConfirmShares(message) => (5, message.encode_to_vec()),
        Call::Endorse(message) => (6, message.encode_to_vec()),
        Call::Unmask(message) => (7, message.encode_to_vec()),
        Call::Await(message) => (8, message.encode_to_vec()),
        Call::Upload(start, _) => (9, start.encode_to_vec()),
    }
}

fn call_of(kind: u8, bytes: &[u8]) -> Result<Call, prost::DecodeError> {
    Ok(match kind {
        0 => Call::CheckIn(Message::decode(bytes)?),
        1 => Call::FetchLog(Message::decode(bytes)?),
        2 => Call::FetchModel(Message::decode(bytes)?),
        3 => Call::AdvertiseKeys(Message::decode(bytes)?),
        4 => Call::ShareKeys(Message::decode(bytes)?),
        5 => Call::ConfirmShares(Message::decode(bytes)?),
        6 => Call::Endorse(Message::decode(bytes)?),
        7 => Call::Unmask(Message::decode(bytes)?),
        _ => Call::Await(Message::decode(bytes)?),
    })
}

pub fn requests() -> Vec<Vec<u8>> {
    let check_in = Call::CheckIn(proto::CheckInRequest {
        protocol_version: PROTOCOL_VERSION,
        task: "films".to_owned(),
    });
    let spoken = world().calls.iter().chain([&check_in]).map(encoded);
    let mut seeds: Vec<Vec<u8>> = spoken
        .filter(|(kind, _)| *kind != 9)
        .map(|(kind, message)| [&[kind][..], &message].concat())
        .collect();
    seeds.sort();
    seeds.dedup();
    seeds
}

/// An upload: its ring, its length in values, whether the start's digest is to be set right, the length of the start,
/// the start, the bytes.
pub fn upload(bytes: &[u8]) -> bool {
    let Some((&[ring, low, high, right, length], bytes)) = bytes.split_first_chunk() else {
        return false;
    };
    let Some((start, bytes)) = bytes.split_at_checked(length.into()) else {
        return false;
    };
    let Ok(mut start) = proto::UploadStart::decode(start) else {
        return false;
    };
    if right % 2 == 1 {
        start.sha256 = Digest::of(bytes).0.to_vec();
    }
    let shape = Shape {
        ring: Ring::ALL[usize::from(ring % 4)],
        length: u16::from_le_bytes([low, high]).into(),
    };
    match Call::Upload(start, bytes.to_vec()).read(shape) {
        Ok(request) => {
            let Request::Upload { update, .. } = &request else {
                panic!("an upload is an upload");
            };
            let update = &update.masked;
            assert_eq!(update.bytes(), bytes);
            assert_eq!(bytes.len() as u64, shape.bytes());
            assert_eq!((update.ring(), update.length()), (shape.ring, shape.length));
            let call = Call::from(&request);
            let again = call.clone().read(shape).expect("what was written");
            assert!(Call::from(&again) == call);
            true
        }
        Err(error) => refused(&error),
    }
}

pub fn uploads() -> Vec<Vec<u8>> {
    let seed = |(number, ring): (usize, Ring), length: u16| {
        let bytes = vec![0x5a; ring.upload_bytes(length.into())];
        // Bits behind the last value are zero.
        let used = ring.masked_values(length.into()) * ring.bits() as usize % 8;
        let mut bytes = bytes;
        if let (1.., Some(last)) = (used, bytes.last_mut()) {
            *last &= (1 << used) - 1;
        }
        let start = proto::UploadStart {
            protocol_version: PROTOCOL_VERSION,
            round: 7,
            total_bytes: bytes.len() as u64,
            sha256: Digest::of(&bytes).0.to_vec(),
            offset: 0,
            signature: vec![9; 64],
        };
        let start = start.encode_to_vec();
        let [low, high] = length.to_le_bytes();
        let head = [number as u8, low, high, 1, start.len() as u8];
        [&head[..], &start, &bytes].concat()
    };
    let rings = Ring::ALL.into_iter().enumerate();
    rings
        .flat_map(|ring| [0, 1, 30].map(|length| seed(ring, length)))
        .collect()
}

/// An answer of the coordinator.
pub fn reply(bytes: &[u8]) -> bool {
    let Ok(reply) = proto::Reply::decode(bytes) else {
        return false;
    };
    match Response::try_from(reply) {
        Ok(response) => {
            let written = proto::Reply::try_from(response.clone()).expect("it was read");
            let written = proto::Reply::decode(written.encode_to_vec().as_slice());
            let again = Response::try_from(written.expect("it was written"));
            assert_eq!(again.as_ref(), Ok(&response));
            true
        }
        Err(error) => refused(&error),
    }
}

pub fn replies() -> Vec<Vec<u8>> {
    let others = [
        Response::Wait { milliseconds: 500 },
        Response::Finished,
        Response::Pending,
        Response::Aborted {
            reason: "too few clients".to_owned(),
        },
    ];
    let mut seeds: Vec<Vec<u8>> = world()
        .replies
        .iter()
        .chain(&others)
        .filter_map(|response| proto::Reply::try_from(response.clone()).ok())
        .map(|reply| reply.encode_to_vec())
        .collect();
    seeds.sort();
    seeds.dedup();
    seeds
}
