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
        }
    }
}

/// The clients that wait for a round. One that has not asked again in time is gone.
pub(crate) struct Gathering {
    waiting: BTreeMap<ClientId, Place>,
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
        self.waiting.insert(client, Place { asked: now, ticket });
        true
    }

    /// A check-in was given up: its client is gone, unless it asked again since.
    pub fn leave(&mut self, client: &ClientId, ticket: u64) {
        if self
            .waiting
            .get(client)
            .is_some_and(|place| place.ticket == ticket)
        {
            self.waiting.remove(client);
        }
    }

    /// Begins to count the gather time anew.
    pub fn restart(&mut self, now: Millis) {
        self.began = now;
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// True when a round could start, if everyone who is waiting is still there.
    pub fn is_ready(&self, need: &Need, gather: Millis, now: Millis) -> bool {
        let enough = match self.is_late(gather, now) {
            true => need.at_last.min(need.at_once),
            false => need.at_once,
        };
        self.waiting.len() >= enough
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
    }

    /// Takes the clients of one round out of those who wait, and says whether a new pass begins with it.
    ///
    /// Drawn are those that were not heard in this pass. Nobody waits for more of them than are here: before the gather time is
    /// over a round starts with nearly everyone, so who is not heard yet is here or not available; after it a smaller round
    /// makes do with fewer, and with too few for any the next pass begins.
    pub fn draw(
        &mut self,
        need: &Need,
        turns: &mut Turns<ClientId>,
        (gather, now): (Millis, Millis),
        rng: &mut impl Rng,
    ) -> (BTreeSet<ClientId>, bool) {
        let least = match self.is_late(gather, now) {
            true => need.at_last.min(need.most),
            false => need.most,
        };
        let draw = turns.draw(self.waiting.keys().copied(), need.most, least);
        let others = rand::seq::index::sample(rng, draw.others.len(), draw.amount)
            .into_iter()
            .filter_map(|place| draw.others.get(place));
        let drawn: BTreeSet<ClientId> = draw.first.iter().chain(others).copied().collect();
        self.waiting.retain(|client, _| !drawn.contains(client));
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

    #[test]
    fn everyone_at_once_or_enough_at_last() {
        let need = Need {
            at_once: 100,
            at_last: 80,
            most: 100,
        };
        assert!(gathering(100).is_ready(&need, 500, 0));
        assert!(!gathering(99).is_ready(&need, 500, 499));
        assert!(gathering(80).is_ready(&need, 500, 500));
        assert!(!gathering(79).is_ready(&need, 500, 9_999));
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
        };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut drawn = vec![0; 40];
        for _ in 0..1_000 {
            let mut gathering = gathering(40);
            let (cohort, begins) = gathering.draw(&need, &mut Turns::default(), (500, 0), &mut rng);
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
            at_once: 32,
            at_last: 14,
            most: 20,
        };
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let mut turns = Turns::default();
        let mut draw = |clients, turns: &mut Turns<ClientId>, now| {
            gathering(clients).draw(&need, turns, (500, now), &mut rng)
        };
        let (first, _) = draw(40, &mut turns, 0);
        turns.heard(first.iter().copied());
        let (second, begins) = draw(40, &mut turns, 0);
        assert!(first.is_disjoint(&second) && !begins);
        assert_eq!((first.len(), second.len()), (20, 20));
        // Three of the second drop out and lead the third, with which a new pass begins.
        turns.heard(second.iter().skip(3).copied());
        let (third, begins) = draw(40, &mut turns, 0);
        assert!(begins && second.iter().take(3).all(|client| third.contains(client)));
        assert_eq!(third.len(), 20);

        // 36 came, 20 of them heard. While nearly everyone is here the 16 others are all that will come, so they lead the next
        // pass; after the gather time they are enough for a smaller round of this one.
        let heard = |count| Turns::of((0..count).map(id).collect());
        let (cohort, begins) = draw(36, &mut heard(20), 0);
        assert_eq!((cohort.len(), begins), (20, true));
        let (cohort, begins) = draw(36, &mut heard(20), 500);
        assert_eq!((cohort.len(), begins), (16, false));
        assert!(cohort.iter().all(|client| !heard(20).had(client)));
        // Too few for any round: nobody waits for ever.
        let (cohort, begins) = draw(22, &mut heard(20), 500);
        assert_eq!((cohort.len(), begins), (20, true));
        assert!(cohort.contains(&id(20)) && cohort.contains(&id(21)));
        let (cohort, begins) = draw(15, &mut heard(20), 500);
        assert_eq!((cohort.len(), begins), (15, true));
    }
}
