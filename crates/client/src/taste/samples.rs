//! One of everything that is stored, with every field that it can have.

use chorus_model::ItemId;
use chorus_protocol::{Charge, Digest, LogView, RoundId};
use serde_json::{Value, json};

use super::*;
use crate::consent::{Asked, Entry, Heard};
use crate::map::{AgeBand, Region};
use crate::store::{Enrolled, Enrolment, Kind, LocalReport, Standing, StoredModel, Tally};
use crate::testing::films;
use crate::{Answer, Message, Purpose, Sent, Signal};

/// What the JSON of a record looks like. A new kind does not build before it is here, and then not pass before it is in the data map.
pub(crate) fn sample(kind: Kind) -> Value {
    let event = Event {
        kind: EventKind::Purchase,
        source: Source::ThirdParty,
        ..Event::click(ItemId(1), 100_000)
    };
    let context = Context {
        local_time: None,
        region: Some(Region::code("DE").unwrap()),
        device: Some(Device::Car),
        mood: Some(Mood::Calm),
    };
    match kind {
        Kind::Item => {
            let mut item = ItemRecord::new(ItemId(1));
            item.add(Touch::new(&event, Some(1_000), &context, 200_000));
            item.fold(|_, _| true, 0);
            let later = Event {
                at: 900_000,
                ..event
            };
            item.add(Touch::new(&later, Some(1_000), &context, 900_000));
            json!(item)
        }
        Kind::Person => json!(Person {
            age: Some(AgeBand::From18),
            region: context.region,
        }),
        Kind::Control => json!(Control {
            what: Subject::Topic("x".to_owned()),
            choice: Choice::Mute,
        }),
        Kind::Shown => json!(serving::Shown {
            day: 1,
            items: [(ItemId(1), 2)].into(),
        }),
        Kind::Decision => json!(Entry {
            answer: Answer::No,
            at: 1,
            by: Some("gpc".to_owned()),
            controller: Some(crate::Controller::default()),
            index: 0,
            language: "en".to_owned(),
            notice: Digest::ZERO,
            previous: Digest::ZERO,
            purposes: [(Purpose::ContributeTraining, None)].into(),
            version: 1,
        }),
        Kind::Signal => json!(Heard {
            signal: Signal::Gpc { on: true },
            at: 1,
        }),
        Kind::Asked => json!(Asked {
            purpose: Purpose::ContributeTraining,
            at: 1,
        }),
        Kind::Standing => json!(Standing {
            coordinator: Some([1; 32]),
            log: LogView {
                length: 1,
                head: Digest::ZERO,
                newest: Vec::new(),
            },
            last_round: Some(RoundId(1)),
            ..Standing::default()
        }),
        Kind::Enrolment => json!(Enrolment {
            seed: [1; 32],
            enrolled: Some(Enrolled {
                certificate: vec![1],
                authority: vec![2],
            }),
        }),
        Kind::Charge => {
            let charge = r#"{"task":"films","release":"counts","round":7,"cost":{"noise_multiplier":1.0,"tau_times_length":0.0},
                "survivors":{"minimum":7,"honest":6}}"#;
            json!(serde_json::from_str::<Charge>(charge).unwrap())
        }
        Kind::LocalReport => json!(LocalReport {
            round: RoundId(1),
            at: 1,
        }),
        Kind::Model => json!(StoredModel {
            task: films(),
            version: 1,
            bytes: vec![1],
        }),
        Kind::Activity => json!(Sent {
            at: 1,
            bytes: 2,
            epsilon: None,
            messages: 1,
            purpose: Purpose::ContributeTraining,
            round: Some(RoundId(1)),
            what: Message::Shares,
        }),
        Kind::Tidied => json!(tidy::Tidied {
            day: 1,
            due: 2,
            keeping: crate::Keeping::default(),
            ahead: Some(3),
        }),
        Kind::Import => json!(recorded::Brought {
            at: 1,
            file: "x.tsv".to_owned(),
            sources: [Source::FirstParty].into(),
        }),
        Kind::Tally => json!(Tally {
            of: "charge".to_owned(),
            count: 1,
            digest: Digest::ZERO,
            beside: 1,
        }),
    }
}
