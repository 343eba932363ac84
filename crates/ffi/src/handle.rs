//! Which number is which client. A number that is not in use any more is an error, whatever was done with it before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use chorus_client::{
    Budget, Catalogue, Client, ErasureReceipt, Error, KeyStore, NoCatalogue, Settings, StoreError,
    Switch,
};
use chorus_wire::Clock;
use tokio::sync::watch;

use crate::code::{CHORUS_BUSY, CHORUS_CLOSED, CHORUS_FAULT, Failure};

/// A client that is open. It is a number and no address: 0 is none, and a number that was closed is never given again.
pub type ChorusClient = u64;

/// What an open client's number stands for.
pub(crate) struct Handle {
    home: PathBuf,
    keys: Box<dyn KeyStore + Send + Sync>,
    settings: Settings,
    /// What the app knows of its items.
    catalogue: Mutex<Arc<dyn Catalogue>>,
    /// Nothing once it was erased.
    client: Mutex<Option<Client>>,
    /// The person's own switch: it waits for nobody who is at the client.
    switch: Mutex<Switch>,
    /// Held by the one call that contributes, which has a client of its own: rounds take minutes, and nothing else waits.
    contributing: Mutex<()>,
    /// Counts the wishes to stop.
    stop: watch::Sender<u64>,
}

#[derive(Default)]
struct Handles {
    open: BTreeMap<ChorusClient, Arc<Handle>>,
    given: ChorusClient,
}

static HANDLES: Mutex<Handles> = Mutex::new(Handles {
    open: BTreeMap::new(),
    given: 0,
});

/// Nothing can panic while this is held, so it is whole whatever happened.
fn handles() -> MutexGuard<'static, Handles> {
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    pub fn open(
        home: &Path,
        keys: Box<dyn KeyStore + Send + Sync>,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let now = Clock::system().now();
        let client = Client::open(home, keys.as_ref(), settings.clone(), now)?;
        let switch = Mutex::new(client.switch()?);
        Ok(Self {
            switch,
            home: home.to_owned(),
            keys,
            settings,
            catalogue: Mutex::new(Arc::new(NoCatalogue)),
            client: Mutex::new(Some(client)),
            contributing: Mutex::new(()),
            stop: watch::Sender::new(0),
        })
    }

    /// Makes it known under a new number.
    pub fn give(self) -> ChorusClient {
        let mut handles = handles();
        handles.given += 1;
        let number = handles.given;
        handles.open.insert(number, Arc::new(self));
        number
    }

    /// The one with this number. It lives on until the last call that has it ends.
    pub fn of(number: ChorusClient) -> Result<Arc<Self>, Failure> {
        handles().open.get(&number).cloned().ok_or_else(closed)
    }

    /// Forgets the number. A contribution that is under way stops.
    pub fn close(number: ChorusClient) -> Result<(), Failure> {
        let handle = handles().open.remove(&number).ok_or_else(closed)?;
        handle.stop();
        Ok(())
    }

    /// Does something with the client, after whoever is at it.
    pub fn with<T>(
        &self,
        work: impl FnOnce(&mut Client) -> Result<T, chorus_client::Error>,
    ) -> Result<T, Failure> {
        let mut client = self.lock()?;
        Ok(work(client.as_mut().ok_or_else(closed)?)?)
    }

    /// What the app decided.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes what the app knows of its items, for every client of this handle.
    pub fn know(&self, catalogue: Arc<dyn Catalogue>) -> Result<(), Failure> {
        self.with(|client| {
            client.set_catalogue(catalogue.clone());
            Ok(())
        })?;
        *self.catalogue.lock().map_err(|_| broken())? = catalogue;
        Ok(())
    }

    /// Another client on the same folder.
    fn another(&self, settings: Settings) -> Result<Client, Failure> {
        let now = Clock::system().now();
        let mut client = Client::open(&self.home, self.keys.as_ref(), settings, now)?;
        client.set_catalogue(self.catalogue.lock().map_err(|_| broken())?.clone());
        Ok(client)
    }

    /// Does something with the person's switch, whatever other threads are at.
    pub fn switch<T>(
        &self,
        work: impl FnOnce(&mut Switch) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        work(&mut *self.switch.lock().map_err(|_| broken())?)
    }

    /// Erases everything in the folder, its key first, and with it this client.
    pub fn erase(&self, now: i64) -> Result<ErasureReceipt, Failure> {
        self.stop();
        let mut place = self.lock()?;
        let client = place.take().ok_or_else(closed)?;
        client.erase(self.keys.as_ref(), now).map_err(|error| {
            // What is left is finished by whoever opens the folder next: by this one, if it can. What another one erased stays so.
            if !matches!(error, Error::Store(StoreError::Closed { .. })) {
                *place = self.another(self.settings.clone()).ok();
            }
            error.into()
        })
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<Client>>, Failure> {
        self.client.lock().map_err(|_| broken())
    }

    /// Does something with a client of its own, on the same folder. One at a time.
    pub fn contribute<T>(
        &self,
        budget: Budget,
        work: impl FnOnce(Client, watch::Receiver<u64>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _alone = self.contributing.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Failure::new(
                CHORUS_BUSY,
                "this client contributes already: wait for it, or stop it",
            ),
            TryLockError::Poisoned(_) => broken(),
        })?;
        let stop = self.stop.subscribe();
        // Before it is opened once more: where the folder was erased, nothing is made anew.
        self.with(|client| client.signals())?;
        let settings = Settings {
            budget,
            ..self.settings.clone()
        };
        work(self.another(settings)?, stop)
    }

    /// Ends the contribution that is under way, between two steps.
    pub fn stop(&self) {
        self.stop.send_modify(|wishes| *wishes += 1);
    }
}

fn closed() -> Failure {
    Failure::new(
        CHORUS_CLOSED,
        "this client is not open: open it first, or make a new one if it was erased",
    )
}

fn broken() -> Failure {
    Failure::new(
        CHORUS_FAULT,
        "an earlier call met a fault of this library: close the client and open it again",
    )
}

#[cfg(test)]
mod tests {
    use chorus_client::FileKey;

    use super::*;
    use crate::code::CHORUS_OK;
    use crate::entry::entry;

    fn beside(home: &tempfile::TempDir) -> Box<FileKey> {
        Box::new(FileKey::beside(home.path()))
    }

    fn opened() -> (tempfile::TempDir, ChorusClient) {
        let home = tempfile::tempdir().unwrap();
        let handle = Handle::open(home.path(), beside(&home), Settings::default()).unwrap();
        (home, handle.give())
    }

    #[test]
    fn a_client_that_met_a_fault_says_so_until_it_is_closed() {
        let (home, client) = opened();
        let fault = || {
            Handle::of(client)?.with(|_| -> Result<(), chorus_client::Error> { panic!("a fault") })
        };
        assert_eq!(entry(fault), CHORUS_FAULT);
        assert_eq!(entry(|| Handle::of(client)?.with(|_| Ok(()))), CHORUS_FAULT);
        assert_eq!(entry(|| Handle::close(client)), CHORUS_OK);
        assert_eq!(entry(|| Handle::close(client)), CHORUS_CLOSED);
        let again = Handle::open(home.path(), beside(&home), Settings::default())
            .unwrap()
            .give();
        assert_ne!(again, client);
        assert_eq!(entry(|| Handle::of(again)?.with(|_| Ok(()))), CHORUS_OK);
    }

    /// Whatever is asked of it, it says that it is closed, and the folder stays empty.
    #[test]
    fn a_client_that_another_one_erased_is_closed() {
        let (home, one) = opened();
        let other = Handle::open(home.path(), beside(&home), Settings::default()).unwrap();
        other.erase(0).unwrap();
        let one = Handle::of(one).unwrap();
        let left = || std::fs::read_dir(home.path()).unwrap().count();
        let code = |outcome: Result<(), Failure>| outcome.unwrap_err().code;
        assert_eq!(
            code(one.with(|client| client.view(0).map(drop))),
            CHORUS_CLOSED
        );
        assert_eq!(
            code(one.switch(|switch| Ok(switch.consents(0).map(drop)?))),
            CHORUS_CLOSED
        );
        let contributed = one.contribute(Budget::default(), |_, _| Ok(()));
        assert_eq!((code(contributed), left()), (CHORUS_CLOSED, 0));
        assert_eq!((code(one.erase(0).map(drop)), left()), (CHORUS_CLOSED, 0));
        assert_eq!((code(one.erase(0).map(drop)), left()), (CHORUS_CLOSED, 0));
    }

    #[test]
    fn one_contributes_at_a_time_and_stops_when_it_is_told() {
        let (_home, client) = opened();
        let handle = Handle::of(client).unwrap();
        let ended = handle.contribute(Budget::default(), |_, stop| {
            let other = handle.contribute(Budget::default(), |_, _| Ok(()));
            assert_eq!(other.unwrap_err().code, CHORUS_BUSY);
            assert!(!stop.has_changed().unwrap());
            // The rest of the library is not held up meanwhile.
            handle.with(|client| client.status(0).map(drop))?;
            Handle::close(client)?;
            assert!(stop.has_changed().unwrap());
            Ok(())
        });
        assert!(ended.is_ok(), "{ended:?}");
    }
}
