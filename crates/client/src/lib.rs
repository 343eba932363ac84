#![doc = include_str!("../README.md")]

mod client;
mod consent;
mod contribution;
mod door;
mod enrolment;
mod error;
#[cfg(feature = "fake")]
mod fake;
mod household;
mod import;
mod keys;
mod map;
mod model;
mod recommend;
mod rights;
mod run;
mod settings;
mod status;
mod step;
mod store;
mod taste;
mod transport;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use consent::{
    Answer, COOL_DOWN, Category, Change, Consent, Controller, Decision, DecisionError, Honoured,
    Level, Notice, Purpose, PurposeError, Receipt, Section, Signal, State, Switch,
};
pub use contribution::{Budget, Conditions, Hold, Message, Requirements, Sent};
pub use door::Pass;
pub use error::Error;
#[cfg(feature = "fake")]
pub use fake::{FakeCoordinator, FakeError, FakeTransport, Trouble, Upload};
pub use household::Household;
#[cfg(feature = "platform-keys")]
pub use keys::PlatformKey;
pub use keys::{FileKey, Key, KeyError, KeyStore, PassphraseKey, Protection};
#[cfg(feature = "fake")]
pub use map::grade;
pub use map::{
    AgeBand, DATA_MAP, DataMap, FieldMap, Found, Keeping, Language, NotARegion, Pii, PurposeMap,
    RecordMap, Region, Sensitivity, UnknownField, masked, scan,
};
pub use model::{Accepted, LogHead};
pub use recommend::Explanation;
pub use rights::{
    Amended, Entry, Erasure, ErasureReceipt, KeptItem, Records, Remaining, View, Withheld, erase,
};
pub use run::{End, Loop, News};
pub use settings::{Pace, Settings};
pub use status::{EnrolmentStatus, Status, TaskStatus};
pub use step::{CheckIn, Ending, Step};
pub use store::{Durability, StoreError, set_aside};
pub use taste::{
    About, Ask, Band, Catalogue, Choice, Condition, Context, Control, Currency, Device, Event,
    EventKind, Flaw, Group, Groups, Guards, Imported, MainParameter, Model, Mood, Need,
    NoCatalogue, NotAnOffer, Offer, Offered, Order, Person, Price, Ranked, Recorded, Source,
    Subject, Weights, WhatIf,
};
pub use transport::{Transport, Way};
