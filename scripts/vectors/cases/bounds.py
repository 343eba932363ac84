"""bounds.json: how likely graphs fail, and the smallest graphs that fail rarely enough, in exact arithmetic."""

import bounds

NEVER = None


def log2(probability):
    """None stands for what cannot happen: JSON has no infinity."""
    found = bounds.logarithm(probability)
    return NEVER if found == bounds.NEVER else found


def cases():
    # A plan of the table, too weak, too dense, hopeless, on the border of the complete graph, and complete.
    for clients, degree, threshold, corrupt, dropout in (
        (1000, 114, 41, "0.1", "0.3"),
        (1000, 40, 8, "0.1", "0.3"),
        (1000, 254, 90, "0.1", "0.3"),
        (1000, 254, 200, "0.1", "0.3"),
        (300, 46, 23, "0.1", "0.1"),
        (100, 98, 50, "0.2", "0.2"),
        (100, 40, 11, "0.1", "0.3"),
        (100, 99, 56, "0.1", "0.3"),
        (131, 20, 2, "0", "0.3"),
        (131, 20, 10, "0.1", "0"),
        (100000, 150, 55, "0.1", "0.3"),
        (1000000, 160, 59, "0.1", "0.3"),
        (50, 49, 28, "0.1", "0.3"),
        (50, 49, 5, "0.1", "0.3"),
    ):
        cohort = bounds.Cohort(clients, corrupt, dropout)
        is_complete = degree == clients - 1
        guard = 0 if is_complete else cohort.guard(degree, 40)
        yield {
            "kind": "achieved",
            "clients": clients,
            "degree": degree,
            "threshold": threshold,
            "corrupt": float(corrupt),
            "dropout": float(dropout),
            "secrecy": log2(cohort.secrecy(degree, threshold)),
            "connectivity": log2(cohort.connectivity(degree)),
            "correctness": log2(cohort.correctness(degree, threshold)),
            "guard": guard,
            "guarded": NEVER if is_complete else log2(cohort.guarded(degree, guard)),
        }
    for clients, corrupt, dropout, secrecy_bits, correctness_bits in (
        (10, "0.1", "0.3", 40, 40),
        (70, "0.1", "0.3", 40, 40),
        (99, "0.1", "0.3", 40, 40),
        (100, "0.1", "0.3", 40, 40),
        (300, "0.1", "0.1", 40, 40),
        (300, "0.2", "0.3", 40, 40),
        (1000, "0.1", "0.3", 40, 40),
        (1000, "0.2", "0.3", 40, 20),
        (1000, "0.05", "0.05", 60, 30),
        (2000, "0", "0.3", 40, 20),
        (2000, "0.1", "0", 40, 20),
        (20, "0.1", "0.6", 40, 40),
        (150, "0.3", "0.6", 40, 40),
    ):
        found = bounds.plan(clients, corrupt, dropout, secrecy_bits, correctness_bits)
        yield {
            "kind": "plan" if found else "bad_plan",
            "clients": clients,
            "corrupt": float(corrupt),
            "dropout": float(dropout),
            "secrecy_bits": secrecy_bits,
            "correctness_bits": correctness_bits,
            **({"degree": found[0], "threshold": found[1]} if found else {}),
        }
