"""How well workload W1 learns: HR@10 against 99 others, on ml-100k, every twenty rounds.

usage: python learn.py FOLDER_OF_ML_100K {zeros|keep} ROUNDS [TAU]        (needs numpy)

`zeros`: the person is rebuilt from zeros in each round. `keep`: everybody keeps their vector between rounds.
"""
import gzip, sys
import numpy as np

FACTORS, NEGATIVES, STEPS, BATCH, CLIP, COHORT, ETA = 32, 4, 5, 128, 1.0, 94, 0.01
folder, keep, rounds = sys.argv[1], sys.argv[2] == "keep", int(sys.argv[3])
tau = float(sys.argv[4]) if len(sys.argv) > 4 else 1e-3

histories, cases = {}, []
for line in gzip.open(f"{folder}/ml-100k.train.rating.gz", "rt"):
    user, item = map(int, line.split()[:2])
    histories.setdefault(user, set()).add(item)
for line in gzip.open(f"{folder}/ml-100k.test.negative.gz", "rt"):
    case, *others = line.rstrip().split("\t")
    user, item = map(int, case.strip("()").split(","))
    cases.append((user, item, np.array([int(other) for other in others if int(other) != item])))
items = 1 + max(max(max(history) for history in histories.values()), max(max(c[1], *c[2]) for c in cases))
users = sorted(histories)
positives = {user: np.array(sorted(histories[user])) for user in users}

rng = np.random.default_rng(1)
table = (rng.standard_normal((items, FACTORS)) * 0.1).astype(np.float32)
kept = {user: np.zeros(FACTORS, np.float32) for user in users}
first, second = table * 0, table * 0


def examples(user):
    own = positives[user]
    index = np.concatenate([own, rng.integers(0, items, NEGATIVES * len(own))])
    label = np.zeros(len(index), np.float32)
    label[: len(own)] = 1
    order = rng.permutation(len(index))
    return index[order], label[order]


def rebuilt(person, index, label):
    rows = table[index]
    for _ in range(STEPS):
        error = 1 / (1 + np.exp(-(rows @ person))) - label
        person = person - (error @ rows) / len(index)
    return person


def start(user):
    return kept[user] if keep else np.zeros(FACTORS, np.float32)


def hit_ratio():
    hits = 0
    for user, item, others in cases:
        person = kept[user] if keep else rebuilt(start(user), *examples(user))
        hits += (table[others] @ person >= table[item] @ person).sum() < 10
    return hits / len(cases)


for round in range(1, rounds + 1):
    total = table * 0
    for user in rng.choice(users, COHORT, replace=False):
        index, label = examples(user)
        person = rebuilt(start(user), index, label)
        if keep:
            kept[user] = person
        local = table.copy()
        for begin in range(0, len(index), BATCH):
            batch = index[begin : begin + BATCH]
            error = 1 / (1 + np.exp(-(local[batch] @ person))) - label[begin : begin + BATCH]
            np.add.at(local, batch, -np.outer(error, person) / len(batch))
        update = local - table
        total += update * min(1, CLIP / (np.linalg.norm(update) + 1e-12))
    mean = total / COHORT
    first = 0.9 * first + 0.1 * mean
    second = 0.99 * second + 0.01 * mean * mean
    table = table + ETA * first / (np.sqrt(second) + tau)
    if round % 20 == 0:
        print(round, f"{hit_ratio():.4f}", flush=True)
