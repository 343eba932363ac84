use std::collections::BTreeSet;

use chorus_model::ItemId;
use chorus_protocol::{ClientId, Identity, Request, Response, Task};
use chorus_wire::{Kind, Rejection};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_core::Rng;

use super::authority::{Card, MadeUp};
use super::neighbour::Neighbour;
use super::office::Office;
use super::{FakeError, Upload, is_waiting};

/// The coordinator, and everyone who sits at it.
pub(crate) struct Desk {
    pub office: Office,
    pub issuing: MadeUp,
    neighbours: Vec<Neighbour>,
    /// The clients of the app.
    pub guests: BTreeSet<ClientId>,
    pub uploads: Vec<Upload>,
    /// Share of the check-ins that are refused for no reason.
    pub refused: f64,
    rng: ChaCha20Rng,
}

/// So much time passes when every guest has asked once, and none was answered.
const TURN: u64 = 100;

impl Desk {
    pub fn new(task: Task, histories: &[Vec<ItemId>], seed: u64) -> Result<Self, FakeError> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let issuing = MadeUp::new(&Identity::generate(&mut rng))?;
        let office = Office::new(Identity::generate(&mut rng), task, seed)?;
        let neighbours = (0u64..)
            .zip(histories)
            .map(|(index, history)| Neighbour::new(&office, &issuing, history, (seed, index)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            office,
            issuing,
            neighbours,
            guests: BTreeSet::new(),
            uploads: Vec::new(),
            refused: 0.05,
            rng,
        })
    }

    /// Answers a guest. Then the neighbours do all that they can; where nobody can do anything, time passes.
    pub fn call(&mut self, card: &Card, request: &Request) -> Result<Response, Rejection> {
        let checks_in = matches!(request, Request::CheckIn { .. });
        if checks_in {
            self.refuse()?;
            self.open();
        }
        let mut answer = self.office.answer(card, request)?;
        if let Request::Upload { round, update } = request {
            self.uploads.push(Upload {
                client: card.id,
                round: *round,
                bytes: update.masked.bytes().to_vec(),
            });
        }
        self.drive();
        if is_waiting(&answer) {
            answer = self.office.answer(card, request)?;
        }
        if is_waiting(&answer) || checks_in {
            self.wait();
            self.drive();
        }
        match is_waiting(&answer) {
            true => self.office.answer(card, request),
            false => Ok(answer),
        }
    }

    fn refuse(&mut self) -> Result<(), Rejection> {
        let luck = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        match luck < self.refused {
            true => {
                let words =
                    "this check-in is refused for no reason but to be refused; check in again";
                Err(Rejection::new(Kind::Busy, "busy", words))
            }
            false => Ok(()),
        }
    }

    /// Opens a round for all guests, and as many neighbours as it has room for, each of them in turn.
    pub fn open(&mut self) {
        let office = &mut self.office;
        if office.open.is_some() || office.is_finished() || office.fault.is_some() {
            return;
        }
        let room = office.task.cohort_size().saturating_sub(self.guests.len());
        let room = room.min(self.neighbours.len());
        let neighbours = self.neighbours.iter().take(room);
        let invited: BTreeSet<ClientId> = neighbours
            .map(|neighbour| neighbour.card.id)
            .chain(self.guests.iter().copied())
            .collect();
        if let Err(error) = office.open(invited) {
            office.fault = Some(error.to_string());
        }
        self.neighbours.rotate_left(room);
    }

    /// Lets the neighbours go on until each of them waits for somebody else.
    fn drive(&mut self) {
        loop {
            let mut moved = false;
            for neighbour in &mut self.neighbours {
                moved |= neighbour.step(&mut self.office, &self.issuing.authority);
            }
            if !moved {
                return;
            }
        }
    }

    /// A guest's share of a turn passes.
    fn wait(&mut self) {
        self.office.now += TURN / (self.guests.len() as u64).max(1);
        self.office.tick();
    }
}
