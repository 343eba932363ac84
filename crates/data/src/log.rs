use std::path::PathBuf;

use chorus_model::{ItemFeatures, ItemId};

use crate::marks::Marks;

/// What happened, before it is split into what is learned from and what is held out.
pub(crate) struct Log {
    /// What to call the data set.
    pub(crate) name: String,
    /// The file that the events come from.
    pub(crate) file: PathBuf,
    /// Items in the catalogue.
    pub(crate) items: usize,
    pub(crate) titles: Option<Vec<String>>,
    pub(crate) features: Option<ItemFeatures>,
    pub(crate) user_ids: Vec<String>,
    pub(crate) item_ids: Vec<String>,
    /// Whether the source has times. Without, every event is at 0, and their order is that of the file.
    pub(crate) has_times: bool,
    /// What of the files is not used as it stands, in sentences.
    pub(crate) notes: Vec<String>,
    /// The events of each user, in the order of the file.
    pub(crate) users: Vec<Vec<Event>>,
}

/// One event of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) at: i64,
    pub(crate) item: ItemId,
}

/// Adds an event to the lists of those users.
pub(crate) fn push(users: &mut Vec<Vec<Event>>, user: u32, event: Event) {
    let user = user as usize;
    if users.len() <= user {
        users.resize_with(user + 1, Vec::new);
    }
    if let Some(events) = users.get_mut(user) {
        events.push(event);
    }
}

/// Of events with the same item the latest one: it says best what the user did last. The events are in order, and stay so.
pub(crate) fn latest(events: &[Event], marks: &mut Marks) -> Vec<Event> {
    marks.clear();
    let backwards = events.iter().rev();
    let mut latest: Vec<Event> = backwards
        .filter(|event| marks.mark(event.item))
        .copied()
        .collect();
    latest.reverse();
    latest
}
