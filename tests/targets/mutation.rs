//! Damage: to bytes, and to what they mean.

use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha20Rng;
use serde_json::{Number, Value};

use super::servers;

/// What an input looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Bytes of any meaning.
    Bytes,
    /// A protocol buffer behind so many other bytes.
    Message {
        /// How many.
        skip: usize,
    },
    /// JSON.
    Json,
    /// Calls of a server, each with a body of framed protocol buffers.
    Calls,
}

/// One of the `seeds`, damaged once or more often.
pub fn damaged(seeds: &[Vec<u8>], form: Form, rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut input = seeds.choose(rng).cloned().unwrap_or_default();
    for _ in 0..rng.random_range(1..=4) {
        let keeps_form = rng.random_bool(0.7);
        match form {
            Form::Message { skip } if keeps_form && input.len() >= skip => {
                let mut message = input.split_off(skip);
                change_message(&mut message, rng);
                input.extend(message);
            }
            Form::Json if keeps_form => change_json(&mut input, rng),
            Form::Calls if keeps_form => change_calls(&mut input, seeds, rng),
            _ => change_bytes(&mut input, seeds, rng),
        }
    }
    input
}

const EXTREME_BYTES: [u8; 7] = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff];

fn change_bytes(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut ChaCha20Rng) {
    let length = bytes.len();
    if length == 0 {
        bytes.push(rng.random());
        return;
    }
    let place = rng.random_range(0..length);
    let span = rng.random_range(1..=(length - place).min(40));
    match rng.random_range(0..10) {
        0 => bytes[place] ^= 1 << rng.random_range(0..8),
        1 => bytes[place] = *EXTREME_BYTES.choose(rng).unwrap_or(&0),
        2 => bytes[place] = rng.random(),
        3 => bytes[place..place + span].fill(rng.random()),
        4 => drop(bytes.drain(place..place + span)),
        5 => {
            let copy = bytes[place..place + span].to_vec();
            bytes.splice(place..place, copy);
        }
        6 => {
            let new: Vec<u8> = (0..span).map(|_| rng.random()).collect();
            bytes.splice(place..place, new);
        }
        7 => bytes.truncate(place),
        8 => {
            let number = *EXTREMES.choose(rng).unwrap_or(&0);
            let number = match rng.random_bool(0.5) {
                true => number.to_be_bytes(),
                false => number.to_le_bytes(),
            };
            for (byte, new) in bytes[place..].iter_mut().zip(number) {
                *byte = new;
            }
        }
        _ => {
            // The beginning of one, the end of another.
            let other = seeds.choose(rng).map_or(&[][..], Vec::as_slice);
            let from = rng.random_range(0..=other.len());
            bytes.truncate(place);
            bytes.extend(&other[from..]);
        }
    }
}

/// Numbers at which something changes.
const EXTREMES: [u64; 16] = [
    0,
    1,
    2,
    3,
    127,
    128,
    254,
    255,
    5_001,
    65_536,
    1_048_577,
    i32::MAX as u64,
    u32::MAX as u64,
    1 << 53,
    i64::MAX as u64,
    u64::MAX,
];

/// A field of a protocol buffer.
#[derive(Clone)]
enum Field {
    Number { tag: u64, value: u64 },
    Bytes { tag: u64, value: Vec<u8> },
    Fixed { tag: u64, value: Vec<u8> },
}

fn change_message(message: &mut Vec<u8>, rng: &mut ChaCha20Rng) {
    let Some(mut fields) = parsed(message) else {
        return change_bytes(message, &[], rng);
    };
    if fields.is_empty() {
        let (tag, value) = (rng.random_range(1..8) << 3, rng.random());
        fields.push(Field::Number { tag, value });
    }
    let place = rng.random_range(0..fields.len());
    match rng.random_range(0..8) {
        0 => drop(fields.remove(place)),
        1 => {
            // Once more, or very often.
            let times = *[1, 2, 21, 255].choose(rng).unwrap_or(&1);
            let copies = vec![fields[place].clone(); times];
            fields.splice(place..place, copies);
            fields.truncate(6_000);
        }
        2 => {
            let other = rng.random_range(0..fields.len());
            fields.swap(place, other);
        }
        3 => {
            let tag = match &mut fields[place] {
                Field::Number { tag, .. } | Field::Bytes { tag, .. } | Field::Fixed { tag, .. } => {
                    tag
                }
            };
            *tag = *tag & 7 | rng.random_range(1..16) << 3;
        }
        _ => change_field(&mut fields[place], rng),
    }
    *message = written(&fields);
}

fn change_field(field: &mut Field, rng: &mut ChaCha20Rng) {
    match field {
        Field::Number { value, .. } => {
            *value = match rng.random_range(0..3) {
                0 => value.wrapping_add(1),
                1 => value.wrapping_sub(1),
                _ => *EXTREMES.choose(rng).unwrap_or(&0),
            }
        }
        Field::Fixed { value, .. } => change_bytes(value, &[], rng),
        Field::Bytes { value, .. } => match rng.random_range(0..10) {
            0 => value.clear(),
            1 => drop(value.pop()),
            2 => value.push(0),
            3 => value.extend(value.clone()),
            4 => value.resize(*[32, 33, 64, 80, 4097].choose(rng).unwrap_or(&0), 1),
            5 => change_bytes(value, &[], rng),
            _ => change_message(value, rng),
        },
    }
}

fn parsed(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        fields.push(match tag & 7 {
            0 => Field::Number {
                tag,
                value: varint(&mut bytes)?,
            },
            kind @ (1 | 5) => {
                let (value, rest) = bytes.split_at_checked(if kind == 1 { 8 } else { 4 })?;
                bytes = rest;
                let value = value.to_vec();
                Field::Fixed { tag, value }
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                let value = value.to_vec();
                Field::Bytes { tag, value }
            }
            _ => return None,
        });
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn written(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = |mut value: u64, bytes: &mut Vec<u8>| {
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    };
    for field in fields {
        match field {
            Field::Number { tag, value } => {
                number(*tag, &mut bytes);
                number(*value, &mut bytes);
            }
            Field::Fixed { tag, value } => {
                number(*tag, &mut bytes);
                bytes.extend(value);
            }
            Field::Bytes { tag, value } => {
                number(*tag, &mut bytes);
                number(value.len() as u64, &mut bytes);
                bytes.extend(value);
            }
        }
    }
    bytes
}

fn change_json(bytes: &mut Vec<u8>, rng: &mut ChaCha20Rng) {
    match serde_json::from_slice(bytes) {
        Ok(mut value) => {
            change_value(&mut value, rng);
            *bytes = value.to_string().into_bytes();
        }
        Err(_) => change_bytes(bytes, &[], rng),
    }
}

fn change_value(value: &mut Value, rng: &mut ChaCha20Rng) {
    let goes_deeper = rng.random_bool(0.9);
    match value {
        Value::Object(fields) if goes_deeper && !fields.is_empty() => {
            let names: Vec<String> = fields.keys().cloned().collect();
            let Some(name) = names.choose(rng) else {
                return;
            };
            match rng.random_range(0..10) {
                0 => drop(fields.remove(name)),
                1 => drop(fields.insert("other".to_owned(), Value::Null)),
                _ => {
                    if let Some(field) = fields.get_mut(name) {
                        change_value(field, rng);
                    }
                }
            }
        }
        Value::Array(values) if goes_deeper && !values.is_empty() => {
            let place = rng.random_range(0..values.len());
            match rng.random_range(0..4) {
                0 => drop(values.remove(place)),
                1 => values.push(values[place].clone()),
                _ => change_value(&mut values[place], rng),
            }
        }
        Value::Number(number) if goes_deeper => *number = other_number(number, rng),
        Value::String(text) if goes_deeper => match rng.random_range(0..4) {
            0 => text.clear(),
            1 => text.push_str(&text.clone()),
            2 => text.push('\u{1b}'),
            _ => drop(text.pop()),
        },
        other => {
            *other = match rng.random_range(0..6) {
                0 => Value::Null,
                1 => Value::Bool(true),
                2 => Value::from(1),
                3 => Value::from("cohort"),
                4 => Value::from(vec![1, 2]),
                _ => serde_json::json!({"a": 1}),
            }
        }
    }
}

fn other_number(number: &Number, rng: &mut ChaCha20Rng) -> Number {
    let fractions = [
        0.0, -0.0, 0.1, 0.5, 0.999_999, 1.0, -1.0, 1e-9, 5e-324, 1e18, 1e308, -1e308,
    ];
    match (number.as_u64(), rng.random_range(0..4)) {
        (Some(value), 0) => value.wrapping_add(1).into(),
        (Some(value), 1) => value.wrapping_sub(1).into(),
        (Some(_), 2) => (*EXTREMES.choose(rng).unwrap_or(&0)).into(),
        (None, 0) => number
            .as_f64()
            .and_then(|value| Number::from_f64(value * 2.0))
            .unwrap_or_else(|| 0.into()),
        _ => Number::from_f64(*fractions.choose(rng).unwrap_or(&0.0)).unwrap_or_else(|| 0.into()),
    }
}

/// A call of an input: which, and its body.
type Made = (u8, Vec<u8>);

fn change_calls(input: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut ChaCha20Rng) {
    let owned = |bytes: &[u8]| -> Vec<Made> {
        let calls = servers::calls(bytes).into_iter();
        calls.map(|(call, body)| (call, body.to_vec())).collect()
    };
    let mut calls = owned(input);
    if calls.is_empty() {
        return change_bytes(input, seeds, rng);
    }
    let place = rng.random_range(0..calls.len());
    match rng.random_range(0..12) {
        0 => drop(calls.remove(place)),
        1 => calls.push(calls[place].clone()),
        2 => {
            let other = seeds.choose(rng).map(|seed| owned(seed));
            calls.splice(place..place, other.unwrap_or_default());
        }
        3 => calls[place].0 = rng.random(),
        4 => change_bytes(&mut calls[place].1, &[], rng),
        _ => change_body(&mut calls[place].1, rng),
    }
    let short = calls.iter().filter(|(_, body)| body.len() <= 0xffff);
    *input = short
        .flat_map(|(call, body)| servers::call(*call, body))
        .collect();
}

/// Changes one of the messages of a body, or their order, or their number.
fn change_body(body: &mut Vec<u8>, rng: &mut ChaCha20Rng) {
    let mut messages = Vec::new();
    let mut rest = body.as_slice();
    while let Some((head, after)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (message, after) = after.split_at(length.min(after.len()));
        messages.push(message.to_vec());
        rest = after;
    }
    if messages.is_empty() {
        return change_bytes(body, &[], rng);
    }
    let place = rng.random_range(0..messages.len());
    match rng.random_range(0..8) {
        0 => drop(messages.remove(place)),
        1 => messages.insert(place, messages[place].clone()),
        2 => {
            let other = rng.random_range(0..messages.len());
            messages.swap(place, other);
        }
        _ => change_message(&mut messages[place], rng),
    }
    *body = messages
        .iter()
        .flat_map(|message| servers::framed(message))
        .collect();
}
