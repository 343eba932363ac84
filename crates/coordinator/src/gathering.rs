//! Who is waiting for a round, and whether they are enough.

use std::collections::{BTreeMap, BTreeSet};

use chorus_privacy::survivors;
use chorus_protocol::{ClientId, Millis, Task, Turns};
use rand::Rng;

/// How many clients a round of a task needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// With so many waiting there is nothing more to wait for.
    pub at_once: usize,
    /// With so many it starts after the gather time.
    pub at_last: usize,
    /// Never more are invited.
    pub most: usize,
    /// Clients in the population.
    pub everyone: usize,
}

impl Need {
    /// With noise one sum holds everyone, and everyone who came is invited. Without, each round is a uniform sample of those
    /// that were not heard in this pass, drawn once nearly everyone came: whoever connects first is no better represented.
    /// After the gather time, either makes do with as many as a round may keep after its dropouts.
    pub fn of(task: &Task) -> Self {
        let cohort = task.cohort_size();
        let nearly_everyone = survivors(task.population, task.dropout, task.corrupt)
            .map_or(task.population, |survivors| survivors.minimum);
        let at_once = match task.privacy.bound() {
            Some(_) => task.population,
            None => nearly_everyone.max(cohort),
        };
        Self {
            at_once,
            at_last: task.fewest_invited(),
            most: cohort,
            everyone: task.population,
        }
    }
}

/// The clients that wait for a round. One that has not asked again in time is gone.
pub(crate) struct Gathering {
    waiting: BTreeMap<ClientId, Place>,
    /// Who was heard in the pass that runs; with noise nobody, for there everyone is in every sum.
    turns: Turns<ClientId>,
    /// How many of those who wait were not.
    unheard: usize,
    began: Millis,
    /// How long after its last check-in a client counts as waiting.
    fresh: Millis,
    /// Most clients that are kept.
    limit: usize,
}

struct Place {
    asked: Millis,
    ticket: u64,
}

impl Gathering {
    pub fn new(fresh: Millis, limit: usize, now: Millis) -> Self {
        Self {
            waiting: BTreeMap::new(),
            turns: Turns::default(),
            unheard: 0,
            began: now,
            fresh,
            limit,
        }
    }

    /// Lets a client wait. False when there is no room. `ticket` names this check-in.
    pub fn check_in(&mut self, client: ClientId, ticket: u64, now: Millis) -> bool {
        if self.waiting.len() >= self.limit && !self.waiting.contains_key(&client) {
            return false;
        }
        let before = self.waiting.insert(client, Place { asked: now, ticket });
        if before.is_none() && !self.turns.had(&client) {
            self.unheard += 1;
        }
        true
    }

    /// Goes on with the pass in which these were heard.
    pub fn take_turns(&mut self, turns: Turns<ClientId>) {
        self.turns = turns;
        self.count();
    }

    /// Of all who wait: a check-in is too frequent for that.
    fn count(&mut self) {
        let waiting = self.waiting.keys();
        self.unheard = waiting.filter(|client| !self.turns.had(client)).count();
    }

    /// A check-in was given up: its client is gone, unless it asked again since.
    pub fn leave(&mut self, client: &ClientId, ticket: u64) {
        if self
            .waiting
            .get(client)
            .is_some_and(|place| place.ticket == ticket)
        {
            self.waiting.remove(client);
            self.count();
        }
    }

    /// Begins to count the gather time anew.
    pub fn restart(&mut self, now: Millis) {
        self.began = now;
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many of those who wait were not heard in this pass.
    pub fn unheard(&self) -> usize {
        self.unheard
    }

    /// True when a round could start, if everyone who is waiting is still there. Before the gather time is over it waits for
    /// a cohort of clients that were not heard in this pass, or for all that are left of them.
    pub fn is_ready(&self, need: &Need, gather: Millis, now: Millis) -> bool {
        if self.is_late(gather, now) {
            return self.waiting.len() >= need.at_last.min(need.at_once);
        }
        let turns = self.turns.left(need.everyone).min(need.most);
        self.waiting.len() >= need.at_once && self.unheard >= turns
    }

    /// True once the gather time is over.
    fn is_late(&self, gather: Millis, now: Millis) -> bool {
        now.saturating_sub(self.began) >= gather
    }

    /// Forgets who is gone or `barred`.
    pub fn sweep(&mut self, now: Millis, barred: impl Fn(&ClientId) -> bool) {
        let fresh = self.fresh;
        self.waiting
            .retain(|client, place| now.saturating_sub(place.asked) <= fresh && !barred(client));
        self.count();
    }

    /// Takes the clients of one round out of those who wait, and says whether a new pass begins with it.
    ///
    /// Drawn are those that were not heard in this pass. After the gather time a smaller round makes do with fewer of them than a
    /// cohort, and with too few for any round the next pass begins: nobody waits for clients that never come.
    pub fn draw(
        &mut self,
        need: &Need,
        (gather, now): (Millis, Millis),
        rng: &mut impl Rng,
    ) -> (BTreeSet<ClientId>, bool) {
        let least = match self.is_late(gather, now) {
            true => need.at_last.min(need.most),
            false => need.most,
        };
        let draw = self
            .turns
            .draw(self.waiting.keys().copied(), need.most, least);
        let others = rand::seq::index::sample(rng, draw.others.len(), draw.amount)
            .into_iter()
            .filter_map(|place| draw.others.get(place));
        let drawn: BTreeSet<ClientId> = draw.first.iter().chain(others).copied().collect();
        self.waiting.retain(|client, _| !drawn.contains(client));
        self.count();
        (drawn, draw.begins)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn id(number: usize) -> ClientId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        ClientId(id)
    }

    fn gathering(clients: usize) -> Gathering {
        let mut gathering = Gathering::new(1_000, 500, 0);
        for number in 0..clients {
            assert!(gathering.check_in(id(number), number as u64, 0));
        }
        gathering
    }

    /// Those with the lowest numbers were heard.
    fn heard(count: usize) -> Turns<ClientId> {
        Turns::of((0..count).map(id).collect())
    }

    #[test]
    fn everyone_at_once_or_enough_at_last() {
        let need = Need {
            at_once: 100,
            at_last: 80,
            most: 100,
            everyone: 100,
        };
        assert!(gathering(100).is_ready(&need, 500, 0));
        assert!(!gathering(99).is_ready(&need, 500, 499));
        assert!(gathering(80).is_ready(&need, 500, 500));
        assert!(!gathering(79).is_ready(&need, 500, 9_999));
    }

    #[test]
    fn a_round_waits_for_a_cohort_that_was_not_heard_but_not_for_ever() {
        let need = Need {
            at_once: 28,
            at_last: 14,
            most: 20,
            everyone: 40,
        };
        let ready = |clients, heard, now| {
            let mut gathering = gathering(clients);
            gathering.take_turns(heard);
            gathering.is_ready(&need, 500, now)
        };
        assert!(ready(30, heard(10), 0));
        assert!(!ready(29, heard(10), 0));
        // Three are left of the pass, and two of them are here.
        assert!(!ready(39, heard(37), 499));
        assert!(ready(39, heard(37), 500));
        assert!(ready(40, heard(37), 0));
        assert!(ready(28, heard(40), 0));
        // Who checks in, leaves or has gone is counted.
        let mut gathering = gathering(29);
        gathering.take_turns(heard(10));
        gathering.check_in(id(29), 1, 0);
        gathering.check_in(id(29), 2, 0);
        assert_eq!(gathering.unheard(), 20);
        gathering.leave(&id(29), 2);
        gathering.leave(&id(3), 3);
        assert_eq!(gathering.unheard(), 19);
        gathering.sweep(1, |client| *client == id(20));
        assert_eq!(gathering.unheard(), 18);
    }

    #[test]
    fn who_asked_long_ago_left_or_is_barred_does_not_count() {
        let mut gathering = gathering(20);
        gathering.check_in(id(3), 77, 900);
        gathering.leave(&id(3), 3);
        gathering.leave(&id(4), 4);
        assert_eq!(gathering.waiting(), 19);
        gathering.sweep(1_000, |client| *client == id(5));
        assert_eq!(gathering.waiting(), 18);
        gathering.sweep(1_001, |_| false);
        assert_eq!(gathering.waiting(), 1);
    }

    #[test]
    fn there_is_a_limit() {
        let mut gathering = gathering(500);
        assert!(!gathering.check_in(id(500), 0, 1));
        assert!(gathering.check_in(id(499), 0, 1));
    }

    #[test]
    fn the_sample_is_uniform_and_leaves_the_others() {
        let need = Need {
            at_once: 40,
            at_last: 20,
            most: 20,
            everyone: 40,
        };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut drawn = vec![0; 40];
        for _ in 0..1_000 {
            let mut gathering = gathering(40);
            let (cohort, begins) = gathering.draw(&need, (500, 0), &mut rng);
            assert_eq!((cohort.len(), gathering.waiting()), (20, 20));
            assert!(!begins);
            for (number, count) in drawn.iter_mut().enumerate() {
                *count += usize::from(cohort.contains(&id(number)));
            }
        }
        // 500 expected, standard deviation 15.8.
        assert!(
            drawn.iter().all(|count| (420..580).contains(count)),
            "{drawn:?}"
        );
    }

    #[test]
    fn who_was_heard_waits_until_the_others_were_or_are_too_few() {
        let need = Need {
            at_once: 28,
            at_last: 14,
            most: 20,
            everyone: 40,
        };
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let mut draw = |clients, turns: &Turns<ClientId>, now| {
            let mut gathering = gathering(clients);
            gathering.take_turns(turns.clone());
            gathering.draw(&need, (500, now), &mut rng)
        };
        let mut turns = Turns::default();
        let (first, _) = draw(40, &turns, 0);
        turns.heard(first.iter().copied());
        let (second, begins) = draw(40, &turns, 0);
        assert!(first.is_disjoint(&second) && !begins);
        assert_eq!((first.len(), second.len()), (20, 20));
        // Three of the second drop out and lead the third, with which a new pass begins.
        turns.heard(second.iter().skip(3).copied());
        let (third, begins) = draw(40, &turns, 0);
        assert!(begins && second.iter().take(3).all(|client| third.contains(client)));
        assert_eq!(third.len(), 20);

        // 36 came, 20 of them heard: after the gather time the 16 others are enough for a smaller round.
        let (cohort, begins) = draw(36, &heard(20), 500);
        assert_eq!((cohort.len(), begins), (16, false));
        assert!(cohort.iter().all(|client| !heard(20).had(client)));
        // Too few for any round: nobody waits for ever.
        let (cohort, begins) = draw(22, &heard(20), 500);
        assert_eq!((cohort.len(), begins), (20, true));
        assert!(cohort.contains(&id(20)) && cohort.contains(&id(21)));
        let (cohort, begins) = draw(15, &heard(20), 500);
        assert_eq!((cohort.len(), begins), (15, true));
    }
}
