"""Writes check.json: the update of workload W1 over twenty fixed clients, with fixed negatives and no shuffle.

usage: python make.py > check.json        (needs numpy)        made-up histories, which a test can repeat
       python make.py FOLDER_OF_ML_1M                          those of ml-1m, to compare with other programs

The reference is a loop over dense f32 arrays: five full-batch steps on the person, one epoch of mini-batches on the item
table, the difference clipped to norm 1. No line of it is shared with the engine that it checks.
"""
import gzip, json, sys
import numpy as np

D, NEGATIVES, STEPS, BATCH, CLIP, RATE = 32, 4, 5, 128, 1.0, 1.0
CLIENTS = range(0, 200, 10)

MASK = (1 << 64) - 1


def mixed(word):
    """Small integers that look like chance, and that every language can repeat."""
    word = word * 0x9E3779B97F4A7C15 & MASK
    word ^= word >> 32
    word = word * 0xD6E8FEB86659FD93 & MASK
    return word ^ word >> 32


histories, items = {}, 3706
if len(sys.argv) > 1:
    for line in gzip.open(f"{sys.argv[1]}/ml-1m.train.rating.gz", "rt"):
        user, item = map(int, line.split()[:2])
        histories.setdefault(user, set()).add(item)
else:
    # A square of a fraction: low numbers are popular, as in data.
    for client in CLIENTS:
        draws = (mixed((client + 1 << 32) + place) >> 40 for place in range(20 + client))
        histories[client] = {(draw * draw >> 24) * items >> 24 for draw in draws}


def negatives(client, count):
    return [mixed(place + client * 1000003 + 1) % items for place in range(count)]


k = np.arange(items * D, dtype=np.int64)
table = (((k * 7919) % 2001 - 1000).astype(np.float32) * np.float32(2e-4)).reshape(items, D)
start = ((np.arange(D) * 37) % 21 - 10).astype(np.float32) * np.float32(0.05)
total = np.zeros((items, D))
for client in CLIENTS:
    positives = sorted(histories[client])
    drawn = negatives(client, NEGATIVES * len(positives))
    index, label = np.array(positives + drawn), np.zeros(5 * len(positives), np.float32)
    label[: len(positives)] = 1
    person, rows = start.copy(), table[index]
    for _ in range(STEPS):
        error = 1 / (1 + np.exp(-(rows @ person))) - label
        person -= RATE / len(index) * (error @ rows)
    local = table.copy()
    for first in range(0, len(index), BATCH):
        batch = index[first : first + BATCH]
        error = 1 / (1 + np.exp(-(local[batch] @ person))) - label[first : first + BATCH]
        np.add.at(local, batch, np.outer(error, person * np.float32(-RATE / len(batch))))
    update = (local - table).astype(np.float64)
    total += update * min(1.0, CLIP / np.linalg.norm(update))
found = dict(norm=np.linalg.norm(total), sum=total.sum(), first=total[0, 0], other=total[1000, 7])
print(json.dumps(found, indent=1))
