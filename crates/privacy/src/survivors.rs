use serde::{Deserialize, Serialize};

use crate::PrivacyError;

/// Below this, the distance of a product such as 0.07 x 100 from a whole number is rounding of f64, not a part of a client.
const ROUNDING: f64 = 1e-9;

/// How many clients a completed sum contains at least, and how many of them protect the others (`privacy.md` 1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survivors {
    /// `survivors_min`: a round with fewer clients in the sum is aborted and reveals nothing.
    pub minimum: usize,
    /// `noise_min`: clients in such a sum that add their noise and do not collude with the coordinator.
    pub honest: usize,
}

/// Plans for the worst allowed case: minimum = ceil((1 - dropout) n), honest = minimum - ceil(corrupt n).
///
/// `invited`: clients n of the sum. `dropout`, `corrupt`: shares of the *invited* clients, in [0, 1).
///
/// # Errors
/// A share outside [0, 1); fewer than one honest client left.
pub fn survivors(invited: usize, dropout: f64, corrupt: f64) -> Result<Survivors, PrivacyError> {
    if !(0.0..1.0).contains(&dropout) {
        return Err(PrivacyError::Dropout(dropout));
    }
    if !(0.0..1.0).contains(&corrupt) {
        return Err(PrivacyError::Corrupt(corrupt));
    }
    let minimum = invited - ((dropout * invited as f64 + ROUNDING).floor() as usize).min(invited);
    let colluding = (corrupt * invited as f64 - ROUNDING).ceil().max(0.0) as usize;
    let honest = minimum.saturating_sub(colluding);
    if honest == 0 {
        return Err(PrivacyError::TooFewHonest { invited, honest });
    }
    Ok(Survivors { minimum, honest })
}

/// What it costs to learn from several cohorts instead of one: variances of the noise in the mean over all clients, in units of
/// (deviation of the honest noise that a sum must have)^2 / clients^2, as if exactly that much were in each sum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splitting {
    /// Disjoint cohorts.
    pub cohorts: usize,
    /// Clients of the smallest cohort.
    pub clients: usize,
    /// How many times the variance of one cohort of everyone the mean of all cohorts has.
    pub variance: f64,
    /// The same for the standard deviation.
    pub deviation: f64,
}

/// What splitting `clients` into `cohorts` disjoint cohorts costs.
///
/// Each cohort's sum is a release of its own and carries the full noise, sigma^2; a client is in one of them, so its epsilon stays
/// the same (parallel composition: McSherry 2009). The sums together carry K sigma^2 where one sum would carry sigma^2: K times the
/// variance of the mean, root K times its deviation.
///
/// # Errors
/// No cohort; more cohorts than clients.
pub fn splitting(clients: usize, cohorts: usize) -> Result<Splitting, PrivacyError> {
    let smallest = clients.checked_div(cohorts).unwrap_or_default();
    if smallest == 0 {
        return Err(PrivacyError::Cohorts { clients, cohorts });
    }
    let variance = cohorts as f64;
    Ok(Splitting {
        cohorts,
        clients: smallest,
        variance,
        deviation: variance.sqrt(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_allowed_case() {
        assert_eq!(
            survivors(100, 0.3, 0.1),
            Ok(Survivors {
                minimum: 70,
                honest: 60
            })
        );
        assert_eq!(
            survivors(943, 0.1, 0.1),
            Ok(Survivors {
                minimum: 849,
                honest: 754
            })
        );
        // 0.07 x 100 is 7.000000000000001 in f64; that is 7 clients, not 8.
        assert_eq!(
            survivors(100, 0.07, 0.07),
            Ok(Survivors {
                minimum: 93,
                honest: 86
            })
        );
        assert_eq!(
            survivors(1, 0.0, 0.0),
            Ok(Survivors {
                minimum: 1,
                honest: 1
            })
        );
        for invited in 1..2000 {
            for (dropout, corrupt) in [(0.1, 0.1), (0.05, 0.05), (0.3, 0.1)] {
                if let Ok(Survivors { minimum, honest }) = survivors(invited, dropout, corrupt) {
                    let vanished = invited - minimum;
                    assert!(vanished as f64 <= dropout * invited as f64 + 1e-9);
                    assert!((minimum - honest) as f64 >= corrupt * invited as f64 - 1e-9);
                }
            }
        }
    }

    #[test]
    fn splitting_costs_the_root_of_the_cohorts() {
        let four = splitting(1001, 4).unwrap();
        assert_eq!(
            (four.clients, four.variance, four.deviation),
            (250, 4.0, 2.0)
        );
        assert_eq!(splitting(9, 1).unwrap().variance, 1.0);
        assert!(splitting(9, 0).is_err() && splitting(9, 10).is_err());
    }

    #[test]
    fn impossible_plans_are_refused() {
        for share in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(
                survivors(10, share, 0.1),
                Err(PrivacyError::Dropout(_))
            ));
            assert!(matches!(
                survivors(10, 0.1, share),
                Err(PrivacyError::Corrupt(_))
            ));
        }
        assert_eq!(
            survivors(0, 0.0, 0.0),
            Err(PrivacyError::TooFewHonest {
                invited: 0,
                honest: 0
            })
        );
        assert_eq!(
            survivors(10, 0.5, 0.5),
            Err(PrivacyError::TooFewHonest {
                invited: 10,
                honest: 0
            })
        );
    }
}
