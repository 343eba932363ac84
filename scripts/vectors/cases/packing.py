"""packing.json: the shape of uploads, values as bytes, and bytes that are no upload."""

import rings
from inputs import values


def cases():
    for bits in rings.RINGS:
        lengths = (0, 1, 2, 3, 5, 1000, 1_000_000, 10_000_000)
        yield {
            "kind": "shape",
            "ring": bits,
            "check_values": rings.check_values(bits),
            "uploads": [{"length": length, "bytes": rings.upload_bytes(bits, length)} for length in lengths],
        }
        for length in (0, 1, 2, 3, 10, 31):
            words = [value % (1 << bits) for value in values(f"packing {bits}", length)]
            yield {"kind": "packed", "ring": bits, "values": words, "bytes": packed(bits, words)}
        words = [value % (1 << bits) for value in values(f"bad packing {bits}", 4)]
        good = packed(bits, words)
        for wrong in (good[:-1], good + b"\0", b""):
            yield {"kind": "bad_length", "ring": bits, "length": 4, "bytes": wrong}
        for check in {0, rings.check_values(bits) - 1}:
            spoiled = [0] * rings.check_values(bits)
            spoiled[check] = 1 << (bits - 1)
            yield {"kind": "bad_check_values", "ring": bits, "length": 4, "bytes": rings.pack(bits, words + spoiled)}
    # Only an odd number of 20-bit values leaves bits over: four values and thirteen check values do.
    for bit in range(4, 8):
        good = bytearray(packed(20, [1, 2, 3, 4]))
        good[-1] |= 1 << bit
        yield {"kind": "bad_spare_bits", "ring": 20, "length": 4, "bytes": bytes(good)}


def packed(bits, words):
    """With check values as they are after unmasking: zero."""
    return rings.pack(bits, words + [0] * rings.check_values(bits))
