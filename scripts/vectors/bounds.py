"""How likely a graph fails, in exact rational numbers (first page of crates/secagg, "The bounds")."""

from fractions import Fraction
from math import ceil, comb, floor, inf, log2

NEVER = -inf


class Cohort:
    """n clients, c of them corrupt, d lost. Fractions are given as text, so that 0.1 is a tenth."""

    def __init__(self, clients, corrupt, dropout):
        self.n = clients
        self.c = ceil(Fraction(corrupt) * clients)
        self.d = floor(Fraction(dropout) * clients)

    def secrecy(self, k, t):
        return min(Fraction(1), self.n * at_least(self.n - 1, self.c, k, t))

    def connectivity(self, k):
        if k >= self.n - 1:
            return Fraction(0)
        return min(Fraction(1), Fraction(comb(self.n, 2) * comb(min(self.c + self.d, self.n), k), comb(self.n, k)))

    def correctness(self, k, t):
        alive = self.n - self.d
        of_survivors = alive * (1 - at_least(self.n - 1, alive - 1, k, t))
        return min(Fraction(1), of_survivors + self.d * (1 - at_least(self.n - 1, alive, k, t)))

    def guard(self, k, bits):
        """The smallest s that two runs of k/2 places have corrupt clients with probability 2^-bits at most."""
        pairs = comb(self.n, 2)
        return next(s for s in range(1, k + 2) if pairs * at_least(self.n, self.c, k, s) <= Fraction(1, 2**bits))

    def guarded(self, k, s):
        """Two runs keep fewer than s survivors, though nobody chose who was lost."""
        return min(Fraction(1), comb(self.n, 2) * (1 - at_least(self.n, self.n - self.d, k, s)))


def at_least(population, marked, drawn, t):
    """P[Hyp >= t], exactly."""
    ways = sum(comb(marked, x) * comb(population - marked, drawn - x) for x in range(t, min(drawn, marked) + 1) if drawn - x <= population - marked)
    return Fraction(ways, comb(population, drawn))


def plan(clients, corrupt, dropout, secrecy_bits, correctness_bits):
    """Degree and threshold, or None."""
    cohort = Cohort(clients, corrupt, dropout)
    if clients < 100:
        threshold = (clients + cohort.c) // 2 + 1
        return (clients - 1, threshold) if threshold <= clients - 1 - cohort.d else None
    for k in range(2, min(254, clients - 2) + 1, 2):
        left = Fraction(1, 2**secrecy_bits) - cohort.connectivity(k)
        t = next((t for t in range(2, k + 1) if cohort.secrecy(k, t) <= left), None)
        if not t:
            continue
        lost = cohort.correctness(k, t)
        unguarded = cohort.guarded(k, cohort.guard(k, secrecy_bits))
        enough = min(correctness_bits, 20)
        if lost <= Fraction(1, 2**correctness_bits) and lost + unguarded <= Fraction(1, 2**enough):
            return k, t
    return None


def logarithm(probability):
    """To base 2, of a rational number however small."""
    if probability == 0:
        return NEVER
    shift = probability.denominator.bit_length() - probability.numerator.bit_length() + 100
    return log2((probability.numerator << max(shift, 0)) // probability.denominator) - max(shift, 0)


def self_test():
    # By hand: population 20, 8 marked, 10 drawn.
    assert at_least(20, 8, 10, 5) == Fraction(56 * 792 + 28 * 495 + 8 * 220 + 66, 184756)
    assert at_least(9, 3, 4, 0) == 1 and at_least(9, 3, 4, 4) == 0
    assert logarithm(Fraction(1, 2**1000)) == -1000 and abs(logarithm(Fraction(1, 3)) + log2(3)) < 1e-12
