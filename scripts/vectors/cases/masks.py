"""masks.json: keystreams and the uploads they make."""

import masks
import rings
import x25519
from inputs import keys, octets, public, values

# From the start; in the middle; past 2^32, where a counter of 32 bits would wrap; far out.
UNITS = (0, 3, 2**32 - 1, 2**40)


def cases():
    digest = octets("masks digest")
    for generator in masks.GENERATORS:
        yield from keystreams(digest, generator)
        for bits in rings.RINGS:
            yield own(digest, generator, bits)
    for one in masks.GENERATORS:
        for other in masks.GENERATORS:
            for bits in rings.RINGS:
                yield pair(digest, one, other, bits)
    yield from (recovered(digest, where) for where in ("curve", "twist"))


def keystreams(digest, generator):
    """Any range of a keystream, in both widths and with both signs."""
    seed = octets("range seed")
    key = masks.own_key(seed, digest, 5, generator)
    for first_unit in UNITS:
        for lane_bits, count in ((16, 37), (32, 21)):
            stream = masks.lanes(key, first_unit, count, lane_bits // 8)
            yield {
                "kind": "range",
                "digest": digest,
                "self_seed": seed,
                "index": 5,
                "generator": generator,
                "first_unit": first_unit,
                "lane_bits": lane_bits,
                "added": stream,
                "subtracted": [-lane % (1 << lane_bits) for lane in stream],
            }


def own(digest, generator, bits):
    """An upload under the client's own mask alone. An odd number of values, more than one unit."""
    seed, words = octets(f"own {bits}"), values(f"own {bits}", 41)
    key = masks.own_key(seed, digest, 70000, generator)
    return {
        "kind": "own",
        "digest": digest,
        "self_seed": seed,
        "index": 70000,
        "generator": generator,
        "ring": bits,
        "values": words,
        "upload": masks.upload(words, bits, [(key, 1)]),
    }


def pair(digest, one, other, bits):
    """Two clients, each under its own mask and the one they share; the masks that both removed leave the sum."""
    ends = {3: keys(f"pair 3 {one}", one), 9: keys(f"pair 9 {other}", other)}
    clients = []
    for index, peer in ((3, 9), (9, 3)):
        mine, theirs = ends[index], ends[peer]
        seed, words = octets(f"pair seed {index}"), values(f"pair {index} {bits}", 18)
        shared = masks.pair_key(mine["mask_secret"], mine, theirs, digest, index, peer)
        own_key = masks.own_key(seed, digest, index, mine["generator"])
        clients.append(
            {
                "index": index,
                "cipher_secret": mine["cipher_secret"],
                "mask_secret": mine["mask_secret"],
                "generator": mine["generator"],
                "self_seed": seed,
                "values": words,
                "upload": masks.upload(words, bits, [(own_key, 1), (shared, masks.sign(index, peer))]),
            }
        )
    sums = zip(*(client["values"] for client in clients))
    return {
        "kind": "pair",
        "digest": digest,
        "ring": bits,
        "clients": clients,
        "sum": [sum(column) % (1 << bits) for column in sums],
    }


def recovered(digest, where):
    """The masks that a survivor shares with many lost clients, from their secrets. The survivor's key is any point: most
    have a part of low order, and half of all u lie on the twist, for which there is no shorter way."""
    candidates = (octets(f"survivor {attempt}") for attempt in range(100))
    survivor = {
        "mask": next(point for point in candidates if x25519.is_on_curve(point) == (where == "curve")),
        "cipher": octets("survivor cipher"),
        "generator": masks.AES,
    }
    lost = []
    for number in range(24):
        index = 2 * number
        mine = keys(f"lost {number}", masks.GENERATORS[number % 3 == 2])
        key = masks.pair_key(mine["mask_secret"], public(mine), survivor, digest, index, 17)
        lost.append(
            {
                "index": index,
                "mask_secret": mine["mask_secret"],
                "public": public(mine),
                "sign": masks.sign(17, index),
                "first_lanes": masks.lanes(key, 0, 4, 4),
            }
        )
    return {"kind": "recovered", "where": where, "digest": digest, "index": 17, "public": survivor, "lost": lost}
