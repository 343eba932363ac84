//! What a person likes, and the lists that follow from it.

mod catalogue;
mod context;
mod control;
mod event;
mod guard;
mod habits;
mod item;
mod model;
mod next;
mod offer;
mod parameters;
mod person;
mod rank;
mod recorded;
mod serving;
mod tidy;

pub use catalogue::{About, Catalogue, NoCatalogue};
pub use context::{Band, Context, Device, Mood};
pub use control::{Choice, Control, Subject};
pub(crate) use event::{DAY, UNIT};
pub use event::{Event, EventKind, Flaw, Source, Weights};
pub use guard::Guards;
pub(crate) use item::{ItemRecord, Touch};
pub use model::Model;
pub use next::{Condition, Group, Groups, Need};
pub use offer::{Currency, NotAnOffer, Offer, Offered, Price};
pub use parameters::MainParameter;
pub use person::Person;
pub(crate) use rank::NoChance;
pub use rank::{Ask, Order, Ranked, WhatIf};
pub(crate) use recorded::item_key;
pub use recorded::{Imported, Recorded};
pub(crate) use tidy::Dated;

#[cfg(test)]
pub(crate) use serving::Shown;
pub(crate) use serving::fitting;

#[cfg(test)]
mod samples;
#[cfg(test)]
pub(crate) use samples::sample;
#[cfg(test)]
mod tests;
