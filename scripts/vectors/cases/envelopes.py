"""envelopes.json: sealed shares, and what must not open."""

import envelopes
import x25519
from inputs import keys, number, octets


def cases():
    digest = octets("envelope digest")
    sender, receiver = keys("sender", "aes-128-ctr"), keys("receiver", "chacha12")
    pair = octets("share of a mask key"), octets("share of a self seed")
    base = {
        "digest": digest,
        "from": 3,
        "to": 1000,
        "sender_secret": sender["cipher_secret"],
        "receiver_secret": receiver["cipher_secret"],
    }
    for start, to in ((3, 1000), (1000, 3), (0, 2**32 - 1)):
        sealed = envelopes.seal(
            sender["cipher_secret"], sender["cipher"], receiver["cipher"], digest, start, to, pair
        )
        route = {"from": start, "to": to}
        yield {"kind": "sealed", **base, **route, "mask_key": pair[0], "self_seed": pair[1], "sealed": sealed}

    sealed = envelopes.seal(sender["cipher_secret"], sender["cipher"], receiver["cipher"], digest, 3, 1000, pair)
    for bit in sorted({0, 7, 255, 256, 511, 512, 639} | {number(f"flip {i}", 640) for i in range(9)}):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << (bit % 8)
        yield {"kind": "bad_flipped", **base, "bit": bit, "sealed": bytes(flipped)}
    for start, to in ((1000, 3), (4, 1000), (3, 1001), (3, 3), (0, 0)):
        yield {"kind": "bad_route", **base, "from": start, "to": to, "sealed": sealed}
    yield {"kind": "bad_round", **base, "digest": octets("another round"), "sealed": sealed}
    yield {"kind": "bad_keys", **base, "sender_secret": octets("somebody else"), "sealed": sealed}
    for wrong in (sealed[:-1], sealed + b"\0", sealed[:64], b""):
        yield {"kind": "bad_length", **base, "sealed": wrong}
    for point in x25519.LOW_ORDER:
        yield {"kind": "bad_low_order", **base, "sender_public": point, "sealed": sealed}
