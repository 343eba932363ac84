//! What a coordinator keeps of a round, and how it takes the round up again.

use chorus_protocol::{ClientId, Event, Input, Phase, Record, Round, Timing};

use super::Federation;

pub const TIMING: Timing = Timing {
    phase: 1_000,
    quiet: 100,
};

/// A coordinator's store, as far as the round needs one.
#[derive(Default)]
pub struct Kept {
    pub checkpoint: Option<Vec<u8>>,
    pub records: Vec<(ClientId, Vec<u8>)>,
}

impl Kept {
    /// Once the survivors are settled, and never again.
    pub fn settle(&mut self, round: &Round) {
        if self.checkpoint.is_none() && round.phase() >= Phase::Endorsing {
            self.checkpoint = round.checkpoint();
        }
    }

    pub fn keep(&mut self, round: &Round, client: ClientId, record: Option<Record>) {
        self.settle(round);
        if let Some(record) = record {
            self.records.push((client, record.bytes().to_vec()));
        }
    }
}

impl Federation {
    /// The coordinator's process ends and another takes its place. `order` says in which order the records are given to
    /// the round again. Before the survivors are settled there is nothing to take up: false.
    pub fn restart(&mut self, order: impl FnOnce(&mut Vec<(ClientId, Vec<u8>)>)) -> bool {
        let Some(checkpoint) = &self.kept.checkpoint else {
            return false;
        };
        let mut round = Round::restore(checkpoint, TIMING, self.now).unwrap();
        let mut records = self.kept.records.clone();
        order(&mut records);
        for (client, bytes) in records {
            let message = Record::read(&bytes).unwrap();
            let input = Input::From { client, message };
            round.handle(self.now, input, &mut self.events).unwrap();
        }
        self.round = round;
        self.ask_witness();
        if self.recovered().is_some() {
            self.round.published(2);
        }
        true
    }

    /// How often the round was completed: by each process that had all it needed.
    pub fn completions(&self) -> usize {
        let completed = |event: &&Event| matches!(event, Event::Completed(_));
        self.events.iter().filter(completed).count()
    }
}
