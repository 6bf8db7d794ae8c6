"""All that is asked of a trained net, asked on a device that is not the processor.

    python tests/on_card.py KIND FOLDER

Prints a line for each thing that was done, `FOLDER` being empty before. A process of its own, as
torch counts its devices once.
"""

import shutil
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
import torch

from papercard import papercard
from regard.data.source import samples_of
from regard.evaluation.settings import Gaze
from regard.models import tensors
from regard.reports.compare_report import compare_report
from regard.reports.run_report import run_report
from regard.runs.averages import average_maps
from regard.runs.comparable import open_runs
from regard.runs.compare import compare_runs
from regard.runs.evaluate import evaluate_run
from regard.runs.explain import explain_images, images_of
from regard.runs.inference import inferring
from regard.runs.reliance import reliance_table
from regard.runs.run import load_run
from regard.runs.swapping import swapped
from regard.saliency import methods
from regard.scores import SCORES
from regard.server.nets import reach_of
from regard.studies import arm
from tinyset import (
    BASE,
    SEGMENTER,
    SETS,
    TWIN,
    config_of,
    write_masks,
    write_pairs,
    write_set,
    write_sets,
)

SOME = ("gradcam", "saliency", "scorecam", "occlusion", "rise", "expected_gradients")
# How each is written, its config, the method of its term, and the methods that are tried.
KINDS = {
    "labels": (write_set, BASE, "gradcam", tuple(methods())),
    "sets": (write_sets, SETS, "gradcam", SOME),
    "masks": (write_masks, SEGMENTER, "gradcam", SOME),
    "views": (write_pairs, TWIN, "rollout", (*SOME, "rollout", "gradient_rollout", "chefer")),
}
TERM = "guidance.terms=[{{term: energy, weight: 0.5, method: {}}}]"


def main(kind, folder):
    """Everything of one kind of run."""
    torch.set_num_threads(1)
    write, base, own, tried = KINDS[kind]
    small = {} if kind == "masks" else {"counts": {"train": 12, "val": 6, "test": 6}}
    write(folder, **({} if kind == "views" else small))
    with papercard() as card, saved_from_card(), mock.patch.object(arm, "load_run", spy(load_run)):
        changes = ["training.epochs=1", f"training.device={card}", TERM.format(own)]
        changes += ["model.patch_weights={kind: power}"] if kind == "views" else []
        config = config_of(*changes, base=base)
        arm.run_arm(config, folder / "run", ("test",), folder)
        assert arm.load_run.devices == [card]
        done("trained and evaluated as a study does")
    shutil.copytree(folder / "run", folder / "other")
    here = load_run(folder / "run")
    with papercard() as card:
        there = load_run(folder / "other", device=card)
        assert str(there.device) == card
        unfit = reach_of(there, None).unfit
    for method in tried:
        if method not in unfit:
            maps(here, there, method, every=method == own)
    with papercard():
        one_image(there, kind, folder)
        if kind == "labels":
            backgrounds(here, there)
        runs = open_runs([str(folder / "run"), str(folder / "other")], "test", device=card)
        compare_runs(runs, "test", folder / "compared")
        done("compared")
        with mock.patch("regard.reports.album.load_run", lambda *a, **_: load_run(*a, device=card)):
            text = run_report(folder / "run", folder / "report.html", pictures=2).read_text()
            assert "Pictures are left out" not in text
            compare_report(folder / "compared", folder / "compared.html", pictures=2)
        done("reported")


def spy(real):
    """`load_run`, which keeps what it is told of devices."""

    def load(*args, **kwargs):
        load.devices.append(kwargs.get("device"))
        return real(*args, **kwargs)

    load.devices = []
    return load


def saved_from_card():
    """A file's tensors come from the processor, as the card has no memory of its own to read."""
    real = tensors.save_file
    return mock.patch.object(
        tensors, "save_file", lambda own, path: real({k: v.cpu() for k, v in own.items()}, path)
    )


def maps(here, there, method, *, every):
    """A method's maps scored on both; with `every` by all scores."""
    names = tuple(SCORES) if every else ("energy", "magtr")
    gaze = [Gaze(scores=names).model_copy(update={"method": method})]
    evaluate_run(here, "test", gaze=gaze, background=4)
    with papercard():
        evaluate_run(there, "test", gaze=gaze, background=4)
    ours, theirs = (pl.read_parquet(run.files.scores("test")) for run in (here, there))
    assert ours.columns == theirs.columns
    for name in ("energy", "magtr"):
        # Attention and Score-CAM take another kernel and another precision there.
        a, b = (t.filter(method=method)[name].to_numpy() for t in (ours, theirs))
        np.testing.assert_allclose(a, b, atol=1e-3, err_msg=f"{method}, {name}")
        assert np.isfinite(a).any() or not every
    done(method)


def one_image(there, kind, folder):
    """Pictures of single images, mean maps, probabilities, windows."""
    target = there.classes[0] if kind == "masks" else None
    images = images_of(there, "test", 2)
    explain_images(
        there, images, ["expected_gradients"], folder / "maps", target=target, background=4
    )
    average_maps(there, "test", "expected_gradients", folder / "mean", background=4)
    if kind in ("labels", "sets"):
        assert there.predict(images).shape == (2, len(there.classes))
    if kind == "masks":
        evaluate_run(inferring(there, window=(16, 16), flip=True), "test")
    done("explained")


def backgrounds(here, there):
    """What is asked about with other surroundings."""
    assert reliance_table(there, "test").equals(reliance_table(here, "test"), null_equal=True)
    samples = samples_of(there.manifest(), "test", there.classes, there.data)
    sample = next(sample for sample in samples if sample.region)
    for a, b in zip(swapped(there, "test", sample), swapped(here, "test", sample), strict=True):
        assert a.how == b.how
        assert abs(a.probability - b.probability) < 1e-5
    done("other backgrounds")


def done(what):
    print(what, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
