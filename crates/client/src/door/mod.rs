//! The one door: every byte that leaves passes here, and a person can shut it at any moment.
//!
//! The file `lease` beside the store grows by one byte with every withdrawal: its length is the epoch, which several processes
//! can raise at once and none can lower. A pass is what a request travels with; it names the epoch in which the person's
//! consent was looked up. Whoever hands bytes to a socket holds the file's shared lock, compares the epoch, writes without
//! waiting, and lets go.
//!
//! A withdrawal is written down first. Then it raises the epoch, and takes the exclusive lock once: so it has waited for the
//! writes that had begun, and all that come after find their epoch over, in this process and in any other. A pass that was
//! given meanwhile either was looked up in what is written down now, or names the epoch that ended.
//!
//! With the epoch its connections end. Those of the process that withdraws are reset before the withdrawal returns, whichever of its
//! clients they are of. Another process resets its own when it next looks at the file: at every poll of a connection, for every
//! pass, between two steps of learning, and once a second while it takes part.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use chorus_wire::client::{Gate, Lease, Reset};

use crate::store::{LEASE, file};
use crate::{Error, StoreError};

/// The door of one client.
pub(crate) struct Door {
    path: PathBuf,
    /// The connections that were made through it, and the epochs under which they stand.
    connections: Mutex<Vec<(u64, Weak<dyn Reset>)>>,
    /// The file's lock is not fair: within this process, this one sees to it that a withdrawal has its turn.
    turn: RwLock<()>,
    /// A withdrawal was not completed: nothing of this process passes until one is.
    shut: AtomicBool,
    /// Bytes that all connections of this process handed to the operating system.
    sent: AtomicU64,
}

/// Leave for one request. Only the client gives it, after it has asked what the person allows.
#[derive(Debug)]
pub struct Pass {
    epoch: u64,
}

/// Every door of this process: a withdrawal at one of them ends what stands behind another one of the same folder.
static DOORS: Mutex<Vec<Weak<Door>>> = Mutex::new(Vec::new());

/// How long a connection whose epoch another process ended may stand while this one waits.
const LOOK: Duration = Duration::from_secs(1);

impl Door {
    /// The door of the client in the folder `home`.
    pub fn new(home: &Path) -> io::Result<Arc<Self>> {
        let door = Self {
            path: home.join(LEASE),
            connections: Mutex::default(),
            turn: RwLock::default(),
            shut: AtomicBool::new(false),
            sent: AtomicU64::new(0),
        };
        // An empty file is no leave for anybody.
        if epoch(&door.make()?)? == NONE {
            door.end()?;
        }
        let door = Arc::new(door);
        let mut doors = DOORS.lock().unwrap_or_else(PoisonError::into_inner);
        doors.retain(|door| door.strong_count() > 0);
        doors.push(Arc::downgrade(&door));
        Ok(door)
    }

    /// A pass of the epoch as it is now. What the person allows is to be looked up after this, never before.
    pub fn pass(&self) -> io::Result<Pass> {
        if self.is_shut() {
            return Err(io::Error::other(
                "a withdrawal could not be completed, so nothing is sent: withdraw again",
            ));
        }
        let epoch = epoch(&self.open()?)?;
        self.reset_all_but(epoch);
        Ok(Pass { epoch })
    }

    /// Whether the epoch of `pass` lasts; a file that cannot be looked at says no.
    pub fn lasts(&self, pass: &Pass) -> bool {
        self.heed() == pass.epoch && pass.epoch != NONE && !self.is_shut()
    }

    /// Looks at the file again and again, for whoever waits for something else meanwhile.
    pub async fn watch(&self) -> Infallible {
        loop {
            tokio::time::sleep(LOOK).await;
            self.heed();
        }
    }

    /// Looks at the file, and resets the connections whose epoch is over. Returns the epoch; none where it cannot be looked at.
    fn heed(&self) -> u64 {
        let now = self.open().and_then(|file| epoch(&file)).unwrap_or(NONE);
        self.reset_all_but(now);
        now
    }

    /// Ends the epoch: when this returns, no connection of it hands anything over any more, and those of this process are
    /// reset. What was withdrawn has to be written down before. Where it fails, the door stays shut in this process.
    pub fn end(&self) -> io::Result<()> {
        match self.raise() {
            Ok(()) => self.shut.store(false, Ordering::Release),
            Err(error) => {
                self.shut();
                return Err(error);
            }
        }
        self.reset_all_but(NONE);
        let doors = DOORS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for door in doors.iter().filter_map(Weak::upgrade) {
            door.heed();
        }
        Ok(())
    }

    /// Ends every epoch before the file is erased, also where the disk has no room for a byte: without one, there is no leave for anybody.
    pub fn close(&self) {
        if self.end().is_ok() {
            return;
        }
        let emptied = self.open().and_then(|file| {
            file.set_len(NONE)?;
            self.wait(&file)
        });
        if emptied.is_err() {
            tracing::info!("the lease could not be emptied; it ends when its file goes");
        }
    }

    /// Raises the epoch, and waits for the writes that had begun.
    fn raise(&self) -> io::Result<()> {
        let mut file = self.make()?;
        file.write_all(&[0])?;
        file.sync_data()?;
        self.wait(&file)
    }

    fn wait(&self, file: &File) -> io::Result<()> {
        let _turn = self.turn.write().unwrap_or_else(PoisonError::into_inner);
        file.lock()?;
        file.unlock()
    }

    /// Lets nothing of this process pass any more, whatever the file says, until an epoch was ended: all that can be done where
    /// a withdrawal cannot be written.
    pub fn shut(&self) {
        {
            let _turn = self.turn.write().unwrap_or_else(PoisonError::into_inner);
            self.shut.store(true, Ordering::Release);
        }
        self.reset_all_but(NONE);
    }

    fn reset_all_but(&self, lasting: u64) {
        let over: Vec<_> = self
            .connections()
            .extract_if(.., |(epoch, _)| *epoch != lasting)
            .collect();
        let standing = over
            .iter()
            .filter_map(|(_, connection)| connection.upgrade());
        standing.for_each(|connection| connection.reset());
    }

    /// Whether a withdrawal waits to be completed.
    pub fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    /// What an error of the file means for the app.
    pub fn fault(&self, error: io::Error) -> Error {
        Error::Store(StoreError::Unusable {
            path: self.path.clone(),
            reason: error.to_string(),
        })
    }

    /// Bytes that the connections of this process handed to the operating system.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn connections(&self) -> MutexGuard<'_, Vec<(u64, Weak<dyn Reset>)>> {
        let connections = self.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }

    /// The file, if it is there: looking must not leave one behind where everything was erased.
    fn open(&self) -> io::Result<File> {
        file::check_plain(&self.path)?;
        OpenOptions::new().read(true).write(true).open(&self.path)
    }

    /// The file, made if it is not there.
    fn make(&self) -> io::Result<File> {
        file::check_plain(&self.path)?;
        let mut options = file::private();
        options.read(true).append(true).create(true);
        options.open(&self.path)
    }
}

/// The door as one way to a coordinator finds it: open for the pass that was shown last.
pub(crate) struct Entrance {
    door: Arc<Door>,
    epoch: AtomicU64,
}

impl Entrance {
    pub fn new(door: Arc<Door>) -> Self {
        Self {
            door,
            epoch: AtomicU64::new(NONE),
        }
    }

    /// Connections that are made from now on stand under this pass; those that stand keep theirs.
    pub fn show(&self, pass: Pass) {
        self.epoch.store(pass.epoch, Ordering::Release);
    }
}

impl Gate for Entrance {
    fn lease(&self) -> io::Result<Box<dyn Lease>> {
        Ok(Box::new(Held {
            file: self.door.open()?,
            epoch: self.epoch.load(Ordering::Acquire),
            door: Arc::clone(&self.door),
        }))
    }
}

/// The lease of one connection. Each has the file open for itself: locks belong to what opened it.
struct Held {
    door: Arc<Door>,
    file: File,
    epoch: u64,
}

impl Lease for Held {
    fn hold(&mut self, act: &mut dyn FnMut()) -> io::Result<()> {
        let _turn = self
            .door
            .turn
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if self.door.is_shut() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        self.file.lock_shared()?;
        let held = match epoch(&self.file) {
            Ok(now) if now == self.epoch && now != NONE => {
                act();
                Ok(())
            }
            Ok(_) => Err(ErrorKind::ConnectionReset.into()),
            Err(error) => Err(error),
        };
        self.file.unlock()?;
        held
    }

    fn wrote(&self, bytes: usize) {
        self.door.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn watch(&self, connection: Weak<dyn Reset>) {
        let mut connections = self.door.connections();
        connections.retain(|(_, connection)| connection.strong_count() > 0);
        connections.push((self.epoch, connection));
    }
}

/// No epoch: what a file that was lost says.
const NONE: u64 = 0;

/// The epoch that the file holds. One that was removed or replaced holds none: what others write to the new one is not seen in it.
fn epoch(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&metadata) == 0 {
        return Ok(NONE);
    }
    Ok(metadata.len())
}

#[cfg(test)]
mod capture;
#[cfg(test)]
mod interleaving;
#[cfg(test)]
mod tests;
