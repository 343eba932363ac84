//! Rows of `B` blocks of sixteen numbers: loops of a known length, so that the compiler fills vector registers with them,
//! and one order of additions, so that every machine gives the same bits.

/// Numbers of a block.
pub(super) const LANES: usize = 16;

/// A row, padded with zeros, which change no dot product.
pub(super) type Row<const B: usize> = [[f32; LANES]; B];

/// The row of zeros.
pub(super) const fn zeros<const B: usize>() -> Row<B> {
    [[0.0; LANES]; B]
}

/// The dot product.
#[inline(always)]
pub(super) fn dot<const B: usize>(left: &Row<B>, right: &Row<B>) -> f32 {
    let mut sums = [0.0; LANES];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}

/// Adds `factor` times `source`.
#[inline(always)]
pub(super) fn add<const B: usize>(target: &mut Row<B>, factor: f32, source: &Row<B>) {
    for (target, source) in target.iter_mut().zip(source) {
        for lane in 0..LANES {
            target[lane] += factor * source[lane];
        }
    }
}

/// `left - right`.
#[inline(always)]
pub(super) fn minus<const B: usize>(left: &Row<B>, right: &Row<B>) -> Row<B> {
    let mut row = *left;
    add(&mut row, -1.0, right);
    row
}

/// 1 / (1 + e^-x): range reduction and a polynomial of degree six, without branches; error below 2e-7, relative error
/// below 1e-5 where the result is larger than 1e-37.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// e^x for x of up to 87, and that of 87 beyond.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to a whole number.
    const ROUNDING: f32 = 12_582_912.0;
    let twos = x.clamp(-87.0, 87.0) * std::f32::consts::LOG2_E;
    let whole = (twos + ROUNDING) - ROUNDING;
    let rest = twos - whole;
    let power = 1.0
        + rest
            * (std::f32::consts::LN_2
                + rest
                    * (0.240_226_5
                        + rest
                            * (0.055_504_11
                                + rest
                                    * (0.009_618_129
                                        + rest * (0.001_333_356 + rest * 0.000_154_035)))));
    power * f32::from_bits((((whole as i32) + 127) << 23) as u32)
}

/// The columns of a row after its last column is filled with what lies at `tail`.
pub(super) fn fill<const B: usize>(row: &mut Row<B>, columns: &[f32], tail: Option<f32>) {
    let values = columns.iter().copied().chain(tail);
    row.as_flattened_mut()
        .iter_mut()
        .zip(values)
        .for_each(|(cell, value)| *cell = value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoid_is_that_of_the_library() {
        for step in -9_000..9_000 {
            let x = step as f32 / 100.0;
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            let found = f64::from(sigmoid(x));
            let error = (found - exact).abs();
            assert!(
                error <= 2e-7 && error <= 1e-5 * exact + 1e-37,
                "{x}: {found}"
            );
        }
    }

    #[test]
    fn padding_changes_nothing() {
        let (mut left, mut right) = (zeros::<2>(), zeros::<2>());
        let (a, b): (Vec<f32>, Vec<f32>) = (0..19).map(|k| (k as f32, 2.0 - k as f32)).unzip();
        fill(&mut left, &a[..18], Some(a[18]));
        fill(&mut right, &b[..18], Some(b[18]));
        let exact: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
        assert_eq!(dot(&left, &right), exact);
        add(&mut left, 2.0, &right);
        assert_eq!(left.as_flattened()[18], a[18] + 2.0 * b[18]);
        assert!(left.as_flattened()[19..].iter().all(|cell| *cell == 0.0));
        assert_eq!(minus(&left, &left), zeros::<2>());
    }
}
