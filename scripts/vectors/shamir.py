"""Shamir's secret sharing (CACM 1979) over GF(2^8), byte by byte, modulo z^8 + z^4 + z^3 + z^2 + 1 (0x11d)."""


def multiply(a, b):
    product = 0
    for bit in reversed(range(8)):
        product <<= 1
        if product & 0x100:
            product ^= 0x11D
        if (b >> bit) & 1:
            product ^= a
    return product


def invert(a):
    """a^254: the field has 255 elements that are not zero."""
    power = 1
    for _ in range(254):
        power = multiply(power, a)
    return power


def share(secret, coefficients, x):
    """The share at x. `coefficients`: of every power, the highest first, each as long as the secret; the secret itself is
    the coefficient of the power zero."""
    value = bytes(len(secret))
    for coefficient in (*coefficients, secret):
        value = bytes(multiply(v, x) ^ c for v, c in zip(value, coefficient))
    return value


def combine(shares):
    """The secret, by Lagrange interpolation at zero, from all the (x, share) given."""
    secret = bytes(len(shares[0][1]))
    for x, value in shares:
        weight = 1
        for other, _ in shares:
            if other != x:
                # (0 - other) / (x - other); minus is plus.
                weight = multiply(weight, multiply(other, invert(x ^ other)))
        secret = bytes(s ^ multiply(v, weight) for s, v in zip(secret, value))
    return secret


def self_test():
    # 2 generates the field: 0x11d is primitive, while AES's 0x11b is not.
    power, seen = 1, set()
    for _ in range(255):
        seen.add(power)
        power = multiply(power, 2)
    assert len(seen) == 255 and power == 1
    assert multiply(0x80, 2) == 0x1D
    for a in range(1, 256):
        assert multiply(a, invert(a)) == 1
        assert multiply(a, 0x57) == multiply(0x57, a)
    # By hand: s + 3 x at x = 1 and x = 2, with s = 7.
    assert (share(b"\x07", [b"\x03"], 1), share(b"\x07", [b"\x03"], 2)) == (b"\x04", b"\x01")
    assert combine([(1, b"\x04"), (2, b"\x01")]) == b"\x07"
