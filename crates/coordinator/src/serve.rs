//! The service as a whole: TLS and calls, one desk for each running task, the authority's list.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chorus_protocol::{Millis, TaskName};
use chorus_wire::Clock as WallClock;
use chorus_wire::certificate::Authority;
use chorus_wire::client::{Target, WitnessConnection};
use chorus_wire::server::{ServerTls, serve_training};
use chorus_wire::tls::{Credentials, TlsError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::desk::{Call, Common, Desk, News, Witness};
use crate::error::{DeskError, ServeError};
use crate::refusals::Refusals;
use crate::revocation::{Revoked, poll};
use crate::service::{Coordinator, Handle, Place, Places};
use crate::store::{self, Store, TaskRow, TaskState, Wanted};
use crate::{Clock, Config, Directory};

/// How often time passes for a round.
const TICK: Duration = Duration::from_millis(25);
/// How often the operator's wishes are looked up.
const LOOK: Millis = 400;
/// Calls that may wait for one desk; more wait at their senders.
const QUEUE: usize = 256;
/// So long the end of the service waits for a round whose sum could never be taken again.
const DRAIN: Duration = Duration::from_secs(5);
/// A desk that failed is set up again after so long.
const PAUSE: Millis = 5_000;

/// Runs the coordinator on `listener` until `shutdown`: serves clients over mutual TLS 1.3, and runs rounds for every
/// task that an operator started. A round in the middle ends as aborted (one with noise whose clients already masked
/// gets up to 5 seconds to get on, since its sum can never be taken again), unless its survivors are settled: then the
/// next start finishes it. Otherwise that goes on from the last published model.
///
/// # Errors
/// When the coordinator is not enrolled, another one runs on the directory, or the store or the transport fails.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    clock: Clock,
    store: Arc<Store>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let directory = Directory::new(config.directory());
    let _lock = directory.lock()?;
    let credentials = directory.credentials(clock.wall().now())?;
    let (identity, authority) = (directory.identity()?, directory.authority()?);
    let transport = |error: &dyn std::fmt::Display| ServeError::Transport(error.to_string());
    let tls =
        ServerTls::mutual(&credentials, &authority, clock.wall()).map_err(|e| transport(&e))?;
    let witness = config
        .witness()
        .map(|target| witness(target.clone(), &authority, &credentials, clock.wall()))
        .transpose()
        .map_err(|error| transport(&error))?;
    let revoked = Revoked::load(&store, &authority)?;
    let common = Arc::new(Common {
        config,
        clock,
        store,
        identity,
        revoked,
        refusals: Refusals::default(),
        witness,
    });
    let (stop, stopping) = watch::channel(false);
    let (mut supervisor, places) = Supervisor::new(common.clone());
    supervisor.look().await;
    let service = Arc::new(Coordinator::new(common.clone(), places));
    let polling = tokio::spawn(poll(common, authority, stopping.clone()));
    let supervising = tokio::spawn(supervisor.run(stopping.clone()));
    let (end, ended) = oneshot::channel::<()>();
    // An error means that the sender is gone, which is the same.
    let told = async { ended.await.unwrap_or(()) };
    let mut serving = tokio::spawn(serve_training(listener, tls, service, told));
    tracing::info!("the coordinator serves");
    let early = tokio::select! {
        served = &mut serving => Some(served),
        () = shutdown => None,
    };
    // Desks end first, so that whoever waits for a round is told how it ended.
    stop.send_replace(true);
    let supervised = supervising.await;
    drop(end);
    let served = match early {
        Some(served) => served,
        None => serving.await,
    };
    let polled = polling.await;
    served
        .map_err(|error| transport(&error))?
        .map_err(|error| transport(&error))?;
    supervised.and(polled).map_err(|error| transport(&error))?;
    tracing::info!("the coordinator ended");
    Ok(())
}

/// How desks ask the witness: over one connection, which they share.
fn witness(
    target: Target,
    authority: &Authority,
    credentials: &Credentials,
    clock: &WallClock,
) -> Result<Witness, TlsError> {
    let connection = WitnessConnection::new(target, authority, credentials, clock)?;
    let connection = Arc::new(connection);
    Ok(Arc::new(move |question| {
        let connection = connection.clone();
        Box::pin(async move { connection.ask(&question).await })
    }))
}

/// A desk and its thread.
struct Seat {
    handle: Handle,
    thread: JoinHandle<Result<(), DeskError>>,
}

/// Gives every running task a desk, and time.
pub(crate) struct Supervisor {
    common: Arc<Common>,
    places: watch::Sender<Arc<Places>>,
    seats: BTreeMap<TaskName, Seat>,
    /// Tasks whose desk failed, and when it may be set up again.
    failed: BTreeMap<TaskName, Millis>,
}

impl Supervisor {
    pub fn new(common: Arc<Common>) -> (Self, watch::Receiver<Arc<Places>>) {
        let (places, watched) = watch::channel(Arc::default());
        let (seats, failed) = (BTreeMap::new(), BTreeMap::new());
        (
            Self {
                common,
                places,
                seats,
                failed,
            },
            watched,
        )
    }

    pub async fn run(mut self, stopping: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = None;
        while !*stopping.borrow() {
            ticks.tick().await;
            for seat in self.seats.values() {
                // A desk that is busy has no use for more ticks.
                let _full = seat.handle.calls.try_send(Call::Tick);
            }
            let now = self.common.clock.elapsed();
            let ended = self.seats.values().any(|seat| seat.thread.is_finished());
            if ended || looked.is_none_or(|looked| now.saturating_sub(looked) >= LOOK) {
                looked = Some(now);
                self.look().await;
            }
        }
        self.close().await;
    }

    /// Sets up and clears away desks as the operator's wishes have it.
    pub async fn look(&mut self) {
        let now = self.common.clock.elapsed();
        self.reap(now).await;
        let common = self.common.clone();
        let rows = tokio::task::spawn_blocking(move || {
            let refused = common.refusals.take();
            if !refused.is_empty()
                && let Err(error) = common.store.write(|tx| store::rejects::add(tx, &refused))
            {
                tracing::warn!(%error, "counts of refused calls are lost");
            }
            common.store.read(store::tasks::all)
        });
        let rows = rows.await;
        let rows = match rows {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => {
                tracing::error!(%error, "the tasks could not be read");
                return;
            }
            Err(_) => return,
        };
        let mut places = Places::new();
        for TaskRow {
            name,
            wanted,
            state,
            ..
        } in rows
        {
            // One that is marked as running and should not be has its ends to tie up.
            let open = wanted == Wanted::Running || state == TaskState::Running;
            if open && !state.is_final() && self.may_sit(&name, now) {
                self.seat(&name);
            }
            let desk = self.seats.get(&name).map(|seat| seat.handle.clone());
            places.insert(name, Place { state, desk });
        }
        let places = Arc::new(places);
        self.places.send_if_modified(|known| {
            let changed = *known != places;
            *known = places;
            changed
        });
    }

    fn may_sit(&self, name: &TaskName, now: Millis) -> bool {
        !self.seats.contains_key(name) && self.failed.get(name).is_none_or(|until| now >= *until)
    }

    fn seat(&mut self, name: &TaskName) {
        let (calls, mut inbox) = mpsc::channel(QUEUE);
        let (news, watched) = watch::channel(News::default());
        let (common, task) = (self.common.clone(), name.clone());
        let rng = StdRng::from_rng(&mut rand::rng());
        let own = calls.downgrade();
        let thread = tokio::task::spawn_blocking(move || {
            Desk::open(common, &task, own, news, rng)?.run(&mut inbox)
        });
        let handle = Handle {
            calls,
            news: watched,
        };
        self.failed.remove(name);
        self.seats.insert(name.clone(), Seat { handle, thread });
    }

    async fn reap(&mut self, now: Millis) {
        let ended: Vec<TaskName> = self
            .seats
            .iter()
            .filter(|(_, seat)| seat.thread.is_finished())
            .map(|(name, _)| name.clone())
            .collect();
        for name in ended {
            let Some(seat) = self.seats.remove(&name) else {
                continue;
            };
            let reason = match seat.thread.await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "its thread broke off".to_owned(),
            };
            tracing::error!(reason, "a task was interrupted and will be set up again");
            self.failed.insert(name, now + PAUSE);
        }
    }

    async fn close(self) {
        self.tell(false).await;
        let deadline = Instant::now() + DRAIN;
        let mut ticks = tokio::time::interval(TICK);
        while self.seats.values().any(|seat| !seat.thread.is_finished()) {
            ticks.tick().await;
            for seat in self.seats.values() {
                let _full = seat.handle.calls.try_send(Call::Tick);
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.tell(true).await;
        for seat in self.seats.into_values() {
            if let Ok(Err(error)) = seat.thread.await {
                tracing::error!(%error, "a task could not be closed");
            }
        }
    }

    async fn tell(&self, now: bool) {
        for seat in self.seats.values() {
            let _gone = seat.handle.calls.send(Call::Close { now }).await;
        }
    }
}
