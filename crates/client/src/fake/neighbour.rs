use chorus_model::{Direct, Engine, ItemId, Parameters, TrainingSet};
use chorus_privacy::NoisedUpdate;
use chorus_protocol::{
    Charge, Floor, Identity, LogView, Next, Participation, Response, RoundId, RoundPlan, Standing,
    contribute, encode, noise_share,
};
use chorus_wire::certificate::Authority;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::authority::{Card, MadeUp, VALID};
use super::office::Office;
use super::{FakeError, is_waiting};

/// A made-up client: the protocol's own state machine, and what it keeps from round to round.
pub(crate) struct Neighbour {
    pub card: Card,
    identity: Identity,
    history: TrainingSet,
    floor: Floor,
    charges: Vec<Charge>,
    last_round: Option<RoundId>,
    log: LogView,
    participation: Option<Participation>,
    rng: ChaCha20Rng,
}

impl Neighbour {
    /// Number `index` of the neighbours that `seed` makes. It takes part in whatever the office's task asks.
    pub fn new(
        office: &Office,
        issuing: &MadeUp,
        history: &[ItemId],
        (seed, index): (u64, u64),
    ) -> Result<Self, FakeError> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(index + 1);
        let identity = Identity::generate(&mut rng);
        let items = office.task.recipe.items();
        Ok(Self {
            card: issuing.certify(&identity)?,
            identity,
            history: TrainingSet::of(history.iter().copied(), items),
            floor: Floor::admitting(&office.task),
            charges: Vec::new(),
            last_round: None,
            log: LogView::default(),
            participation: None,
            rng,
        })
    }

    /// Does the next thing; false when there is nothing to do before others did something. Whatever it objects to
    /// makes it fall silent, as it would a client.
    pub fn step(&mut self, office: &mut Office, authority: &Authority) -> bool {
        let Some(mut participation) = self.participation.take().or_else(|| self.join(office))
        else {
            return false;
        };
        let request = match participation.poll() {
            Next::Over(_) => None,
            Next::Send(request) => Some(request),
            Next::Learn { plan, model } => {
                let learned = learn(plan, model, &self.history, &mut self.rng);
                let next = learned
                    .map(|update| participation.learned(update, &self.identity, &mut self.rng));
                if matches!(next, Ok(Ok(()))) {
                    self.participation = Some(participation);
                    return true;
                }
                None
            }
        };
        let answer = request.map(|request| office.answer(&self.card, &request));
        let goes_on = match answer {
            Some(Ok(response)) if is_waiting(&response) => {
                self.participation = Some(participation);
                return false;
            }
            Some(Ok(response)) => self.take(&mut participation, response, authority),
            Some(Err(_)) | None => false,
        };
        match goes_on {
            true => self.participation = Some(participation),
            false => {
                self.charges.extend(participation.charge().cloned());
                self.log = participation.log().clone();
            }
        }
        true
    }

    fn take(
        &mut self,
        participation: &mut Participation,
        response: Response,
        authority: &Authority,
    ) -> bool {
        let certificates = authority.at(VALID);
        participation
            .handle(response, &self.identity, &certificates, &mut self.rng)
            .is_ok()
    }

    /// Considers the invitation to the round that is open, once.
    fn join(&mut self, office: &Office) -> Option<Participation> {
        let open = office.open.as_ref()?;
        let round = open.round.plan().round;
        let is_new = self.last_round.is_none_or(|last| last < round);
        if !is_new || !open.invited.contains(&self.card.id) {
            return None;
        }
        self.last_round = Some(round);
        let standing = Standing {
            floor: &self.floor,
            charges: &self.charges,
            local_today: 0,
            last_round: None,
            log: self.log.clone(),
            coordinator: office.identity.public(),
            model: office.models.last().cloned(),
        };
        Participation::join_for(&office.task.name, open.invitation.clone(), standing).ok()
    }
}

/// What a history adds to a round, by the engine that needs nothing else.
fn learn(
    plan: &RoundPlan,
    model: &[u8],
    history: &TrainingSet,
    rng: &mut ChaCha20Rng,
) -> Result<NoisedUpdate, FakeError> {
    let share = noise_share(plan, rng)?;
    let trainer = Direct.open(&Parameters::from_bytes(model)?)?;
    let delta = contribute(trainer.as_ref(), plan, history, rng)?;
    Ok(encode(delta, plan, share, rng)?.update)
}
