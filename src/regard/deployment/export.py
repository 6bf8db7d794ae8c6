"""Export a run's net to a file that other runtimes take, checked against the net itself."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from regard import __version__
from regard.deployment.deployed import Deployed
from regard.deployment.formats import SUFFIX, Format, traced, write
from regard.deployment.parity import BATCHES, check_parity
from regard.deployment.photos import some_samples
from regard.deployment.quantise import CALIBRATION, MOST_LOST, quantise, weigh
from regard.errors import ConfigError
from regard.evaluation.settings import Gaze
from regard.files.atomic import blamed, digest, sync
from regard.runs.deciding import asked_of, decided
from regard.runs.files import write_json
from regard.runs.run import Run

Note = Callable[[str], None]
# Photos that were not learned from show more; those that are reported are left alone.
CHECKED_ON = ("val", "train")


def export_run(
    run: Run,
    out: Path | None = None,
    *,
    format: Format = "onnx",
    quantize: Literal["int8"] | None = None,
    gaze: bool = False,
    most_lost: float = MOST_LOST,
    note: Note | None = None,
) -> dict[str, Any]:
    """Write a run's net, with normalisation and class names inside, and `FILE.json` beside it.

    The file takes uint8 pixels (B, 3, H, W) of each view, resized as the run resizes them, for any
    B, and gives what `Deployed` gives. It is kept if its answers to photos of val equal the net's,
    see `check_parity`; in 8 bits if it is faster than float32 and loses no more than is allowed on
    val, see `weigh`. Nothing is left behind otherwise.

    Args:
        run: loaded.
        out: the file; None: `export/model.onnx` in the run's folder (`model-int8.onnx`, `.pt2`).
        format: `onnx`, or `torch` for `torch.export.load`.
        quantize: `int8`, of ONNX, calibrated on train; None: float32.
        gaze: give the predicted class's map too, where it has a closed form.
        most_lost: in 8 bits, of the share that is right on val.
        note: told of each step.

    Returns:
        What was written to `FILE.json`: `file`, `format`, `bytes`, `sha256`, `about`, `parity` (in
        8 bits that of the file before), and `quantized` or None.

    Raises:
        RunError: the net cannot be exported so, answers otherwise, or is worse in 8 bits; or there
            is no val to weigh these on.
        ConfigError: a suffix of another format, or 8 bits of torch.
        MissingExtraError: without the extra `export`, for ONNX.
        DataError: the run's photos are gone.
    """
    if not 0 <= most_lost <= 1:
        raise ConfigError(
            "regard export, most-lost",
            expected="a share from 0 to 1",
            found=f"{most_lost:g}",
            remedy="correct it",
        )
    target = _target(run, out, format, quantize)
    say = note or (lambda text: None)
    net = Deployed(run, gaze=gaze)
    samples = some_samples(run, CHECKED_ON, max(BATCHES))
    about = _about(run, net, quantize)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the file is moved within one file system.
    place = tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent)
    with blamed(target), place as folder:
        made = Path(folder) / f"model{SUFFIX[format]}"
        say("tracing the net")
        program = traced(run, net)
        say(f"writing {format}")
        write(program, net, about, format, made)
        say("holding it against the net on photos")
        parity, weighed = check_parity(run, net, made, samples), None
        if quantize is not None:
            small = made.with_name("model-int8.onnx")
            say("calibrating 8 bits on train")
            quantise(made, small, run, some_samples(run, ("train",), CALIBRATION))
            say("weighing it on val")
            weighed = weigh(run, made, small, some_samples(run, ("val",)), most_lost=most_lost)
            parity = {"of": "float32, before it was quantised"} | parity
            made = small
        told = {
            "file": target.name,
            "format": format,
            "bytes": made.stat().st_size,
            "sha256": digest(made),
            "about": about,
            "parity": parity,
            "quantized": weighed,
        }
        # Both are whole before either is there: never a model beside what is told of another.
        sync(made)
        note_of, beside = made.with_name("told.json"), target.with_name(target.name + ".json")
        write_json(note_of, told)
        beside.unlink(missing_ok=True)
        os.replace(made, target)
        os.replace(note_of, beside)
    return told | {"file": str(target)}


def _about(run: Run, net: Deployed, quantize: str | None) -> dict[str, Any]:
    """What the file says of itself."""
    gaze = Gaze.model_validate(run.config["gaze"])
    return {
        "regard": __version__,
        "task": run.task,
        "classes": [*run.classes],
        "checkpoint": run.checkpoint,
        "spec": run.config["model"]["spec"],
        "views": [*net.views],
        "outputs": [*net.names],
        "gaze": {"method": "gradcam", "contrast": gaze.contrast} if net.head else None,
        "size": [*run.transform.size],
        "fit": run.transform.fit,
        "interpolation": run.transform.interpolation,
        "input": "uint8 RGB, (B, 3, H, W), resized with antialiasing, not normalised",
        "precision": quantize or "float32",
        **_decides_by(run),
    }


def _decides_by(run: Run) -> dict[str, Any]:
    """The positive class, and the threshold that was chosen of this checkpoint."""
    positive, own = asked_of(run, None).positive, decided(run)
    if own is None or positive not in (None, own["positive"]):
        return {"positive": positive, "threshold": None}
    return {"positive": own["positive"], "threshold": own["threshold"]}


def _target(run: Run, out: Path | None, format: Format, quantize: str | None) -> Path:
    if quantize is not None and format != "onnx":
        raise ConfigError(
            "--quantize int8",
            expected="--format onnx, whose runtime has the kernels",
            found=f"--format {format}",
            remedy="use --format onnx, or leave --quantize out",
        )
    name = f"model{'' if quantize is None else '-' + quantize}{SUFFIX[format]}"
    target = run.folder / "export" / name if out is None else out
    if target.suffix != SUFFIX[format]:
        raise ConfigError(
            "--out",
            expected=f"a file that ends in {SUFFIX[format]} for --format {format}",
            found=target.name,
            remedy="rename it, or choose the other --format",
        )
    return target
