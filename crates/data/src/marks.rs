use chorus_model::ItemId;

/// A set of items that is emptied in no time, for walks over many users.
pub(crate) struct Marks {
    /// The round in which each item was last marked.
    rounds: Vec<u32>,
    round: u32,
}

impl Marks {
    pub(crate) fn new(items: usize) -> Self {
        Self {
            rounds: vec![0; items],
            round: 1,
        }
    }

    /// No item is marked any more.
    pub(crate) fn clear(&mut self) {
        self.round = match self.round.checked_add(1) {
            Some(round) => round,
            None => {
                self.rounds.fill(0);
                1
            }
        };
    }

    /// Marks an item; false when it was marked already, or is beyond the catalogue.
    pub(crate) fn mark(&mut self, item: ItemId) -> bool {
        let round = self.round;
        match self.rounds.get_mut(item.0 as usize) {
            Some(last) if *last != round => {
                *last = round;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn is_marked(&self, item: ItemId) -> bool {
        self.rounds.get(item.0 as usize) == Some(&self.round)
    }
}
