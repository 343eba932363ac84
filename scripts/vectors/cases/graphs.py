"""graphs.json: who masks with whom."""

import graphs
from inputs import number, octets


def cases():
    for clients, degree in ((12, 4), (30, 6), (101, 10), (300, 80)):
        seed = octets(f"graph {clients}")
        found = graphs.neighbours(seed, clients, degree)
        # Of a large graph, a few clients are enough: any other order of the ring would change all of them.
        asked = range(clients) if clients <= 30 else range(0, clients, 37)
        yield {
            "kind": "ring",
            "seed": seed,
            "clients": clients,
            "degree": degree,
            "neighbours": [{"index": client, "neighbours": found[client]} for client in asked],
        }
    yield {
        "kind": "complete",
        "seed": octets("complete"),
        "clients": 6,
        "degree": 5,
        "neighbours": [
            {"index": client, "neighbours": near}
            for client, near in enumerate(graphs.neighbours(octets("complete"), 6, 5))
        ],
    }
    for clients, degree, tenths in ((12, 4, 9), (30, 6, 7), (41, 12, 6), (60, 20, 8), (60, 20, 3)):
        seed = octets(f"cut {clients} {tenths}")
        survived = [number(f"survived {clients} {tenths} {client}", 10) < tenths for client in range(clients)]
        yield {
            "kind": "weakest_cut",
            "seed": seed,
            "clients": clients,
            "degree": degree,
            "lost": [client for client in range(clients) if not survived[client]],
            "weakest": graphs.weakest_cut(seed, clients, degree, survived),
        }
    neighbours = [2, 5, 9, 400]
    yield {"kind": "position", "neighbours": neighbours, "receiver": 2, "x": 1}
    yield {"kind": "position", "neighbours": neighbours, "receiver": 400, "x": 4}
    yield {"kind": "bad_position", "neighbours": neighbours, "receiver": 3}
    yield {"kind": "bad_position", "neighbours": list(range(256)), "receiver": 255}
