//! One of everything that is stored, with every field that it can have.

use chorus_model::ItemId;
use serde_json::{Value, json};

use super::*;
use crate::map::{AgeBand, Region};

/// The name of each record in the data map, and what its JSON looks like.
pub(crate) fn samples() -> Vec<(&'static str, Value)> {
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
    let mut item = ItemRecord::new(ItemId(1));
    item.add(Touch::new(&event, Some(1_000), &context, 200_000));
    item.fold(|_, _| true, 0);
    let later = Event {
        at: 900_000,
        ..event
    };
    item.add(Touch::new(&later, Some(1_000), &context, 900_000));
    let person = Person {
        age: Some(AgeBand::From18),
        region: context.region,
    };
    let control = Control {
        what: Subject::Topic("x".to_owned()),
        choice: Choice::Mute,
    };
    let shown = serving::Shown {
        day: 1,
        items: [(ItemId(1), 2)].into(),
    };
    let tidied = tidy::Tidied {
        day: 1,
        due: 2,
        keeping: crate::Keeping::default(),
    };
    vec![
        ("item", json!(item)),
        ("person", json!(person)),
        ("control", json!(control)),
        ("shown", json!(shown)),
        ("tidied", json!(tidied)),
    ]
}
