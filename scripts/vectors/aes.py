"""AES-128 (FIPS 197) and its counter mode (NIST SP 800-38A, 6.5), encryption only, written from the standard's text."""


def _times_two(byte):
    """Multiplication by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, 4.2.1)."""
    doubled = byte << 1
    return doubled ^ 0x11B if doubled & 0x100 else doubled


def _multiply(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = _times_two(a)
        b >>= 1
    return product


def _substitution(byte):
    """S-box: the inverse in the field, then the affine map (FIPS 197, 5.1.1)."""
    inverse = next((other for other in range(256) if _multiply(byte, other) == 1), 0)
    result = 0x63
    for turn in range(5):
        result ^= ((inverse << turn) | (inverse >> (8 - turn))) & 0xFF
    return result


SBOX = bytes(_substitution(byte) for byte in range(256))


def expand_key(key):
    """The 11 round keys of 16 bytes (FIPS 197, 5.2)."""
    assert len(key) == 16
    words = [key[i : i + 4] for i in range(0, 16, 4)]
    constant = 1
    for i in range(4, 44):
        word = words[i - 1]
        if i % 4 == 0:
            word = bytes(SBOX[byte] for byte in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _times_two(constant)
        words.append(bytes(a ^ b for a, b in zip(words[i - 4], word)))
    return [b"".join(words[i : i + 4]) for i in range(0, 44, 4)]


def _mix_column(column):
    a, b, c, d = column
    return [
        _times_two(a) ^ _times_two(b) ^ b ^ c ^ d,
        a ^ _times_two(b) ^ _times_two(c) ^ c ^ d,
        a ^ b ^ _times_two(c) ^ _times_two(d) ^ d,
        _times_two(a) ^ a ^ b ^ c ^ _times_two(d),
    ]


def encrypt_block(round_keys, block):
    """One block of 16 bytes (FIPS 197, 5.1). The state is kept as columns of four bytes, as the block has them."""
    state = [a ^ b for a, b in zip(block, round_keys[0])]
    for number, round_key in enumerate(round_keys[1:], start=1):
        state = [SBOX[byte] for byte in state]
        # ShiftRows: row r of column c comes from column c + r.
        state = [state[(4 * (column + row) + row) % 16] for column in range(4) for row in range(4)]
        if number < 10:
            columns = [_mix_column(state[4 * column : 4 * column + 4]) for column in range(4)]
            state = [byte for column in columns for byte in column]
        state = [a ^ b for a, b in zip(state, round_key)]
    return bytes(state)


def counter_keystream(key, first_block, blocks):
    """AES-128 of the 128-bit big-endian numbers from `first_block` on."""
    round_keys = expand_key(key)
    numbers = range(first_block, first_block + blocks)
    return b"".join(encrypt_block(round_keys, number.to_bytes(16, "big")) for number in numbers)


def self_test():
    assert SBOX[0x53] == 0xED, "FIPS 197, 5.1.1"
    key = bytes(range(16))
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    cipher = encrypt_block(expand_key(key), block)
    assert cipher.hex() == "69c4e0d86a7b0430d8cdb78070b4c55a", "FIPS 197, C.1"
    # SP 800-38A, F.5.1: the keystream is what the standard calls the output blocks.
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    first = int("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", 16)
    expected = (
        "ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae"
        "6a2cc3787889374fbeb4c81b17ba6c44e89c399ff0f198c6d40a31db156cabfe"
    )
    assert counter_keystream(key, first, 4).hex() == expected, "SP 800-38A, F.5.1"
