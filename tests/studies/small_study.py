"""A study that is run in seconds, and one who watches it."""

from concurrent.futures import Future

from regard.studies import pool
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

    def finished(self, row):
        self.rows.append(row)


def in_this_process(monkeypatch):
    """Run the arms here, one after the other, so that no process has to start."""

    class Pool:
        def __init__(self, *_, **__):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def shutdown(self, **_):
            pass

        def submit(self, work, *args):
            future = Future()
            future.set_result(work(*args))
            return future

    monkeypatch.setattr(pool, "ProcessPoolExecutor", Pool)
