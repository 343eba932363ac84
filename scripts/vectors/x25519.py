"""X25519, written from RFC 7748, section 5."""

P = (1 << 255) - 19
BASE = (9).to_bytes(32, "little")

# Points of order 1, 2, 4 and 8, on the curve and on its twist, canonical and not (cr.yp.to/ecdh.html).
LOW_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


class LowOrder(Exception):
    """The shared secret is zero: the other side's key is a point of low order (RFC 7748, 6.1)."""


def multiply(scalar, point):
    """The function X25519 on two strings of 32 bytes; a result of zero is given back like any other."""
    clamped = bytearray(scalar)
    clamped[0] &= 248
    clamped[31] &= 127
    clamped[31] |= 64
    k = int.from_bytes(clamped, "little")
    u = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x1, x2, z2, x3, z3, swap = u % P, 1, 0, u % P, 1, 0
    for bit in reversed(range(255)):
        now = (k >> bit) & 1
        if swap ^ now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b = (x2 + z2) % P, (x2 - z2) % P
        aa, bb = a * a % P, b * b % P
        e = (aa - bb) % P
        da, cb = (x3 - z3) * a % P, (x3 + z3) * b % P
        x3, z3 = pow(da + cb, 2, P), x1 * pow(da - cb, 2, P) % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def public(secret):
    return multiply(secret, BASE)


def agree(secret, point):
    """The shared secret, unless it is zero."""
    shared = multiply(secret, point)
    if shared == bytes(32):
        raise LowOrder
    return shared


def is_on_curve(point):
    """Whether u belongs to a point of the curve itself, not of its twist: v^2 = u^3 + 486662 u^2 + u is a square."""
    u = (int.from_bytes(point, "little") & ((1 << 255) - 1)) % P
    return pow(u**3 + 486662 * u**2 + u, (P - 1) // 2, P) in (0, 1)


def self_test():
    for scalar, point, expected in (
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ):
        found = multiply(bytes.fromhex(scalar), bytes.fromhex(point))
        assert found.hex() == expected, "RFC 7748, 5.2"
    alice = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert agree(alice, public(bob)).hex() == shared, "RFC 7748, 6.1"
    assert agree(bob, public(alice)).hex() == shared, "RFC 7748, 6.1"
    for point in LOW_ORDER:
        assert multiply(alice, bytes.fromhex(point)) == bytes(32), point
    assert is_on_curve(public(alice)) and not is_on_curve((2).to_bytes(32, "little"))
