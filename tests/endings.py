"""Whether a run that was broken off and gone on with ended as one that was not."""

from regard.runs.checkpoints import checkpoints, load, pointed
from tinyset import log_lines, same_tensors


def state_of(run):
    saved = load(run / "checkpoints")
    state = {k: v for k, v in saved.state.items() if k != "log_bytes"}
    state["progress"] = {k: v for k, v in state["progress"].items() if k != "seconds"}
    return saved, state


def assert_same(run, whole, *, notes=True):
    (saved, state), (expected, wanted) = state_of(run), state_of(whole)
    assert same_tensors(saved.model, expected.model)
    assert same_tensors(saved.optimiser, expected.optimiser)
    assert state == wanted
    lines = [line for line in log_lines(run) if notes or line["kind"] != "note"]
    assert lines == [line for line in log_lines(whole) if notes or line["kind"] != "note"]
    assert [p.name for p in checkpoints(run / "checkpoints")] == [
        p.name for p in checkpoints(whole / "checkpoints")
    ]
    for which in ("best", "last"):
        assert pointed(run / "checkpoints", which) == pointed(whole / "checkpoints", which)
    assert same_tensors(
        load(run / "checkpoints", "best").model, load(whole / "checkpoints", "best").model
    )
