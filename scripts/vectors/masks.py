"""Masks: who adds and who subtracts, from which key, and which keystream (module `mask` of crates/secagg)."""

import aes
import chacha
import hkdf
import rings
import x25519

AES, CHACHA = "aes-128-ctr", "chacha12"
GENERATORS = (AES, CHACHA)
KEY_BYTES = {AES: 16, CHACHA: 32}
# Keystreams are addressed by units of 64 bytes: four blocks of AES, one of ChaCha.
UNIT_BYTES = 64


def index(number):
    return number.to_bytes(4, "big")


def between(one, other):
    """The generator of a pair: AES only when both advertise it."""
    return AES if one == other == AES else CHACHA


def own_key(self_seed, digest, client, generator):
    info = b"chorus/v1/mask/own/" + generator.encode() + index(client)
    return generator, hkdf.derive(digest, self_seed, info, KEY_BYTES[generator])


def pair_key(secret, ours, theirs, digest, a, b):
    """The key that clients a (with this secret mask key) and b share; `ours`, `theirs`: what they advertise."""
    agreed = x25519.agree(secret, theirs["mask"])
    generator = between(ours["generator"], theirs["generator"])
    keys = sorted([ours["mask"], theirs["mask"]])
    info = b"chorus/v1/mask/pair/" + generator.encode() + index(min(a, b)) + index(max(a, b)) + b"".join(keys)
    return generator, hkdf.derive(digest, agreed, info, KEY_BYTES[generator])


def sign(own, other):
    """The lower index adds, the higher subtracts."""
    return 1 if own < other else -1


def keystream(key, first_unit, length):
    """`length` bytes from a unit on."""
    generator, secret = key
    units = -(-length // UNIT_BYTES)
    if generator == AES:
        stream = aes.counter_keystream(secret, 4 * first_unit, 4 * units)
    else:
        stream = chacha.chacha12_keystream(secret, first_unit, units)
    return stream[:length]


def lanes(key, first_unit, count, lane_bytes):
    """Little-endian elements of the keystream."""
    stream = keystream(key, first_unit, count * lane_bytes)
    parts = (stream[i : i + lane_bytes] for i in range(0, len(stream), lane_bytes))
    return [int.from_bytes(part, "little") for part in parts]


def upload(values, bits, masks):
    """The packed upload of `values`; `masks`: pairs of key and sign."""
    total = [*values, *[0] * rings.check_values(bits)]
    for key, factor in masks:
        mask = lanes(key, 0, len(total), 2 if bits == 16 else 4)
        total = [value + factor * lane for value, lane in zip(total, mask)]
    return rings.pack(bits, total)


def self_test():
    # The masks of two clients cancel, and so a sum of two uploads less the own masks is the sum of the values.
    secrets = [bytes([1] * 32), bytes([2] * 32)]
    digest = bytes(32)
    for generator in GENERATORS:
        publics = [{"mask": x25519.public(secret), "generator": generator} for secret in secrets]
        one = pair_key(secrets[0], publics[0], publics[1], digest, 0, 1)
        assert one == pair_key(secrets[1], publics[1], publics[0], digest, 1, 0)
        assert lanes(one, 1, 4, 4) == lanes(one, 0, 20, 4)[16:]
        for bits in rings.RINGS:
            count = 3 + rings.check_values(bits)
            uploads = [upload([5, 6, 7], bits, [(one, sign(a, 1 - a))]) for a in (0, 1)]
            columns = zip(*(rings.unpack(bits, data, count) for data in uploads))
            assert [sum(column) % (1 << bits) for column in columns] == [10, 12, 14] + [0] * (count - 3)
