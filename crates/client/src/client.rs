use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use chorus_model::ItemId;
use chorus_protocol::{
    Identity, Invitation, LogView, Next, Participation, Request, Response, Standing, TaskName,
};
use chorus_wire::certificate::Authority;

use crate::consent::Leave;
use crate::contribution::{Message, Unwritten};
use crate::door::Door;
use crate::store::{LocalReport, Progress, Store, StoredModel, Turn};
use crate::{
    About, Catalogue, Error, KeyStore, NoCatalogue, Purpose, Settings, StoreError, Transport,
};

/// One client: its store and what the app decided for it. The app calls it; it starts no thread of its own.
///
/// # Privacy
/// The history, the key and the ledger of what was contributed stay in the store. What leaves is what a
/// [`Request`](chorus_protocol::Request) can carry.
pub struct Client {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) turn: Turn,
    /// What the app knows about its items.
    pub(crate) catalogue: Arc<dyn Catalogue>,
    /// Day since 1970 that this client last saw that nothing is kept too long.
    pub(crate) tidied: Option<i64>,
    pub(crate) door: Arc<Door>,
    /// What is granted, and the version of the store that says so.
    pub(crate) grants: RefCell<Option<(i64, Arc<BTreeSet<Purpose>>)>>,
    /// Nothing is recorded.
    pub(crate) is_private: bool,
    /// The time that the app said last, seconds since 1970 UTC.
    pub(crate) now: i64,
    /// What left and is not written down yet.
    pub(crate) unwritten: Unwritten,
    /// Remembers the certificates that it checked.
    authority: OnceLock<Authority>,
}

/// Seconds.
const DAY: i64 = 24 * 60 * 60;

impl Client {
    /// Opens the client that lives in the folder `home`, or makes a new one there. Everything in the folder is sealed
    /// under the key of `keys`; a new client makes it. `now`: seconds since 1970 UTC.
    ///
    /// # Errors
    /// When the store cannot be used or the key is not its own; see [`StoreError`](crate::StoreError). Whatever is
    /// there is left as it is.
    pub fn open(
        home: &Path,
        keys: &dyn KeyStore,
        settings: Settings,
        now: i64,
    ) -> Result<Self, Error> {
        let store = Store::open(home, keys, settings.durability)?;
        let (turn, _) = store.saved()?;
        let door = Door::new(home).map_err(|error| {
            Error::Store(StoreError::Unusable {
                path: home.to_owned(),
                reason: error.to_string(),
            })
        })?;
        let mut client = Self {
            store,
            settings,
            turn,
            door,
            grants: RefCell::default(),
            catalogue: Arc::new(NoCatalogue),
            tidied: None,
            is_private: false,
            now,
            unwritten: Unwritten::default(),
            authority: OnceLock::new(),
        };
        client.tidy(now)?;
        Ok(client)
    }

    /// Gives `keys` a new key and seals everything anew. The same key store as before, or another one to move the key
    /// there; the key that the old one still has opens nothing any more.
    ///
    /// # Errors
    /// When the key or the store cannot be written. The client opens with the key that `keys` has then, or had before.
    pub fn rotate_key(&mut self, keys: &dyn KeyStore) -> Result<(), Error> {
        Ok(self.store.rotate(keys)?)
    }

    /// What the app's catalogue knows about an item.
    pub fn about(&self, item: ItemId) -> Option<About> {
        self.catalogue.about(item).map(Cow::into_owned)
    }

    /// What the app decided.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Considers the invitation that answered a check-in for `task` at `now` (seconds since 1970 UTC), and keeps what comes of it: from here on [`resume`](Self::resume) finds it,
    /// and the same round is never joined again.
    ///
    /// # Errors
    /// [`Error::NotGranted`] without the person's leave to contribute, and for a round that evaluates without the one for
    /// statistics. [`Error::Refused`] when the plan is unsigned, of another task, repeated, weaker than the floor of the settings, or more
    /// than the privacy budget has left. Nothing is said to the coordinator.
    pub fn join(
        &mut self,
        task: &TaskName,
        invitation: Invitation,
        now: i64,
    ) -> Result<Participation, Error> {
        self.pass(Leave::Contribute)?;
        self.now = now;
        // Before anything is read that the round is judged by: another process could join meanwhile.
        let (turn, _) = self.store.saved()?;
        let coordinator = self.store.coordinator()?.ok_or(Error::Stranger)?;
        let charges = self.store.charges()?;
        let model = self.store.model(task)?.map(|model| model.bytes);
        let standing = Standing {
            floor: &self.settings.floor,
            charges: &charges,
            local_today: self.store.local_since(now.saturating_sub(DAY))?,
            last_round: self.store.last_round()?,
            log: self.store.log()?,
            coordinator,
            model,
        };
        let participation = Participation::join_for(task, invitation, standing)?;
        self.pass(Leave::of(participation.plan()))?;
        self.turn = turn;
        self.save(&participation, None, None)?;
        Ok(participation)
    }

    /// The round that was under way when the app ended, if any. What cannot be continued is dropped.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn resume(&mut self) -> Result<Option<Participation>, Error> {
        let (turn, saved) = self.store.saved()?;
        self.turn = turn;
        let Some(saved) = saved else { return Ok(None) };
        match Participation::restore(&saved) {
            Ok(participation) => Ok(Some(participation)),
            Err(_) => {
                tracing::warn!("a saved round cannot be continued and was dropped");
                self.turn = self.store.drop_saved(turn)?;
                Ok(None)
            }
        }
    }

    /// Writes all that a step changed, in one transaction. `followed`: the model log before the step, if
    /// the step followed it.
    pub(crate) fn save(
        &mut self,
        participation: &Participation,
        followed: Option<&LogView>,
        model: Option<&StoredModel>,
    ) -> Result<(), Error> {
        let over = matches!(participation.poll(), Next::Over(_));
        let saved = if over {
            None
        } else {
            Some(participation.save()?)
        };
        let plan = participation.plan();
        let local = plan.is_local().then_some(LocalReport {
            round: plan.round,
            at: self.now,
        });
        let progress = Progress {
            round: plan.round,
            saved: saved.as_ref().map(|saved| saved.as_slice()),
            charge: participation.charge(),
            log: followed.map(|before| (before, participation.log())),
            model,
            local: local.as_ref(),
        };
        self.turn = self.store.advance(self.turn, &progress)?;
        Ok(())
    }

    /// The key, once there is one.
    pub(crate) fn identity(&self) -> Result<Identity, Error> {
        self.store.identity()?.ok_or(Error::NotEnrolled)
    }

    /// The authority that neighbours must be enrolled with.
    pub(crate) fn authority(&self) -> Result<Authority, Error> {
        let enrolled = self.store.enrolled()?.ok_or(Error::NotEnrolled)?;
        if let Some(known) = self.authority.get()
            && known.der() == enrolled.authority
        {
            return Ok(known.clone());
        }
        let authority = Authority::from_der(enrolled.authority)?;
        // After a new enrolment with another authority, only the first one is remembered; that costs time alone.
        let _full = self.authority.set(authority.clone());
        Ok(authority)
    }

    /// Sends a request that the person allows, and takes the answer only from the coordinator that this client knows. The first one
    /// that it meets is pinned.
    pub(crate) async fn ask(
        &mut self,
        transport: &mut impl Transport,
        leave: Leave,
        request: &Request,
    ) -> Result<Response, Error> {
        let pass = self.pass(leave)?;
        let answer = transport.send(pass, request).await;
        let (what, round) = Message::of(request);
        self.note_sent(what, round, leave.purpose());
        if !matches!(answer, Ok(Response::Pending)) {
            self.write_activity()?;
        }
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                // A withdrawal looks like a network that failed.
                self.pass(leave)?;
                return Err(error.into());
            }
        };
        let key = transport.coordinator().ok_or(Error::Stranger)?;
        match self.store.coordinator()? {
            None => self.store.pin_coordinator(&key)?,
            Some(pinned) if pinned == key => {}
            Some(_) => return Err(Error::OtherCoordinator),
        }
        Ok(response)
    }
}
