"""Prune a run's net and train what is left on: a run like any other, in fewer channels."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import nn

from regard.data.source import splits_of
from regard.deployment.channels import Importance, kept_channels
from regard.deployment.deployed import Deployed, random_views
from regard.deployment.norms import settle_norms
from regard.deployment.photos import Pixels, some_samples
from regard.deployment.right import told_of
from regard.deployment.taylor import IMAGES, loss_gradients
from regard.errors import ConfigError, RunError
from regard.evaluation.cost import flops_of, weight_bytes
from regard.files.atomic import write_atomically
from regard.files.relative import seen_from
from regard.models.build import parameters_of
from regard.models.pruned import cut, of_first, read_kept, write_kept
from regard.models.settings import Model
from regard.models.tensors import write_safetensors
from regard.runs.files import read_json, write_json
from regard.runs.folder import RunFolder, locked
from regard.runs.net import from_checkpoint
from regard.runs.run import Run, load_run
from regard.saliency.capture import Images
from regard.training.config import Config, changed, merged, parse_config
from regard.training.train import finished, resume, train
from regard.training.watching import Watcher

Note = Callable[[str], None]
FIRST, REPORT = "pruned.safetensors", "pruning.json"


def prune_run(
    run: Run,
    out: Path,
    *,
    share: float = 0.3,
    importance: Importance = "taylor",
    multiple: int = 8,
    epochs: int | None = None,
    changes: Sequence[str] = (),
    watcher: Watcher | None = None,
    note: Note | None = None,
) -> dict[str, Any]:
    """Take the least important channels out of a run's net, and train the rest by its own config.

    Batch norms take their statistics anew from train where more is right on val so.

    The new run's config is the old one with `model.pruned`, the table of kept channels in its own
    folder, and `model.weights`, what was left of the weights; guidance and all else stay. Its
    folder needs the old run no more. Nothing is chosen by test, and test is not looked at.

    Args:
        run: a finished one, which may be a pruned one itself.
        out: the new run's folder.
        share: of each layer's channels that goes, above 0 and below 1.
        importance: of `kept_channels`.
        multiple: what is left of a layer is a multiple of that, as kernels like it.
        epochs: of the further training; None: as many as the run's.
        changes: of the config, `a.b=c`.
        watcher: told of steps and epochs.
        note: told of what comes before.

    Returns:
        What was written to `pruning.json`: `of`, `share`, `importance`, `multiple`, `split`, and
        for `before`, `cut` (not trained on yet) and `after`: `parameters`, `flops` of one image,
        `bytes`, and what is right on val, by `metric`; of `cut` also whether `norms` were `kept` or
        `settled`, see `settle_norms`.

    Raises:
        ConfigError: a share or a multiple that is none, or a wrong change.
        ModelError: a net that cannot be pruned so, see `kept_channels`.
        MissingExtraError: without the extra `prune`.
        RunError: `out` holds a run.
    """
    _refuse(share, importance, multiple)
    files, say = RunFolder(out), note or (lambda text: None)
    _refuse_existing(files)
    config = _config(run, epochs, changes)  # a wrong change is told before the work
    say("weighing the channels")
    images = _example(run)
    kept = kept_channels(
        run.net,
        images,
        share=share,
        importance=importance,
        gradients=loss_gradients(run) if importance == "taylor" else None,
        multiple=multiple,
        seed=config.training.seed,
    )
    say("measuring before and after the cut on val")
    told: dict[str, Any] = {
        "of": {"run": run.folder.name, "checkpoint": run.checkpoint},
        "share": share,
        "importance": importance,
        "multiple": multiple,
        "before": _measured(run, images),
    }
    # The table is in places of the whole net, also where the run's was a pruned one.
    whole = kept
    if run.config["model"].get("pruned") is not None:
        whole = of_first(read_kept(run.folder / run.config["model"]["pruned"]), kept)
    left, found = _better(replace(run, net=cut(deepcopy(run.net), kept)), images)
    told |= {"cut": found, "after": None}
    model = config.model.model_copy(
        update={
            "pruned": seen_from(run.folder, files.kept),
            "weights": seen_from(run.folder, out / FIRST),
        }
    )
    if config.model.frozen(config.training.epochs - 1):
        say("the backbone is frozen, so only the classifier mends the cut: --set model.freeze=none")
    config = config.model_copy(update={"model": model})
    with locked(out):
        _refuse_existing(files)  # another one may have come and gone meanwhile
        write_kept(whole, files.kept)
        _write_weights(left.net, out / FIRST)
        write_json(out / REPORT, told)
        train(config, out, folder=run.folder, watcher=watcher, held=True)
    return finish(out)


def resume_pruning(out: Path, *, watcher: Watcher | None = None) -> dict[str, Any]:
    """Go on with the training after a cut, and then measure; a finished one stays as it is.

    Raises:
        RunError: no run, or one that was not pruned so; else as `resume`.
    """
    if not (out / REPORT).is_file() or not RunFolder(out).config.is_file():
        raise RunError(
            f"{out}, --resume",
            expected="a run that regard prune began to train",
            found="none",
            remedy="leave --resume out",
        )
    if finished(out) is None:
        resume(out, watcher=watcher)
    return finish(out)


def finish(out: Path) -> dict[str, Any]:
    """Measure the best checkpoint of the trained run, and write the report again."""
    run = load_run(out)
    told = read_json(out / REPORT) | {"after": _measured(run, _example(run))}
    write_json(out / REPORT, told)
    return told | {"folder": str(out)}


def _better(left: Run, images: Images) -> tuple[Run, dict[str, Any]]:
    """The cut net as it is, or with its batch norms settled, whichever is right more often on val.

    Statistics that came with the weights and rested (`model.freeze_bn`) are part of what the other
    layers learned; a deep cut outdates them, a light one does not.
    """
    settled = replace(left, net=deepcopy(left.net))
    settle_norms(settled, some_samples(left, ("train",), IMAGES))
    ends = [(left, _measured(left, images) | {"norms": "kept"})]
    ends.append((settled, _measured(settled, images) | {"norms": "settled"}))
    return max(ends, key=lambda end: end[1]["right"] or 0.0)


def _refuse(share: float, importance: str, multiple: int) -> None:
    wrong = None
    if not 0 < share < 1:
        wrong = ("--share", "a share of the channels above 0 and below 1", f"{share:g}")
    elif multiple < 1:
        wrong = ("--multiple", "1 or more", str(multiple))
    elif importance not in get_args(Importance):
        wrong = ("--importance", ", ".join(get_args(Importance)), repr(importance))
    if wrong is not None:
        where, expected, found = wrong
        raise ConfigError(
            f"regard prune, {where}", expected=expected, found=found, remedy="correct it"
        )


def _refuse_existing(files: RunFolder) -> None:
    if files.config.exists():
        raise RunError(
            str(files.path),
            expected="a new folder",
            found="a run",
            remedy="choose another --out, or add --resume to go on with its training",
        )


def _config(run: Run, epochs: int | None, changes: Sequence[str]) -> Config:
    """The run's own config with what is changed; a net's architecture is what the run keeps."""
    model = from_checkpoint(Model.model_validate(run.config["model"]), run.files)
    values = run.config | {"model": model.model_dump(mode="json")}
    if epochs is not None:
        values = merged(values, {"training": {"epochs": epochs}})
    config = parse_config(changed(values, changes), "regard prune")
    if config.model.pruned != model.pruned or config.model.spec != model.spec:
        raise ConfigError(
            "regard prune, --set model",
            expected="the net of the run",
            found="another",
            remedy="leave model.spec and model.pruned as they are",
        )
    return config


def _example(run: Run) -> Images:
    """Two images as the net takes them."""
    views = [run.transform.normalise(view) for view in random_views(run, 2)]
    return views[0] if len(views) == 1 else dict(zip(run.data.views, views, strict=True))


def _measured(run: Run, images: Images) -> dict[str, Any]:
    """Sizes of the net, and how right it is on val; None where there is none."""
    one = (
        images[:1]
        if isinstance(images, torch.Tensor)
        else {view: own[:1] for view, own in images.items()}
    )
    sizes = {
        "parameters": parameters_of(run.net),
        "flops": flops_of(run.net.eval(), one).total,
        "bytes": weight_bytes(run.net),
    }
    if "val" not in splits_of(run.manifest().table):
        return sizes | {"metric": None, "samples": 0, "right": None}
    samples, net = some_samples(run, ("val",)), Deployed(run)

    def answer(pixels: Pixels) -> np.ndarray:
        with torch.no_grad():
            return net.eval()(*(torch.from_numpy(view) for view in pixels))[1].numpy()

    told = told_of(run, samples, answer)
    right = float(np.nanmean(told.right))
    return sizes | {"metric": told.metric, "samples": len(samples), "right": right}


def _write_weights(net: nn.Module, path: Path) -> None:
    tensors = {name: own.detach().contiguous().clone() for name, own in net.state_dict().items()}
    write_atomically(path, lambda partial: write_safetensors(partial, tensors))
