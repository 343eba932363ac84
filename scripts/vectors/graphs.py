"""Who masks with whom (module `graph` of crates/secagg)."""

import aes
import hkdf


def _words(seed):
    key = hkdf.derive(b"", seed, b"chorus/v1/graph", 16)
    block = 0
    while True:
        stream = aes.counter_keystream(key, block, 1)
        for start in range(0, 16, 4):
            yield int.from_bytes(stream[start : start + 4], "little")
        block += 1


def below(words, bound):
    """Uniform in range(bound) (Lemire 2019)."""
    while True:
        product = next(words) * bound
        if product % (1 << 32) >= (1 << 32) % bound:
            return product >> 32


def order(seed, clients):
    """The client at each place of the ring: Fisher-Yates."""
    words = _words(seed)
    places = list(range(clients))
    for last in range(clients - 1, 0, -1):
        other = below(words, last + 1)
        places[last], places[other] = places[other], places[last]
    return places


def neighbours(seed, clients, degree):
    """For each client, its neighbours in ascending order."""
    if degree >= clients - 1:
        return [[other for other in range(clients) if other != client] for client in range(clients)]
    places = order(seed, clients)
    side = degree // 2
    found = [[] for _ in range(clients)]
    for place, client in enumerate(places):
        steps = [*range(-side, 0), *range(1, side + 1)]
        found[client] = sorted(places[(place + step) % clients] for step in steps)
    return found


def weakest_cut(seed, clients, degree, survived):
    """The fewest survivors that two disjoint runs of degree / 2 places have together: every pair of runs is tried."""
    places = order(seed, clients)
    side = degree // 2
    runs = [[(first + step) % clients for step in range(side)] for first in range(clients)]
    count = [sum(survived[places[place]] for place in run) for run in runs]
    pairs = ((i, j) for i in range(clients) for j in range(i) if not set(runs[i]) & set(runs[j]))
    return min(count[i] + count[j] for i, j in pairs)


def self_test():
    for seed in range(3):
        found = neighbours(bytes([seed] * 32), 11, 4)
        assert all(len(set(near)) == 4 for near in found)
        assert all(client in found[other] for client, near in enumerate(found) for other in near)
    assert weakest_cut(bytes(32), 11, 4, [True] * 11) == 4
