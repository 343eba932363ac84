use std::collections::BTreeSet;

/// Whose turn it is: cohorts that repeat no client within a pass (ials.md, "Cohorts without repeats").
///
/// A client that was heard waits until every other one that is there has been. One that dropped out was not heard, so it
/// is drawn again. Where too few are left for a cohort a new pass begins, with those first; so nobody waits for clients
/// that never come.
///
/// ```
/// use chorus_protocol::Turns;
///
/// let mut turns = Turns::default();
/// let draw = turns.draw([1, 2, 3, 4, 5], 2, 2);
/// assert_eq!((draw.others.len(), draw.amount), (5, 2));
/// turns.heard([1, 2]);
/// turns.heard([3]); // and 4, which was drawn with it, dropped out
/// assert_eq!(turns.draw([1, 2, 3, 4, 5], 2, 2).others, [4, 5]);
/// turns.heard([4]);
/// let last = turns.draw([1, 2, 3, 4, 5], 2, 2);
/// assert_eq!((last.first.as_slice(), last.others.as_slice(), last.amount), ([5].as_slice(), [1, 2, 3, 4].as_slice(), 1));
/// assert!(last.begins);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turns<T> {
    heard: BTreeSet<T>,
}

/// Whom to draw a cohort from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw<T> {
    /// All of these.
    pub first: Vec<T>,
    /// And `amount` of these, drawn at random.
    pub others: Vec<T>,
    /// How many of the others.
    pub amount: usize,
    /// A new pass begins with this cohort.
    pub begins: bool,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        let heard = BTreeSet::new();
        Self { heard }
    }
}

impl<T: Ord + Copy> Turns<T> {
    /// Goes on with a pass in which these were heard.
    pub fn of(heard: BTreeSet<T>) -> Self {
        Self { heard }
    }

    /// True when a client was heard in this pass.
    pub fn had(&self, client: &T) -> bool {
        self.heard.contains(client)
    }

    /// How many of a population are still to be heard in this pass.
    pub fn left(&self, population: usize) -> usize {
        population.saturating_sub(self.heard.len())
    }

    /// Whom to draw the next cohort from, of those that are `there`: at most `most` clients, and with fewer than `least`
    /// that were not heard a new pass begins.
    pub fn draw(
        &mut self,
        there: impl IntoIterator<Item = T>,
        most: usize,
        least: usize,
    ) -> Draw<T> {
        let (heard, left): (Vec<T>, Vec<T>) =
            there.into_iter().partition(|client| self.had(client));
        if left.len() >= least || heard.is_empty() {
            let amount = most.min(left.len());
            return Draw {
                first: Vec::new(),
                others: left,
                amount,
                begins: false,
            };
        }
        self.heard.clear();
        Draw {
            amount: most.saturating_sub(left.len()).min(heard.len()),
            first: left,
            others: heard,
            begins: true,
        }
    }

    /// These clients are in a sum.
    pub fn heard(&mut self, clients: impl IntoIterator<Item = T>) {
        self.heard.extend(clients);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_clients_wait_for_nobody() {
        let mut turns = Turns::default();
        for _ in 0..5 {
            let draw = turns.draw([1, 2, 3], 10, 3);
            assert_eq!(draw.first.len() + draw.amount, 3);
            turns.heard(draw.first);
            turns.heard(draw.others);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whoever comes, whoever drops out: a cohort is as large as it can be, and nobody is heard a second time in a pass
        /// before all that were there have been drawn.
        #[test]
        fn nobody_repeats_within_a_pass(
            rounds in prop::collection::vec((prop::collection::btree_set(0u8..40, 1..40), any::<u64>()), 1..60),
            most in 1usize..12,
        ) {
            let mut turns = Turns::default();
            let mut pass: BTreeSet<u8> = BTreeSet::new();
            for (there, luck) in rounds {
                let draw = turns.draw(there.iter().copied(), most, most);
                let cohort: BTreeSet<u8> = draw.first.iter().chain(draw.others.iter().take(draw.amount)).copied().collect();
                prop_assert_eq!(cohort.len(), draw.first.len() + draw.amount);
                prop_assert!(cohort.len() <= most && cohort.is_subset(&there));
                let left = there.difference(&pass).count();
                prop_assert_eq!(draw.begins, left < most && left < there.len());
                if draw.begins {
                    prop_assert!(there.difference(&pass).all(|client| cohort.contains(client)));
                    pass.clear();
                } else {
                    prop_assert!(cohort.is_disjoint(&pass));
                    prop_assert!(cohort.len() == most.min(there.len()));
                }
                let heard: Vec<u8> = cohort.into_iter().filter(|client| luck >> client & 1 == 0).collect();
                pass.extend(&heard);
                turns.heard(heard);
            }
        }
    }
}
