"""shares.json: secrets split and put together, and shares that must be refused."""

import shamir
from inputs import octets


def coefficients(label, threshold):
    drawn = octets(f"coefficients {label}", 32 * (threshold - 1))
    return [drawn[i : i + 32] for i in range(0, len(drawn), 32)]


def shares_of(label, threshold, positions):
    secret, drawn = octets(f"secret {label}"), coefficients(label, threshold)
    return secret, [{"x": x, "y": shamir.share(secret, drawn, x)} for x in positions]


def cases():
    for threshold, count in ((2, 2), (2, 5), (3, 7), (41, 114), (255, 255)):
        label = f"{threshold} of {count}"
        secret, shares = shares_of(label, threshold, range(1, count + 1))
        yield {
            "kind": "split",
            "secret": secret,
            "threshold": threshold,
            "coefficients": coefficients(label, threshold),
            "shares": [share["y"] for share in shares],
        }
    # A leading coefficient of zero is as good as any other.
    secret = octets("flat")
    yield {
        "kind": "split",
        "secret": secret,
        "threshold": 3,
        "coefficients": [bytes(32), bytes(32)],
        "shares": [secret] * 4,
    }
    for threshold, positions in ((2, (9, 4)), (3, (255, 1, 128)), (5, (7, 3, 200, 17, 99, 4, 5))):
        secret, shares = shares_of(f"combine {threshold}", threshold, positions)
        found = shamir.combine([(share["x"], share["y"]) for share in shares[:threshold]])
        assert found == secret
        yield {"kind": "combine", "threshold": threshold, "shares": shares, "secret": secret}

    _, good = shares_of("bad", 3, (1, 2, 3, 4))
    at_zero = {"x": 0, "y": octets("at zero")}
    yield {"kind": "bad_zero_position", "threshold": 3, "shares": [at_zero, *good]}
    yield {"kind": "bad_zero_position", "threshold": 3, "shares": [*good, at_zero]}
    twice = {"x": 2, "y": octets("another value")}
    yield {"kind": "bad_duplicate_position", "x": 2, "threshold": 3, "shares": [good[1], *good]}
    yield {"kind": "bad_duplicate_position", "x": 2, "threshold": 3, "shares": [*good, twice]}
    for given in (0, 1, 2):
        yield {"kind": "bad_too_few", "threshold": 3, "shares": good[:given]}
    for threshold in (0, 1):
        yield {"kind": "bad_threshold", "threshold": threshold, "shares": good}
    for threshold, count in ((0, 5), (1, 5), (6, 5), (2, 1), (2, 256), (0, 0)):
        yield {"kind": "bad_split", "threshold": threshold, "count": count}
