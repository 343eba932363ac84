"""Shares in transit (module `envelope` of crates/secagg)."""

import chacha
import hkdf
import x25519
from masks import index


def seal(secret, sender, receiver, digest, start, to, pair):
    """Seals the shares (mask key, self seed) of client `start` for client `to`. `secret`: the sender's secret cipher key;
    `sender`, `receiver`: their public ones."""
    agreed = x25519.agree(secret, receiver)
    route = index(start) + index(to)
    key = hkdf.derive(digest, agreed, b"chorus/v1/share" + route + sender + receiver, 32)
    return chacha.seal(key, bytes(12), digest + route, b"".join(pair))


def self_test():
    secrets = [bytes([1] * 32), bytes([2] * 32)]
    publics = [x25519.public(secret) for secret in secrets]
    shares = (bytes(32), bytes([1] * 32))
    sealed = seal(secrets[0], publics[0], publics[1], bytes(32), 4, 9, shares)
    assert len(sealed) == 80
    # The other side reaches the same key: sealing again with it gives the same bytes.
    key = hkdf.derive(bytes(32), x25519.agree(secrets[1], publics[0]), b"chorus/v1/share" + index(4) + index(9) + b"".join(publics), 32)
    assert sealed == chacha.seal(key, bytes(12), bytes(32) + index(4) + index(9), b"".join(shares))
