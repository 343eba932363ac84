use std::collections::{BTreeMap, BTreeSet};

use chorus_protocol::{Request, RoundId};
use serde::{Deserialize, Serialize};

use crate::store::{Kind, Record};
use crate::taste::Dated;
use crate::{Client, Error, Purpose};

/// Seconds.
const DAY: i64 = 24 * 60 * 60;

/// What a message said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// Exchanged an invitation for a certificate.
    Enrolment,
    /// That this client is there.
    CheckIn,
    /// How much of the model log it has seen.
    Log,
    /// Which model it fetches.
    Model,
    /// Fresh public keys of one round.
    Keys,
    /// Shares of its secrets, sealed for its neighbours.
    Shares,
    /// Whose shares it could not open.
    Confirmation,
    /// Its masked update.
    Contribution,
    /// Its signature under what it was told.
    Endorsement,
    /// Shares that unmask the sum.
    Unmasking,
    /// How a round goes on.
    Question,
    /// What connections say when they end, and between messages.
    Closing,
}

impl Message {
    /// Its text form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enrolment => "enrolment",
            Self::CheckIn => "check-in",
            Self::Log => "log",
            Self::Model => "model",
            Self::Keys => "keys",
            Self::Shares => "shares",
            Self::Confirmation => "confirmation",
            Self::Contribution => "contribution",
            Self::Endorsement => "endorsement",
            Self::Unmasking => "unmasking",
            Self::Question => "question",
            Self::Closing => "closing",
        }
    }

    /// What a request says, and of which round.
    pub(crate) fn of(request: &Request) -> (Self, Option<RoundId>) {
        match request {
            Request::CheckIn { .. } => (Self::CheckIn, None),
            Request::FetchLog { .. } => (Self::Log, None),
            Request::FetchModel { .. } => (Self::Model, None),
            Request::AdvertiseKeys { round, .. } => (Self::Keys, Some(*round)),
            Request::ShareKeys { round, .. } => (Self::Shares, Some(*round)),
            Request::ConfirmShares { round, .. } => (Self::Confirmation, Some(*round)),
            Request::Upload { round, .. } => (Self::Contribution, Some(*round)),
            Request::Endorse { round, .. } => (Self::Endorsement, Some(*round)),
            Request::Unmask { round, .. } => (Self::Unmasking, Some(*round)),
            Request::Await { round, .. } => (Self::Question, Some(*round)),
        }
    }
}

/// One line of the log of all that left: the messages of one kind in one round, or on one day.
///
/// The bytes of all lines together are the bytes that this client handed to the operating system for its connections, below
/// TLS: what a packet capture shows as their payload.
///
/// # Privacy
/// Says when the person's device took part in what. It is for that person's screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// When the first of them left, seconds since 1970 UTC.
    pub at: i64,
    /// Bytes.
    pub bytes: u64,
    /// Privacy spent on the task once this contribution is counted, as far as the accountant bounds it. Not kept, but counted
    /// anew from the ledger.
    #[serde(skip)]
    pub epsilon: Option<f64>,
    /// How many.
    pub messages: u64,
    /// What the person allowed it for.
    pub purpose: Purpose,
    /// The round, where it was in one.
    pub round: Option<RoundId>,
    /// What they said.
    pub what: Message,
}

impl Record for Sent {
    const KIND: Kind = Kind::Activity;

    fn key(&self) -> String {
        match self.round {
            Some(round) => format!("round {:020} {}", round.0, self.what.name()),
            None => format!("day {:010} {}", self.at.div_euclid(DAY), self.what.name()),
        }
    }
}

impl Dated for Sent {
    fn day(&self) -> i64 {
        self.at.div_euclid(DAY)
    }
}

impl Sent {
    fn add(&mut self, other: &Sent) {
        self.at = self.at.min(other.at);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.messages = self.messages.saturating_add(other.messages);
    }
}

/// Lines that are not in the store yet.
#[derive(Default)]
pub(crate) struct Unwritten {
    /// Bytes that the door had counted when the last line was made.
    counted: u64,
    lines: BTreeMap<String, Sent>,
}

impl Client {
    /// Everything that left this device, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn activity(&self) -> Result<Vec<Sent>, Error> {
        let mut sent = self.sent()?;
        for line in &mut sent {
            if let (Message::Contribution, Some(round)) = (line.what, line.round) {
                line.epsilon = self.spent_until(round)?;
            }
        }
        sent.sort_by_key(|line| (line.at, line.key()));
        Ok(sent)
    }

    /// The rounds whose contribution the log shows.
    pub(crate) fn sent_rounds(&self) -> Result<BTreeSet<RoundId>, Error> {
        let sent = self.sent()?;
        let contributed = sent
            .iter()
            .filter(|line| line.what == Message::Contribution);
        Ok(contributed.filter_map(|line| line.round).collect())
    }

    /// The log as it is kept, and what is not in the store yet.
    fn sent(&self) -> Result<Vec<Sent>, Error> {
        let mut sent: Vec<Sent> = self.store.all()?;
        let rest = self.rest();
        for line in self.unwritten.lines.values().chain(rest.as_ref()) {
            match sent.iter_mut().find(|known| known.key() == line.key()) {
                Some(known) => known.add(line),
                None => sent.push(line.clone()),
            }
        }
        Ok(sent)
    }

    /// What left since the last note: what connections said when they ended.
    fn rest(&self) -> Option<Sent> {
        let bytes = self.door.sent().saturating_sub(self.unwritten.counted);
        (bytes > 0).then_some(Sent {
            at: self.now,
            bytes,
            epsilon: None,
            messages: 1,
            purpose: Purpose::ContributeTraining,
            round: None,
            what: Message::Closing,
        })
    }

    /// Notes what left since the last note, if anything did.
    pub(crate) fn note_rest(&mut self) {
        if self.rest().is_some() {
            self.note_sent(Message::Closing, None, Purpose::ContributeTraining);
        }
    }

    /// Notes a message of `what` that was handed over since the last note. It is in the store after the next
    /// [`write_activity`](Self::write_activity).
    pub(crate) fn note_sent(&mut self, what: Message, round: Option<RoundId>, purpose: Purpose) {
        let total = self.door.sent();
        let bytes = total.saturating_sub(std::mem::replace(&mut self.unwritten.counted, total));
        let line = Sent {
            at: self.now,
            bytes,
            epsilon: None,
            messages: 1,
            purpose,
            round,
            what,
        };
        let known = self.unwritten.lines.entry(line.key());
        known.and_modify(|known| known.add(&line)).or_insert(line);
    }

    /// Writes down what was noted.
    pub(crate) fn write_activity(&mut self) -> Result<(), Error> {
        if self.unwritten.lines.is_empty() {
            return Ok(());
        }
        let lines = &self.unwritten.lines;
        self.store.write(|batch| {
            for (key, line) in lines {
                let mut whole = line.clone();
                if let Some(known) = batch.get::<Sent>(key)? {
                    whole.add(&known);
                }
                batch.put(&whole)?;
            }
            Ok(())
        })?;
        self.unwritten.lines.clear();
        Ok(())
    }
}

/// A connection that ends after its last message says so in a few bytes more.
impl Drop for Client {
    fn drop(&mut self) {
        self.note_rest();
        if self.write_activity().is_err() {
            tracing::warn!("the last lines of the log of what left could not be written");
        }
    }
}
