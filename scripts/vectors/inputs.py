"""Inputs of the cases: arbitrary, but the same on every run."""

import hashlib

import x25519


def octets(label, length=32):
    """`length` bytes that depend on nothing but the label."""
    stream, block = b"", 0
    while len(stream) < length:
        stream += hashlib.sha256(f"chorus vectors {label} {block}".encode()).digest()
        block += 1
    return stream[:length]


def number(label, bound):
    return int.from_bytes(octets(label, 16), "little") % bound


def values(label, count):
    """Words modulo 2^32, the smallest and the largest among them."""
    drawn = octets(label, 4 * count)
    words = [int.from_bytes(drawn[i : i + 4], "little") for i in range(0, len(drawn), 4)]
    return ([0, 2**32 - 1, 1] + words)[:count]


def keys(label, generator):
    """One client's keys of a round: secret and public halves, as bytes, and the generator."""
    cipher, mask = octets(f"{label} cipher"), octets(f"{label} mask")
    return {
        "cipher_secret": cipher,
        "mask_secret": mask,
        "cipher": x25519.public(cipher),
        "mask": x25519.public(mask),
        "generator": generator,
    }


def public(keys):
    return {name: keys[name] for name in ("cipher", "mask", "generator")}
