"""ChaCha with 20 and 12 rounds, Poly1305 and their AEAD, written from RFC 8439 and from D. J. Bernstein, "ChaCha, a
variant of Salsa20", 2008."""

import struct

CONSTANTS = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)


def _rotate(word, bits):
    return ((word << bits) | (word >> (32 - bits))) & 0xFFFFFFFF


def _quarter_round(state, a, b, c, d):
    for one, other, into, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[one] = (state[one] + state[other]) & 0xFFFFFFFF
        state[into] = _rotate(state[into] ^ state[one], bits)


def block(key, last_words, rounds):
    """One block of 64 bytes. `last_words`: the four words of counter and nonce (RFC 8439, 2.3)."""
    initial = [*CONSTANTS, *struct.unpack("<8I", key), *last_words]
    state = list(initial)
    for _ in range(rounds // 2):
        for column in range(4):
            _quarter_round(state, column, column + 4, column + 8, column + 12)
        _quarter_round(state, 0, 5, 10, 15)
        _quarter_round(state, 1, 6, 11, 12)
        _quarter_round(state, 2, 7, 8, 13)
        _quarter_round(state, 3, 4, 9, 14)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, initial)))


def chacha12_keystream(key, first_block, blocks):
    """ChaCha12 as Bernstein lays it out: a counter of 64 bits, a nonce of 64 bits, here zero."""
    numbers = range(first_block, first_block + blocks)
    words = ((number & 0xFFFFFFFF, (number >> 32) & 0xFFFFFFFF, 0, 0) for number in numbers)
    return b"".join(block(key, last, 12) for last in words)


def _chacha20(key, nonce, counter, text):
    """RFC 8439, 2.4."""
    words = struct.unpack("<3I", nonce)
    stream = b""
    while len(stream) < len(text):
        stream += block(key, (counter, *words), 20)
        counter += 1
    return bytes(a ^ b for a, b in zip(text, stream))


def poly1305(key, message):
    """RFC 8439, 2.5."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    s = int.from_bytes(key[16:], "little")
    total = 0
    for start in range(0, len(message), 16):
        part = message[start : start + 16] + b"\x01"
        total = (total + int.from_bytes(part, "little")) * r % ((1 << 130) - 5)
    return ((total + s) % (1 << 128)).to_bytes(16, "little")


def _padded(data):
    return data + bytes(-len(data) % 16)


def seal(key, nonce, associated, text):
    """AEAD_CHACHA20_POLY1305: the encrypted text, then the tag (RFC 8439, 2.8)."""
    one_time = block(key, (0, *struct.unpack("<3I", nonce)), 20)[:32]
    cipher = _chacha20(key, nonce, 1, text)
    lengths = struct.pack("<QQ", len(associated), len(cipher))
    return cipher + poly1305(one_time, _padded(associated) + _padded(cipher) + lengths)


def self_test():
    key = bytes(range(32))
    words = (1, *struct.unpack("<3I", bytes.fromhex("000000090000004a00000000")))
    expected = (
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    )
    assert block(key, words, 20).hex() == expected, "RFC 8439, 2.3.2"
    # draft-strombergson-chacha-test-vectors-01, TC1: zero key, zero nonce, 12 rounds.
    expected = (
        "9bf49a6a0755f953811fce125f2683d50429c3bb49e074147e0089a52eae155f"
        "0564f879d27ae3c02ce82834acfa8c793a629f2ca0de6919610be82f411326be"
    )
    assert chacha12_keystream(bytes(32), 0, 1).hex() == expected, "test vectors of ChaCha12"
    key = bytes.fromhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
    tag = poly1305(key, b"Cryptographic Forum Research Group")
    assert tag.hex() == "a8061dc1305136c6c22b8baf0c0127a9", "RFC 8439, 2.5.2"
    text = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would "
        b"be it."
    )
    key = bytes(range(0x80, 0xA0))
    nonce = bytes.fromhex("070000004041424344454647")
    sealed = seal(key, nonce, bytes.fromhex("50515253c0c1c2c3c4c5c6c7"), text)
    assert sealed[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2", "RFC 8439, 2.8.2"
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691", "RFC 8439, 2.8.2"
