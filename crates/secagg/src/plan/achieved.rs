//! What a plan promises.

use super::bounds::Bounds;
use super::{Assumptions, GraphPlan, MAXIMUM_CLIENTS, ln_of_bits, smallest};

/// The probabilities with which a plan fails, as logarithms to base 2: -43.5 is a probability of `2^-43.5`, 0 certainty,
/// minus infinity what cannot happen while the assumptions hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Achieved {
    /// Some honest client's secrets can be opened by its corrupt neighbours alone.
    pub secrecy: f64,
    /// The honest survivors fall into parts whose sums are revealed one by one.
    pub connectivity: f64,
    /// Some client keeps fewer living neighbours than shares are needed: the round is given up, and nothing revealed.
    pub correctness: f64,
    /// Survivors that nobody chose do not meet [`GraphPlan::guard`]: the round is given up, and nothing revealed.
    pub guard: f64,
}

impl Achieved {
    /// Whether a round may run: it fails no more often than asked for, in each way and in all together.
    pub fn meets(&self, assumptions: &Assumptions) -> bool {
        // Two machines need not agree in the last bits of a logarithm.
        let slack = 1.0 + 1e-6;
        let asked = |bits| ln_of_bits(bits).exp() * slack;
        assumptions.valid()
            && self.secrecy.exp2() + self.connectivity.exp2() <= asked(assumptions.secrecy_bits)
            && self.correctness.exp2() <= asked(assumptions.correctness_bits)
            && self.correctness.exp2() + self.guard.exp2()
                <= asked(assumptions.correctness_of_all())
    }
}

/// Nothing is promised.
const CERTAIN: Achieved = Achieved {
    secrecy: 0.0,
    connectivity: 0.0,
    correctness: 0.0,
    guard: 0.0,
};

impl GraphPlan {
    /// How likely this plan fails under these assumptions, whoever made it: a client asks this of every plan that it is
    /// sent. Assumptions out of range, and a graph that no round can have, fail with certainty.
    pub fn achieved(&self, assumptions: &Assumptions) -> Achieved {
        if !self.possible() || !assumptions.valid() {
            return CERTAIN;
        }
        let bounds = Bounds::new(self.clients, assumptions);
        let degree = self.neighbours();
        let log2 = |ln: f64| ln / core::f64::consts::LN_2;
        let never = f64::NEG_INFINITY;
        let (connectivity, guard) = if self.complete() {
            (never, never)
        } else {
            let guard = bounds.guarded(degree, self.guard(assumptions));
            (bounds.connectivity(degree), guard)
        };
        Achieved {
            secrecy: log2(bounds.secrecy(degree, self.threshold)),
            connectivity: log2(connectivity),
            correctness: log2(bounds.correctness(degree, self.threshold)),
            guard: log2(guard),
        }
    }

    /// Whether a round can have such a graph and threshold, however unsafe.
    fn possible(&self) -> bool {
        (2..=MAXIMUM_CLIENTS).contains(&self.clients)
            && (1..self.clients).contains(&self.degree)
            && (2..=self.degree).contains(&self.threshold)
    }

    /// Whether everyone is everyone's neighbour.
    pub fn complete(&self) -> bool {
        self.degree.saturating_add(1) >= self.clients
    }

    /// The neighbours that [`Graph`](crate::Graph) gives a client: an odd degree loses one, unless the graph is complete.
    pub(crate) fn neighbours(&self) -> usize {
        if self.complete() {
            self.clients.saturating_sub(1)
        } else {
            self.degree / 2 * 2
        }
    }

    /// How many survivors any two disjoint runs of `degree / 2` places of the ring must keep together
    /// ([`Graph::weakest_cut`](crate::Graph::weakest_cut)), lest the coordinator divides the cohort: the smallest number
    /// that so many corrupt clients reach in some two runs with a probability of at most `2^-secrecy_bits`.
    ///
    /// The bound on connectivity holds for dropouts that do not depend on the graph. A coordinator that cheats chooses
    /// whom to call lost: calling the clients of two runs lost, `degree` in all, divides the others, and each part keeps
    /// the masks of the other out of its own sum. When two runs always keep this many survivors, one of them is honest,
    /// and joins the parts. 0 for a complete graph, which nothing
    /// divides. Out of reach for a graph that no round can have, and for assumptions out of range.
    pub fn guard(&self, assumptions: &Assumptions) -> usize {
        if !self.possible() || !assumptions.valid() {
            return usize::MAX;
        }
        if self.complete() {
            return 0;
        }
        let degree = self.neighbours();
        let bounds = Bounds::new(self.clients, assumptions);
        let allowed = ln_of_bits(assumptions.secrecy_bits);
        let safe = |guard: &usize| bounds.cut(degree, *guard) <= allowed;
        smallest(1..degree + 1, safe).unwrap_or(degree + 1)
    }
}
