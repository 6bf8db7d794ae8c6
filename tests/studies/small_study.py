"""A study that is run in seconds, and one who watches it."""

from regard.training.config import changed
from tinyset import BASE

STUDY = {
    "name": "tiny",
    "base": changed(BASE, ["training.epochs=2", "training.optimiser.lr=0.01"]),
    "arms": {
        "plain": {},
        "moved": {"guidance": {"terms": [{"term": "energy"}], "regions": "misplaced"}},
        "broken": {"training": {"optimiser": {"name": "sgd", "lr": 1e30, "momentum": 0.0}}},
    },
    "baseline": "plain",
    "comparisons": [["moved", "plain"], ["broken", "plain"]],
    "seeds": [0, 1],
    "splits": ["test"],
    "metrics": ["accuracy", "energy", "balanced_accuracy"],
}


class Watcher:
    def __init__(self):
        self.rows, self.seen = [], []

    def made(self, done, total):
        self.seen.append(("sheets", done, total))

    def epochs(self, done, total):
        self.seen.append((dict(done), total))

    def averaged(self, done, total):
        self.seen.append(("averaged", done, total))

    def finished(self, row):
        self.rows.append(row)
