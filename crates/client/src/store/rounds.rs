use chorus_protocol::{Charge, LogView, RoundId};
use serde::{Deserialize, Serialize};

use super::fault::elsewhere;
use super::vault::Plain;
use crate::taste::Dated;

use super::{Batch, Kind, Record, Store, StoreError, StoredModel, models};

/// Counts every write of the saved round. Who wants to write must know the last number, so that of two
/// processes that took up the same round only one goes on: a client answers once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Turn(pub(super) i64);

impl Turn {
    fn next(self) -> Self {
        Turn(self.0.wrapping_add(1))
    }
}

/// Where this client stands with its coordinator.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// The key of the coordinator that it met first.
    pub coordinator: Option<[u8; 32]>,
    /// The model log as far as it was followed.
    pub log: LogView,
    /// The last round that was joined.
    pub last_round: Option<RoundId>,
    /// What the next write of the round must name.
    pub turn: Turn,
    /// The round that was under way.
    #[serde(skip)]
    pub saved: Option<Plain>,
}

impl Record for Standing {
    const KIND: Kind = Kind::Standing;

    fn key(&self) -> String {
        String::new()
    }

    fn tail(&self) -> &[u8] {
        self.saved.as_ref().map_or(&[], |saved| saved.as_slice())
    }

    fn with_tail(self, tail: &[u8]) -> Self {
        let saved = (!tail.is_empty()).then(|| Plain::new(tail.to_vec()));
        Self { saved, ..self }
    }
}

impl Standing {
    /// Written only over the view that it continues: two views that grew apart could hide a fork.
    fn follow(
        &mut self,
        before: &LogView,
        after: &LogView,
        batch: &Batch<'_>,
    ) -> Result<(), StoreError> {
        if self.log != *before {
            return Err(elsewhere(batch.path()));
        }
        self.log = after.clone();
        Ok(())
    }
}

impl Record for Charge {
    const KIND: Kind = Kind::Charge;

    fn key(&self) -> String {
        format!("{}/{:020}", self.task, self.round.0)
    }
}

/// A round whose report was private by itself.
#[derive(Serialize, Deserialize)]
pub(crate) struct LocalReport {
    /// The round.
    pub round: RoundId,
    /// When it was joined, seconds since 1970 UTC.
    pub at: i64,
}

impl Record for LocalReport {
    const KIND: Kind = Kind::LocalReport;

    fn key(&self) -> String {
        format!("{:020}", self.round.0)
    }
}

impl Dated for LocalReport {
    fn day(&self) -> i64 {
        self.at.div_euclid(24 * 60 * 60)
    }
}

/// Everything that changes with one step of a round.
pub(crate) struct Progress<'a> {
    /// The round, which is never joined again.
    pub round: RoundId,
    /// The participation at rest; nothing when it is over.
    pub saved: Option<&'a [u8]>,
    /// What the round cost, from the moment it cost something.
    pub charge: Option<&'a Charge>,
    /// How far the model log was followed before and after, if it was.
    pub log: Option<(&'a LogView, &'a LogView)>,
    /// A model that was accepted in this step.
    pub model: Option<&'a StoredModel>,
    /// A report that is private by itself, to be counted against the day before anything is sent for it.
    pub local: Option<&'a LocalReport>,
}

impl Store {
    /// The round that was under way, and the number that its next write must name.
    pub fn saved(&self) -> Result<(Turn, Option<Plain>), StoreError> {
        let standing = self.standing()?;
        Ok((standing.turn, standing.saved))
    }

    /// Writes everything that a step changed, at once or not at all.
    pub fn advance(&mut self, turn: Turn, progress: &Progress<'_>) -> Result<Turn, StoreError> {
        self.write(|batch| {
            let mut standing = at_turn(batch, turn)?;
            standing.saved = progress.saved.map(|saved| Plain::new(saved.to_vec()));
            standing.last_round = standing.last_round.max(Some(progress.round));
            if let Some((before, after)) = progress.log {
                standing.follow(before, after, batch)?;
            }
            batch.put(&standing)?;
            if let Some(charge) = progress.charge
                && batch.get::<Charge>(&charge.key())?.is_none()
            {
                batch.put(charge)?;
            }
            if let Some(model) = progress.model {
                models::put(batch, model)?;
            }
            if let Some(local) = progress.local
                && batch.get::<LocalReport>(&local.key())?.is_none()
            {
                batch.put(local)?;
            }
            Ok(standing.turn)
        })
    }

    /// Forgets the round that was under way.
    pub fn drop_saved(&mut self, turn: Turn) -> Result<Turn, StoreError> {
        self.write(|batch| {
            let standing = Standing {
                saved: None,
                ..at_turn(batch, turn)?
            };
            batch.put(&standing)?;
            Ok(standing.turn)
        })
    }

    /// The privacy ledger: one line for each contribution, whatever became of its round.
    pub fn charges(&self) -> Result<Vec<Charge>, StoreError> {
        self.all()
    }

    /// Rounds whose report is private by itself, joined from `then` on (seconds since 1970 UTC). Those of a clock that was ahead count
    /// too.
    pub fn local_since(&self, then: i64) -> Result<usize, StoreError> {
        let reports = self.all::<LocalReport>()?.into_iter();
        Ok(reports.filter(|report| report.at >= then).count())
    }

    /// The last round that was joined.
    pub fn last_round(&self) -> Result<Option<RoundId>, StoreError> {
        Ok(self.standing()?.last_round)
    }

    /// The model log as far as it was followed.
    pub fn log(&self) -> Result<LogView, StoreError> {
        Ok(self.standing()?.log)
    }

    /// Keeps how far the model log was followed from `before`.
    pub fn put_log(&mut self, before: &LogView, after: &LogView) -> Result<(), StoreError> {
        self.write(|batch| {
            let mut standing = batch.get::<Standing>("")?.unwrap_or_default();
            standing.follow(before, after, batch)?;
            batch.put(&standing)
        })
    }

    /// The key of the coordinator that this client met first.
    pub fn coordinator(&self) -> Result<Option<[u8; 32]>, StoreError> {
        Ok(self.standing()?.coordinator)
    }

    /// Pins a coordinator's key; one that is pinned already stays.
    pub fn pin_coordinator(&mut self, key: &[u8; 32]) -> Result<(), StoreError> {
        self.write(|batch| {
            let mut standing = batch.get::<Standing>("")?.unwrap_or_default();
            standing.coordinator.get_or_insert(*key);
            batch.put(&standing)
        })
    }

    fn standing(&self) -> Result<Standing, StoreError> {
        Ok(self.get("")?.unwrap_or_default())
    }
}

/// Forgets the round that was under way, whoever has taken it up: nobody who still holds it can write it back.
pub(crate) fn forget_round(batch: &Batch<'_>) -> Result<(), StoreError> {
    let Some(standing) = batch.get::<Standing>("")? else {
        return Ok(());
    };
    batch.put(&Standing {
        saved: None,
        turn: standing.turn.next(),
        ..standing
    })
}

/// Where the client stands, one turn further, if nobody else went on meanwhile.
fn at_turn(batch: &Batch<'_>, turn: Turn) -> Result<Standing, StoreError> {
    let standing = batch.get::<Standing>("")?.unwrap_or_default();
    if standing.turn != turn {
        return Err(elsewhere(batch.path()));
    }
    Ok(Standing {
        turn: turn.next(),
        ..standing
    })
}
