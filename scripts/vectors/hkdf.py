"""HKDF-SHA256, written from RFC 5869, over the standard library's HMAC."""

import hashlib
import hmac


def derive(salt, secret, info, length):
    """`length` bytes from a secret. An absent salt is 32 zero bytes (RFC 5869, 2.2)."""
    extracted = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    output, block, counter = b"", b"", 1
    while len(output) < length:
        block = hmac.new(extracted, block + info + bytes([counter]), hashlib.sha256).digest()
        output += block
        counter += 1
    return output[:length]


def self_test():
    found = derive(bytes(range(13)), bytes([0x0B] * 22), bytes(range(0xF0, 0xFA)), 42)
    expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    assert found.hex() == expected, "RFC 5869, A.1"
    found = derive(b"", bytes([0x0B] * 22), b"", 42)
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    assert found.hex() == expected, "RFC 5869, A.3"
