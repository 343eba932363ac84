"""keys.json: X25519 keys, and those that nobody may agree with."""

import x25519
from inputs import keys, octets


def cases():
    for label in ("first", "second"):
        one, other = keys(f"agree {label} one", "chacha12"), keys(f"agree {label} other", "chacha12")
        yield {
            "kind": "public",
            "secret": one["mask_secret"],
            "public": one["mask"],
            "other_public": other["mask"],
        }
    for point in x25519.LOW_ORDER:
        yield {"kind": "bad_low_order", "point": point, "secret": octets("low order")}
