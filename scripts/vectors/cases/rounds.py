"""rounds.json: whole small rounds, from the keys to the sum, with clients lost in the middle; and rounds that must fail."""

import envelopes
import graphs
import masks
import rings
import shamir
from inputs import keys, octets, values

CLIENTS, DEGREE, THRESHOLD, LENGTH = 9, 4, 3, 11


class Round:
    def __init__(self, bits, generators, lost):
        self.bits, self.lost = bits, lost
        self.digest, self.seed = octets(f"round {bits}"), octets(f"round graph {bits}")
        self.neighbours = graphs.neighbours(self.seed, CLIENTS, DEGREE)
        self.keys = [keys(f"round {bits} {i}", generators[i % len(generators)]) for i in range(CLIENTS)]
        self.seeds = [octets(f"round seed {bits} {i}") for i in range(CLIENTS)]
        self.values = [values(f"round values {bits} {i}", LENGTH) for i in range(CLIENTS)]
        self.survivors = [i for i in range(CLIENTS) if i not in lost]

    def coefficients(self, client, secret):
        drawn = octets(f"round {secret} {self.bits} {client}", 32 * (THRESHOLD - 1))
        return [drawn[i : i + 32] for i in range(0, len(drawn), 32)]

    def share(self, owner, holder, secret):
        """The share of one of the owner's secrets that a neighbour holds, and where it lies."""
        x = 1 + self.neighbours[owner].index(holder)
        whole = self.keys[owner]["mask_secret"] if secret == "mask_key" else self.seeds[owner]
        return x, shamir.share(whole, self.coefficients(owner, secret), x)

    def upload(self, client, digest=None):
        digest = digest or self.digest
        mine = self.keys[client]
        used = [(masks.own_key(self.seeds[client], digest, client, mine["generator"]), 1)]
        for other in self.neighbours[client]:
            key = masks.pair_key(mine["mask_secret"], mine, self.keys[other], digest, client, other)
            used.append((key, masks.sign(client, other)))
        return masks.upload(self.values[client], self.bits, used)

    def member(self, client):
        mine = self.keys[client]
        return {
            "index": client,
            **mine,
            "self_seed": self.seeds[client],
            "neighbours": self.neighbours[client],
            "mask_key_coefficients": self.coefficients(client, "mask_key"),
            "self_seed_coefficients": self.coefficients(client, "self_seed"),
            "sealed": [self.sealed(client, other) for other in self.neighbours[client]],
            "values": self.values[client],
            # A lost client shared its keys and vanished before it uploaded.
            "upload": None if client in self.lost else self.upload(client),
        }

    def sealed(self, client, other):
        pair = [self.share(client, other, secret)[1] for secret in ("mask_key", "self_seed")]
        mine, theirs = self.keys[client], self.keys[other]
        return envelopes.seal(
            mine["cipher_secret"], mine["cipher"], theirs["cipher"], self.digest, client, other, pair
        )

    def revealed(self):
        """What survivors give back: of a lost neighbour the mask key's share, of a surviving one the self seed's."""
        for owner in range(CLIENTS):
            secret = "mask_key" if owner in self.lost else "self_seed"
            holders = [other for other in self.neighbours[owner] if other in self.survivors]
            assert len(holders) >= THRESHOLD
            shares = [self.share(owner, holder, secret) for holder in holders]
            whole = shamir.combine(shares[:THRESHOLD])
            assert whole == (self.keys[owner]["mask_secret"] if owner in self.lost else self.seeds[owner])
            yield {
                "owner": owner,
                "secret": secret,
                "shares": [{"from": holder, "x": x, "y": y} for holder, (x, y) in zip(holders, shares)],
                "whole": whole,
            }

    def sum(self):
        columns = zip(*(self.values[client] for client in self.survivors))
        return [sum(column) % (1 << self.bits) for column in columns]

    def unmasked(self):
        """The sum as a coordinator computes it: uploads, less the own masks of survivors, less the masks that survivors
        share with lost clients."""
        count = LENGTH + rings.check_values(self.bits)
        columns = zip(*(rings.unpack(self.bits, self.upload(client), count) for client in self.survivors))
        total = [sum(column) for column in columns]
        for client in self.survivors:
            used = [(masks.own_key(self.seeds[client], self.digest, client, self.keys[client]["generator"]), 1)]
            for other in set(self.neighbours[client]) & set(self.lost):
                secret = self.keys[other]["mask_secret"]
                key = masks.pair_key(secret, self.keys[other], self.keys[client], self.digest, client, other)
                used.append((key, masks.sign(client, other)))
            for key, factor in used:
                lanes = masks.lanes(key, 0, count, 2 if self.bits == 16 else 4)
                total = [value - factor * lane for value, lane in zip(total, lanes)]
        total = [value % (1 << self.bits) for value in total]
        assert total[LENGTH:] == [0] * (count - LENGTH)
        return total[:LENGTH]

    def case(self):
        assert self.unmasked() == self.sum()
        return {
            "kind": "round",
            "ring": self.bits,
            "digest": self.digest,
            "graph_seed": self.seed,
            "clients": CLIENTS,
            "degree": DEGREE,
            "threshold": THRESHOLD,
            "length": LENGTH,
            "members": [self.member(client) for client in range(CLIENTS)],
            "lost": self.lost,
            "revealed": list(self.revealed()),
            "sum": self.sum(),
        }


def cases():
    aes, chacha = masks.AES, masks.CHACHA
    rounds = [
        Round(16, [aes], [4]),
        Round(20, [aes, chacha], [0]),
        Round(24, [chacha], [8]),
        Round(32, [aes, aes, chacha], [2]),
    ]
    yield from (one.case() for one in rounds)
    # What goes wrong is said against the first round of the same ring.
    for one in rounds:
        survivor, lost = one.survivors[0], one.lost[0]
        yield {
            "kind": "bad_spoiled_sum",
            "ring": one.bits,
            "why": "a client masked under another digest",
            "client": survivor,
            "upload": one.upload(survivor, octets("another model")),
        }
        yield {"kind": "bad_forgotten_mask", "ring": one.bits, "own_mask_of": survivor}
        yield {"kind": "bad_forgotten_mask", "ring": one.bits, "lost": lost}
        x, y = one.share(lost, next(i for i in one.neighbours[lost]), "mask_key")
        yield {
            "kind": "bad_wrong_share",
            "ring": one.bits,
            "owner": lost,
            "x": x,
            "y": bytes([y[0] ^ 1]) + y[1:],
        }
