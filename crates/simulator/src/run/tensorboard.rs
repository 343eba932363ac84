//! TensorBoard's event file: records framed as TensorFlow's `record_writer.h` says, each a protocol buffer `Event`
//! (`event.proto`) with a scalar of `summary.proto`. Few enough fields to write them by hand.

use crate::RoundRow;

/// What every event file begins with.
const VERSION: &str = "brain.Event:2";

/// Fields of `Event`, `Summary` and `Summary.Value` with their wire types.
const WALL_TIME: u8 = 1 << 3 | FIXED_64;
const STEP: u8 = 2 << 3 | VARINT;
const FILE_VERSION: u8 = 3 << 3 | LENGTH;
const SUMMARY: u8 = 5 << 3 | LENGTH;
const VALUE: u8 = 1 << 3 | LENGTH;
const TAG: u8 = 1 << 3 | LENGTH;
const SIMPLE_VALUE: u8 = 2 << 3 | FIXED_32;

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED_32: u8 = 5;

/// The rows of a run that began `began` seconds after 1970, as an event file: step n is round n.
pub(super) fn events(rounds: &[RoundRow], began: u64) -> Vec<u8> {
    let mut time = began as f64;
    let mut first = event(time);
    field(FILE_VERSION, VERSION.as_bytes(), &mut first);
    let mut file = Vec::new();
    record(&first, &mut file);
    for (number, row) in (1..).zip(rounds) {
        time += row.seconds;
        let mut summary = Vec::new();
        for (tag, value) in scalars(row) {
            let mut scalar = Vec::new();
            field(TAG, tag.as_bytes(), &mut scalar);
            scalar.push(SIMPLE_VALUE);
            scalar.extend((value as f32).to_le_bytes());
            field(VALUE, &scalar, &mut summary);
        }
        let mut event = event(time);
        event.push(STEP);
        varint(number, &mut event);
        field(SUMMARY, &summary, &mut event);
        record(&event, &mut file);
    }
    file
}

fn scalars(row: &RoundRow) -> impl Iterator<Item = (&'static str, f64)> {
    let quality = row.quality;
    let measured = [
        ("quality/hr_at_10", quality.map(|it| it.hr_at_10)),
        ("quality/ndcg_at_10", quality.map(|it| it.ndcg_at_10)),
        ("quality/full_hr_at_10", quality.map(|it| it.full_hr_at_10)),
        (
            "quality/full_ndcg_at_10",
            quality.map(|it| it.full_ndcg_at_10),
        ),
        (
            "quality/full_recall_at_20",
            quality.map(|it| it.full_recall_at_20),
        ),
        ("privacy/epsilon", row.epsilon),
        ("cohort/invited", Some(row.funnel.invited as f64)),
        ("cohort/uploaded", Some(row.funnel.uploaded as f64)),
        ("cohort/clipped", Some(row.clipped as f64)),
        ("cost/seconds", Some(row.seconds)),
        ("cost/upload_bytes", Some(row.upload_bytes as f64)),
    ];
    let there = |(tag, value): (&'static str, Option<f64>)| Some((tag, value?));
    measured.into_iter().filter_map(there)
}

fn event(time: f64) -> Vec<u8> {
    let mut event = vec![WALL_TIME];
    event.extend(time.to_le_bytes());
    event
}

fn field(key: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(key);
    varint(content.len() as u64, out);
    out.extend(content);
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The length, its check word, the content, its check word.
fn record(content: &[u8], out: &mut Vec<u8>) {
    let length = (content.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(crc32c(&length)).to_le_bytes());
    out.extend(content);
    out.extend(masked(crc32c(content)).to_le_bytes());
}

/// A check word over bytes that hold check words is weak, so the format turns and shifts them.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: a file of a thousand rounds takes a millisecond or two.
fn crc32c(bytes: &[u8]) -> u32 {
    const REVERSED: u32 = 0x82f6_3b78;
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { REVERSED } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use chorus_model::Quality;
    use prost::Message;

    use super::*;

    /// TensorFlow's messages, as another writer of protocol buffers reads them.
    #[derive(Message)]
    struct Event {
        #[prost(double, tag = "1")]
        wall_time: f64,
        #[prost(int64, tag = "2")]
        step: i64,
        #[prost(string, tag = "3")]
        file_version: String,
        #[prost(message, optional, tag = "5")]
        summary: Option<Summary>,
    }

    #[derive(Message)]
    struct Summary {
        #[prost(message, repeated, tag = "1")]
        value: Vec<Scalar>,
    }

    #[derive(Message)]
    struct Scalar {
        #[prost(string, tag = "1")]
        tag: String,
        #[prost(float, tag = "2")]
        simple_value: f32,
    }

    /// The vectors of RFC 3720, B.4, and the check of the catalogue of CRCs.
    #[test]
    fn check_words_are_those_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(masked(0), 0xa282_ead8);
    }

    /// The records of a file, every check word of which is right.
    fn read(mut file: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some((length, rest)) = file.split_first_chunk::<8>() {
            let (check, rest) = rest.split_first_chunk::<4>().unwrap();
            let content = &rest[..u64::from_le_bytes(*length) as usize];
            let (of_content, rest) = rest[content.len()..].split_first_chunk::<4>().unwrap();
            for (check, of) in [(check, &length[..]), (of_content, content)] {
                let unmasked = u32::from_le_bytes(*check).wrapping_sub(0xa282_ead8);
                assert_eq!(unmasked.rotate_left(15), crc32c(of));
            }
            events.push(Event::decode(content).unwrap());
            file = rest;
        }
        assert!(file.is_empty());
        events
    }

    #[test]
    fn an_event_a_round_reads_back() {
        let row = RoundRow {
            name: "gradient".to_owned(),
            funnel: Default::default(),
            completed: true,
            quality: None,
            seconds: 0.5,
            upload_bytes: 300,
            epsilon: None,
            clipped: 200,
            sum_exact: true,
            staleness: None,
            live: None,
            note: None,
        };
        let quality = Quality {
            hr_at_10: 0.75,
            ..Quality::default()
        };
        let mut rounds = vec![row; 300];
        rounds[299].quality = Some(quality);
        let events = read(&super::events(&rounds, 1_700_000_000));
        assert_eq!(
            (events.len(), events[0].file_version.as_str()),
            (301, VERSION)
        );
        assert!(events[0].summary.is_none());
        let (first, last) = (&events[1], &events[300]);
        assert_eq!((first.step, first.wall_time), (1, 1_700_000_000.5));
        assert_eq!((last.step, last.wall_time), (300, 1_700_000_150.0));
        let value = |event: &Event, tag: &str| {
            let mut values = event.summary.as_ref().unwrap().value.iter();
            values
                .find(|value| value.tag == tag)
                .map(|value| value.simple_value)
        };
        assert_eq!(value(last, "quality/hr_at_10"), Some(0.75));
        assert_eq!(value(first, "quality/hr_at_10"), None);
        assert_eq!(value(first, "cohort/clipped"), Some(200.0));
        assert_eq!(value(first, "cost/upload_bytes"), Some(300.0));
    }
}
