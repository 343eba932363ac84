//! Decisions and signals, from the call to the disk and the door.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::ledger::{Entry, Ledger};
use super::state::{Asked, Consent, Consents, Heard, Honoured, Notices};
use super::{Answer, Controller, Decision, DecisionError, Leave, Notice, Purpose, Receipt, Signal};
use crate::door::{Door, Pass};
use crate::map::{DataMap, Language};
use crate::store::{Batch, Kind, Record, Store, forget_round};
use crate::{Client, Error, StoreError};

impl Record for Entry {
    const KIND: Kind = Kind::Decision;

    fn key(&self) -> String {
        format!("{:020}", self.index)
    }
}

impl Record for Heard {
    const KIND: Kind = Kind::Signal;

    fn key(&self) -> String {
        self.signal.kind().to_owned()
    }
}

impl Record for Asked {
    const KIND: Kind = Kind::Asked;

    fn key(&self) -> String {
        self.purpose.to_string()
    }
}

/// The person's switches, for another thread than the client's: a settings screen while a round is under way.
pub struct Switch {
    store: Store,
    door: Arc<Door>,
    controller: Controller,
}

impl Switch {
    /// As [`Client::decide`], from any thread.
    ///
    /// # Errors
    /// As [`Client::decide`].
    pub fn decide(&mut self, decision: &Decision, now: i64) -> Result<Receipt, Error> {
        decide(&mut self.store, &self.door, &self.controller, decision, now)
    }

    /// As [`Client::notice`].
    pub fn notice(&self, language: &str) -> Option<&'static Notice> {
        notice(language)
    }

    /// As [`Client::consents`].
    ///
    /// # Errors
    /// As [`Client::consents`].
    pub fn consents(&self, now: i64) -> Result<Vec<Consent>, Error> {
        Ok(consents(&self.store)?.consents(notices(), now))
    }
}

impl Client {
    /// What a person is to read before they decide, as it is now: in the language of a tag such as `de` or `de-AT` (BCP 47),
    /// or else in English.
    pub fn notice(&self, language: &str) -> Option<&'static Notice> {
        notice(language)
    }

    /// Takes a decision of the person at `now`, seconds since 1970 UTC: the one call for yes and for no, and for any number of
    /// purposes. The receipt is theirs to keep.
    ///
    /// A no stops at once what it withdraws from: when this returns, no byte is handed to the operating system for it any more,
    /// by this process or another one with the same folder, and the connections are reset. A no to `contribute-training` also
    /// erases the round that was under way.
    ///
    /// # Errors
    /// [`Error::Decision`] where the person said yes to something else than the current notice: show that one and ask again. A
    /// no is never refused. [`Error::Store`] where it cannot be written down; then nothing changed.
    pub fn decide(&mut self, decision: &Decision, now: i64) -> Result<Receipt, Error> {
        let controller = &self.settings.controller;
        // The store tells of what others write, and not of this.
        self.grants.take();
        decide(&mut self.store, &self.door, controller, decision, now)
    }

    /// Whether the person allows a purpose now.
    ///
    /// # Errors
    /// When the store cannot be read, or its consent ledger does not hold together: nothing is allowed then.
    pub fn granted(&self, purpose: &Purpose) -> Result<bool, Error> {
        Ok(self.grants()?.contains(purpose))
    }

    /// Every purpose as it stands at `now`, seconds since 1970 UTC.
    ///
    /// # Errors
    /// As [`Client::granted`].
    pub fn consents(&self, now: i64) -> Result<Vec<Consent>, Error> {
        Ok(consents(&self.store)?.consents(notices(), now))
    }

    /// The receipts of all decisions, in their order.
    ///
    /// # Errors
    /// As [`Client::granted`].
    pub fn receipts(&self) -> Result<Vec<Receipt>, Error> {
        let consents = consents(&self.store)?;
        Ok(Receipt::all(&consents.ledger))
    }

    /// Whether `document` is one of these receipts, letter for letter. Of one that was changed anywhere, also in who is responsible, it
    /// is not: all that a receipt says follows from the ledger, whose entries hold the digests of those before.
    ///
    /// # Errors
    /// As [`Client::granted`].
    pub fn gave(&self, document: &serde_json::Value) -> Result<bool, Error> {
        let receipts = self.receipts()?;
        Ok(receipts.iter().any(|receipt| receipt.json() == document))
    }

    /// Takes what a browser, a system or a consent dialogue says at `now`, seconds since 1970 UTC. What it denies ends at once,
    /// as with [`Client::decide`]. Saying the same again changes nothing.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn signal(&mut self, signal: &Signal, now: i64) -> Result<(), Error> {
        self.grants.take();
        let denies = !signal.denies().is_empty();
        let controller = &self.settings.controller;
        let heard = change(
            &mut self.store,
            &self.door,
            controller,
            denies,
            |batch, ledger| {
                let known = batch.get::<Heard>(signal.kind())?;
                if known.is_some_and(|known| known.signal == *signal) {
                    return Ok(None);
                }
                batch.put(&Heard {
                    signal: signal.clone(),
                    at: now,
                })?;
                Ok(ledger.object(signal, now))
            },
        );
        heard.map(drop)
    }

    /// The signals that were handed in, and what became of each: to be shown, so that a person sees that they are honoured.
    ///
    /// # Errors
    /// As [`Client::granted`].
    pub fn signals(&self) -> Result<Vec<Honoured>, Error> {
        Ok(consents(&self.store)?.signals(notices()))
    }

    /// Remembers that the app asked for `purpose` at `now` (seconds since 1970 UTC) and got no answer: it may not ask again
    /// for a while. An answer needs no such note.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn asked(&mut self, purpose: Purpose, now: i64) -> Result<(), Error> {
        let asked = Asked { purpose, at: now };
        Ok(self.store.write(|batch| batch.put(&asked))?)
    }

    /// The person's switches, for another thread.
    ///
    /// # Errors
    /// When the store cannot be opened a second time.
    pub fn switch(&self) -> Result<Switch, Error> {
        Ok(Switch {
            store: self.store.second()?,
            door: Arc::clone(&self.door),
            controller: self.settings.controller.clone(),
        })
    }

    /// All that is granted, remembered until somebody else writes to the store.
    pub(crate) fn grants(&self) -> Result<Arc<BTreeSet<Purpose>>, Error> {
        let version = self.store.version()?;
        remembered(&mut self.grants.borrow_mut(), version, || {
            Ok(Ledger::read(self.store.all()?)?)
        })
    }

    /// Writes what is only kept because the person allows it. What they allow is looked up in the same transaction, so that nobody
    /// withdraws it in between: not this process, and no other one.
    pub(crate) fn write_granted<T>(
        &mut self,
        work: impl FnOnce(&Batch<'_>, &BTreeSet<Purpose>) -> Result<T, StoreError>,
    ) -> Result<T, Error> {
        let known = self.grants.get_mut();
        self.store.write(|batch| {
            let granted = remembered(known, batch.version()?, || Ok(Ledger::read(batch.all()?)?));
            match granted {
                Ok(granted) => work(batch, &granted).map(Ok),
                Err(Error::Store(error)) => Err(error),
                Err(error) => Ok(Err(error)),
            }
        })?
    }

    /// Leave for one request, if the person gives it.
    pub(crate) fn pass(&self, leave: Leave) -> Result<Pass, Error> {
        // First the epoch, then the consent: a withdrawal that this look-up misses ends this very epoch.
        let pass = match self.door.pass() {
            Ok(pass) => pass,
            Err(error) => {
                self.store.here()?;
                return Err(self.door.fault(error));
            }
        };
        match leave.missing(&*self.grants()?) {
            None => Ok(pass),
            Some(purpose) => Err(Error::NotGranted { purpose }),
        }
    }
}

fn notice(language: &str) -> Option<&'static Notice> {
    let language = language.split('-').next().unwrap_or_default();
    notices().get(language).or_else(|| notices().get("en"))
}

/// What the notice says now, in every language.
fn notices() -> &'static Notices {
    static NOTICES: OnceLock<Notices> = OnceLock::new();
    NOTICES.get_or_init(|| {
        let notices = Language::ALL.map(|language| DataMap::get().notice(language));
        notices
            .into_iter()
            .map(|notice| (notice.language.clone(), notice))
            .collect()
    })
}

/// What is granted in the state of the store that `version` names.
fn remembered(
    known: &mut Option<(i64, Arc<BTreeSet<Purpose>>)>,
    version: i64,
    read: impl FnOnce() -> Result<Ledger, Error>,
) -> Result<Arc<BTreeSet<Purpose>>, Error> {
    if let Some((at, granted)) = &*known
        && *at == version
    {
        return Ok(Arc::clone(granted));
    }
    let granted = Arc::new(Consents::of(read()?).granted(notices()));
    *known = Some((version, Arc::clone(&granted)));
    Ok(granted)
}

fn consents(store: &Store) -> Result<Consents, Error> {
    Ok(Consents {
        ledger: Ledger::read(store.all()?)?,
        heard: store.all()?,
        asked: store.all()?,
    })
}

fn decide(
    store: &mut Store,
    door: &Door,
    controller: &Controller,
    decision: &Decision,
    now: i64,
) -> Result<Receipt, Error> {
    let current = notices().get(decision.language());
    let denies = decision.answer() == Answer::No;
    let ledger = change(store, door, controller, denies, |_, ledger| {
        Ok(Some(ledger.next(decision, current, now)?))
    })?;
    // There is one for every entry, and one was just made.
    let mut receipts = Receipt::all(&ledger);
    receipts.pop().ok_or_else(|| DecisionError::Empty.into())
}

/// Adds an entry to the ledger, with who is responsible now, in one transaction; where it is a no, or something was granted and no longer is, ends the epoch before
/// it returns. A no that was written down and could not end the epoch can so be said again; until then nothing is sent. `denies`: this
/// may be a no. Gives back the ledger.
fn change(
    store: &mut Store,
    door: &Door,
    controller: &Controller,
    denies: bool,
    entry: impl FnOnce(&Batch<'_>, &Ledger) -> Result<Option<Entry>, Error>,
) -> Result<Ledger, Error> {
    let written = store.write(|batch| match write(batch, controller, entry) {
        // What could not be written is undone; whatever else is wrong was seen before anything was.
        Err(Error::Store(error)) => Err(error),
        written => Ok(written),
    });
    if denies && written.is_err() {
        // It cannot be written down: at least nothing more is sent from here.
        door.shut();
    }
    let (ledger, ends) = written??;
    if ends || door.is_shut() {
        door.end().map_err(|error| door.fault(error))?;
    }
    Ok(ledger)
}

/// The ledger with its new entry, and whether an epoch has to end with it.
fn write(
    batch: &Batch<'_>,
    controller: &Controller,
    entry: impl FnOnce(&Batch<'_>, &Ledger) -> Result<Option<Entry>, Error>,
) -> Result<(Ledger, bool), Error> {
    let mut consents = Consents::of(Ledger::read(batch.all()?)?);
    let before = consents.granted(notices());
    let mut is_no = false;
    if let Some(mut entry) = entry(batch, &consents.ledger)? {
        entry.controller = Some(controller.clone());
        is_no = entry.answer == Answer::No;
        batch.put(&entry)?;
        consents.ledger.push(entry);
    }
    let after = consents.granted(notices());
    let contributes = Purpose::ContributeTraining;
    if before.contains(&contributes) && !after.contains(&contributes) {
        forget_round(batch)?;
    }
    Ok((consents.ledger, is_no || !before.is_subset(&after)))
}
