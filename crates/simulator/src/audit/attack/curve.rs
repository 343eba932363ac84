//! How well scores tell two groups apart.

/// Area under the curve of true against false positives: how often a random positive scores above a random negative, ties
/// counting half (Mann, Whitney 1947). One half where a group is empty.
pub(super) fn auc(positive: &[f64], negative: &[f64]) -> f64 {
    if positive.is_empty() || negative.is_empty() {
        return 0.5;
    }
    let mut negative = negative.to_vec();
    negative.sort_by(f64::total_cmp);
    let wins = positive.iter().map(|score| {
        let below = negative.partition_point(|other| other < score);
        let not_above = negative.partition_point(|other| other <= score);
        (below + not_above) as f64 / 2.0
    });
    wins.sum::<f64>() / (positive.len() as f64 * negative.len() as f64)
}

/// Share of the positives above the threshold that at most `fpr` of the negatives pass; nothing where that is less than one
/// negative.
pub(super) fn tpr(positive: &[f64], negative: &[f64], fpr: f64) -> Option<f64> {
    let mut negative = negative.to_vec();
    negative.sort_by(|left, right| right.total_cmp(left));
    let allowed = (fpr * negative.len() as f64 + 1e-9).floor() as usize;
    if allowed == 0 {
        return None;
    }
    let threshold = negative.get(allowed).copied().unwrap_or(f64::NEG_INFINITY);
    let above = positive.iter().filter(|score| **score > threshold);
    Some(above.count() as f64 / positive.len().max(1) as f64)
}

/// The largest deviation that a number between 0 and 1 can have (Popoviciu 1935): that of an area nothing is known of.
const LARGEST: f64 = 0.5;

/// Standard error of an area over so many independent positives and negatives: Hanley, McNeil 1982, equations 1 and 2.
pub(super) fn error(auc: f64, positive: usize, negative: usize) -> f64 {
    if positive == 0 || negative == 0 {
        return LARGEST;
    }
    let (two_positive, two_negative) = (auc / (2.0 - auc), 2.0 * auc * auc / (1.0 + auc));
    let variance = auc * (1.0 - auc)
        + (positive as f64 - 1.0) * (two_positive - auc * auc)
        + (negative as f64 - 1.0) * (two_negative - auc * auc);
    (variance.max(0.0) / (positive as f64 * negative as f64)).sqrt()
}

/// Mean of areas or rates, and its standard error. One value alone says nothing of how much it varies.
pub(super) fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    if values.len() < 2 {
        // A sum of nothing is -0.
        return (mean + 0.0, LARGEST);
    }
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (mean, (squares.sum::<f64>() / count / (count - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_and_rates_of_small_groups() {
        assert_eq!(auc(&[3.0, 4.0], &[1.0, 2.0]), 1.0);
        assert_eq!(auc(&[1.0], &[1.0, 0.0, 2.0, 3.0]), 0.375);
        assert_eq!(auc(&[], &[1.0]), 0.5);
        let negative: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(tpr(&[98.0, 98.5, 99.5, 3.0], &negative, 0.01), Some(0.5));
        assert_eq!(tpr(&[98.5, 99.5], &negative, 0.001), None);
        let (mean, error_of_mean) = mean(&[1.0, 3.0]);
        assert_eq!((mean, error_of_mean), (2.0, 1.0));
        assert_eq!(super::mean(&[0.7]), (0.7, 0.5));
        assert_eq!(format!("{:.3}", super::mean(&[]).0), "0.000");
        assert_eq!(error(0.5, 0, 9), 0.5);
        // Hanley, McNeil 1982, table 1: area 0.893, 51 and 58 cases, standard error 0.032.
        assert!((error(0.893, 51, 58) - 0.032).abs() < 0.001);
    }
}
