use std::cmp::Ordering;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A natural number of any size. Only the rare comparisons that 64 bits do not decide are made with it.
#[derive(Clone, Debug, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(super) struct Natural {
    /// Base 2^64, the lowest first, the highest not zero.
    limbs: Vec<u64>,
}

impl Natural {
    pub(super) fn new(value: u64) -> Self {
        Self { limbs: vec![value] }.trimmed()
    }

    fn trimmed(mut self) -> Self {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
        self
    }

    pub(super) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// `self` x `factor`.
    pub(super) fn times(mut self, factor: u64) -> Self {
        let mut carry = 0;
        for limb in &mut self.limbs {
            let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
            // The low and the high half: both casts keep what they are meant to keep.
            (*limb, carry) = (product as u64, (product >> 64) as u64);
        }
        self.limbs.push(carry);
        self.trimmed()
    }

    /// floor(`self` / `divisor`), for a divisor that is not zero.
    pub(super) fn over(mut self, divisor: u64) -> Self {
        let (divisor, mut rest) = (u128::from(divisor.max(1)), 0u128);
        for limb in self.limbs.iter_mut().rev() {
            let part = rest << 64 | u128::from(*limb);
            // rest < divisor, so the quotient is below 2^64.
            *limb = (part / divisor) as u64;
            rest = part % divisor;
        }
        self.trimmed()
    }

    pub(super) fn plus(mut self, other: &Self) -> Self {
        let length = self.limbs.len().max(other.limbs.len()) + 1;
        self.limbs.resize(length, 0);
        let mut carry = false;
        let others = other.limbs.iter().copied().chain(std::iter::repeat(0));
        for (limb, other) in self.limbs.iter_mut().zip(others) {
            let (sum, first) = limb.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first || second);
        }
        self.trimmed()
    }

    pub(super) fn by(&self, other: &Self) -> Self {
        let mut product = Self::new(0);
        for limb in other.limbs.iter().rev() {
            product = product.shifted(64).plus(&self.clone().times(*limb));
        }
        product
    }

    /// `self` x 2^`bits`.
    pub(super) fn shifted(mut self, bits: usize) -> Self {
        self = self.times(1 << (bits % 64));
        let below = bits / 64;
        self.limbs.splice(0..0, std::iter::repeat_n(0, below));
        self.trimmed()
    }

    /// The value, or the largest u128 when it is larger.
    pub(super) fn to_u128(&self) -> u128 {
        match self.limbs.as_slice() {
            [] => 0,
            [low] => u128::from(*low),
            [low, high] => u128::from(*high) << 64 | u128::from(*low),
            _ => u128::MAX,
        }
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Self) -> Ordering {
        let lengths = self.limbs.len().cmp(&other.limbs.len());
        lengths.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(value: u128) -> Natural {
        Natural::new((value >> 64) as u64)
            .shifted(64)
            .plus(&Natural::new(value as u64))
    }

    proptest! {
        #[test]
        fn as_the_machine_computes(a in any::<u64>(), b in any::<u64>(), c in any::<u128>(), bits in 0usize..64) {
            let (x, y) = (u128::from(a), u128::from(b));
            prop_assert_eq!(of(x * y), of(x).times(b));
            prop_assert_eq!(of(x * y), of(x).by(&of(y)));
            prop_assert_eq!(of(x + y), of(x).plus(&of(y)));
            prop_assert_eq!(of(x << bits), of(x).shifted(bits));
            prop_assert_eq!(of(c).to_u128(), c);
            prop_assert_eq!(of(c).cmp(&of(x)), c.cmp(&x));
            if b != 0 {
                prop_assert_eq!(of(c / y), of(c).over(b));
                // Wider than the machine: (c b^3 + rest) / b^3.
                let wide = of(c).times(b).times(b).times(b);
                prop_assert_eq!(wide.clone().over(b).over(b).over(b), of(c));
                prop_assert_eq!(wide, of(c).by(&of(y).times(b).times(b)));
            }
        }
    }
}
