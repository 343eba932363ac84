//! Stand-in until chorus-privacy has these.
use chorus_privacy::gaussian;

pub fn distribution(x: f64) -> f64 {
    let t = x.abs();
    let density = (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let step = 0.125;
    let decay = 1.0 / (1.0 + t);
    let mills: f64 = (-320..=34)
        .map(|index| decay * (step * f64::from(index)).exp())
        .map(|s: f64| s * (-t * s - s * s / 2.0).exp())
        .sum::<f64>()
        * step;
    if x < 0.0 {
        density * mills
    } else {
        1.0 - density * mills
    }
}

pub fn quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if distribution(middle) < p {
            low = middle
        } else {
            high = middle
        }
    }
    (low + high) / 2.0
}

fn ln_factorials(n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n + 1];
    for i in 1..=n {
        out[i] = out[i - 1] + (i as f64).ln();
    }
    out
}

fn binomial(n: usize, p: f64) -> Vec<f64> {
    let f = ln_factorials(n);
    (0..=n)
        .map(|k| (f[n] - f[k] - f[n - k] + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p()).exp())
        .collect()
}

pub fn one_run(m: usize, r: usize, v: usize, significance: f64, delta: f64) -> f64 {
    let p_value = |epsilon: f64| {
        let q = 1.0 / (1.0 + (-epsilon).exp());
        let pmf = binomial(r, q);
        let beta: f64 = pmf[v..].iter().sum();
        let (mut alpha, mut sum) = (0.0f64, 0.0);
        for i in 1..=v {
            sum += pmf[v - i];
            alpha = alpha.max(sum / i as f64);
        }
        beta + alpha * delta * 2.0 * m as f64
    };
    if r == 0 || p_value(0.0) > significance {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 30.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if p_value(middle) < significance {
            low = middle
        } else {
            high = middle
        }
    }
    low
}

pub fn clopper_pearson(
    tp: usize,
    n_in: usize,
    fp: usize,
    n_out: usize,
    confidence: f64,
    delta: f64,
) -> f64 {
    let tail = (1.0 - confidence) / 2.0;
    let bound = |k: usize, n: usize, upper: bool| {
        let f = ln_factorials(n);
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let p: f64 = (low + high) / 2.0;
            let pmf = |j: usize| {
                (f[n] - f[j] - f[n - j] + j as f64 * p.ln() + (n - j) as f64 * (-p).ln_1p()).exp()
            };
            let mass: f64 = if upper {
                (0..=k).map(pmf).sum()
            } else {
                (k..=n).map(pmf).sum()
            };
            if (upper && mass > tail) || (!upper && mass < tail) {
                low = p
            } else {
                high = p
            }
        }
        (low + high) / 2.0
    };
    let lower = if tp == 0 { 0.0 } else { bound(tp, n_in, false) };
    let upper = if fp == n_out {
        1.0
    } else {
        bound(fp, n_out, true)
    };
    ((lower - delta) / upper).ln().max(0.0)
}

pub fn one_shot(null: (f64, f64), with: (f64, f64), delta: f64) -> f64 {
    gaussian::epsilon((with.0 - null.0).abs() / null.1, delta).unwrap_or(0.0)
}

pub fn auc_ceiling(mu: f64) -> f64 {
    distribution(mu / 2f64.sqrt())
}

pub fn tpr_ceiling(mu: f64, fpr: f64) -> f64 {
    distribution(quantile(fpr) + mu)
}
