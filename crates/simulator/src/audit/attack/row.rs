//! One attack and how it went.

use chorus_privacy::audit;
use serde::{Deserialize, Serialize};

use super::curve;

/// One attack, from one place, with or without noise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackRow {
    /// What the adversary wants to know.
    pub question: String,
    /// What it sees and knows.
    pub adversary: String,
    /// Whether the sums carried noise.
    pub noise: bool,
    /// Area under the curve of true against false positives: 0.5 is a coin, 1 is certainty.
    pub auc: f64,
    /// Its standard error.
    pub error: f64,
    /// Share found at 1 % false alarms; nothing where too few cases could be false alarms.
    pub tpr_at_1_percent: Option<f64>,
    /// Share found at 0.1 % false alarms; nothing where too few cases could be false alarms.
    pub tpr_at_01_percent: Option<f64>,
    /// The area that popularity alone reaches at the same question; nothing where popularity says nothing.
    pub popularity: Option<f64>,
    /// The same attack where the person's contributions were zeros: what it learns about anyone, taken part or not.
    pub without: Option<f64>,
    /// The largest area that the guarantee leaves; nothing without noise, and outside what the guarantee covers.
    pub ceiling: Option<f64>,
    /// The largest share at 1 % false alarms that the guarantee leaves.
    pub tpr_ceiling_at_1_percent: Option<f64>,
    /// The largest share at 0.1 % false alarms that the guarantee leaves.
    pub tpr_ceiling_at_01_percent: Option<f64>,
    /// People that it was tried on.
    pub people: usize,
}

/// What a guarantee leaves to an attack.
pub(super) enum Ceiling {
    /// The guarantee does not cover this place, or there is none.
    None,
    /// Two equally likely cases, nothing known before: AUC <= Phi(mu / sqrt 2), TPR <= Phi(Phi^-1(FPR) + mu) (Dong, Roth,
    /// Su 2019, by the trade-off function of mu-Gaussian DP).
    Fresh(f64),
    /// Something is known before: the attack on zeros in the person's place wins with probability p, so on the person
    /// with at most Phi(Phi^-1(p) + mu). That is concave in p, so it holds for the mean over people too.
    Known {
        /// mu.
        mu: f64,
        /// p.
        without: f64,
    },
}

/// Standard errors on either side that leave out 5 % of a normal law.
const TWO_SIDED: f64 = 1.959_963_984_540_054;
/// Standard errors by which chance may carry an attack above its ceiling.
const ERRORS: f64 = 3.0;

impl AttackRow {
    /// True when the attack does better than the guarantee allows, by more than chance.
    pub fn is_above(&self) -> bool {
        self.ceiling
            .is_some_and(|ceiling| self.auc > ceiling + ERRORS * self.error)
    }

    /// True when the area is not above its ceiling by more than chance, but its 95 % interval is not below it either.
    pub fn is_open(&self) -> bool {
        let high = self.auc + TWO_SIDED * self.error;
        !self.is_above() && self.ceiling.is_some_and(|ceiling| high > ceiling)
    }

    /// Fills in what the guarantee leaves.
    pub(super) fn under(mut self, ceiling: &Ceiling) -> Self {
        match ceiling {
            Ceiling::None => {}
            Ceiling::Fresh(mu) => {
                let ceiling = audit::Ceiling { mu: *mu };
                self.ceiling = Some(ceiling.area_under_curve());
                self.tpr_ceiling_at_1_percent = Some(ceiling.true_positive_rate(0.01));
                self.tpr_ceiling_at_01_percent = Some(ceiling.true_positive_rate(0.001));
            }
            Ceiling::Known { mu, without } => {
                self.ceiling = Some(audit::Ceiling { mu: *mu }.true_positive_rate(*without));
            }
        }
        self
    }
}

/// Scores of one person or group: of what is to be found, and of what is not.
#[derive(Clone, Debug, Default)]
pub(super) struct Scores {
    pub positive: Vec<f64>,
    pub negative: Vec<f64>,
}

impl Scores {
    pub fn auc(&self) -> f64 {
        curve::auc(&self.positive, &self.negative)
    }

    /// Where fewer than five false alarms make up the rate, chance does.
    fn rate(&self, fpr: f64) -> Option<f64> {
        let is_known = fpr * self.negative.len() as f64 >= 5.0;
        let rate = || curve::tpr(&self.positive, &self.negative, fpr);
        is_known.then(rate).flatten()
    }

    /// A row over one group of independent cases. Where few are told apart without a miss, the standard error of what was
    /// seen is 0, so it is at least that of an area at the ceiling.
    pub fn row(&self, ceiling: &Ceiling) -> AttackRow {
        let auc = self.auc();
        let error = |auc: f64| curve::error(auc, self.positive.len(), self.negative.len());
        let row = AttackRow {
            auc,
            error: error(auc),
            tpr_at_1_percent: self.rate(0.01),
            tpr_at_01_percent: self.rate(0.001),
            people: self.positive.len() + self.negative.len(),
            ..AttackRow::default()
        };
        let mut row = row.under(ceiling);
        row.error = row
            .ceiling
            .map_or(row.error, |limit| row.error.max(error(limit)));
        row
    }

    /// A row over many people, each with cases of its own: the mean over the people.
    pub fn over_people(people: &[Scores]) -> AttackRow {
        let of = |measure: &dyn Fn(&Scores) -> f64| {
            let values: Vec<f64> = people.iter().map(measure).collect();
            curve::mean(&values)
        };
        let (auc, error) = of(&Scores::auc);
        let rate = |fpr: f64| {
            let rates = people
                .iter()
                .map(|scores| curve::tpr(&scores.positive, &scores.negative, fpr));
            let rates: Option<Vec<f64>> = rates.collect();
            rates.map(|rates| curve::mean(&rates).0)
        };
        AttackRow {
            auc,
            error,
            tpr_at_1_percent: rate(0.01),
            tpr_at_01_percent: rate(0.001),
            people: people.len(),
            ..AttackRow::default()
        }
    }
}
