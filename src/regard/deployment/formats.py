"""The files that a net is exported to, written from a trace and opened again to be run."""

import contextlib
import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import Dim, ExportedProgram

from regard.deployment.deployed import Deployed, random_views
from regard.errors import MissingExtraError, RunError
from regard.runs.run import Run

Format = Literal["onnx", "torch"]
SUFFIX: Mapping[Format, str] = {"onnx": ".onnx", "torch": ".pt2"}
# Where the description lies in either file.
KEY = "regard"


@dataclass(frozen=True)
class Opened:
    """An exported file, ready to run.

    Attributes:
        about: what was written into it: classes, task, views, size ...
        outputs: names of what it gives.
        run: uint8 arrays (B, 3, H, W), one a view, to those outputs.
    """

    about: dict[str, Any]
    outputs: tuple[str, ...]
    run: Callable[[Sequence[NDArray[np.uint8]]], list[NDArray[np.float32]]]


def traced(run: Run, net: Deployed) -> ExportedProgram:
    """The net as one graph, for any number of images.

    Raises:
        RunError: the net cannot be traced, or not for any number of images.
    """
    images = tuple(random_views(run, 2))
    with quiet(), torch.no_grad():
        try:
            return torch.export.export(
                net.eval(),
                images,
                dynamic_shapes={"views": tuple({0: Dim.DYNAMIC} for _ in images)},
            )
        except Exception as error:  # of many kinds, by what the net does
            raise RunError(
                str(run.folder),
                expected="a net that torch.export can trace for any number of images",
                found=f"{type(run.net).__name__}: {_first_line(error)}",
                remedy="write the net without branches that hang on its input",
            ) from error


def write(
    program: ExportedProgram, net: Deployed, about: Mapping[str, Any], format: Format, path: Path
) -> None:
    """Write the graph with its description.

    Args:
        program: of `traced`.
        net: that it is of.
        about: goes into the file as JSON.
        format: `onnx`, or `torch` for what `torch.export.load` reads.
        path: of the file.

    Raises:
        RunError: the net has an operator that ONNX lacks.
        MissingExtraError: without the extra `export`.
    """
    text = json.dumps(about)
    if format == "torch":
        made = io.BytesIO()  # torch's own writer of files ends the process where a disk is full
        with quiet():
            torch.export.save(program, made, extra_files={KEY: text})
        path.write_bytes(made.getvalue())
        return
    with extra(), quiet():
        try:
            found = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=[*net.views],
                output_names=[*net.names],
            )
        except ImportError:
            raise
        except Exception as error:  # of many kinds, by what is not known
            raise RunError(
                "--format onnx",
                expected="a net whose operators ONNX has",
                found=_first_line(error.__cause__ or error),
                remedy="use --format torch",
            ) from error
        assert found is not None
        found.model.metadata_props[KEY] = text
        found.save(path)
        if any(other != path for other in path.parent.glob(f"{path.name}*")):
            raise RunError(
                "--format onnx",
                expected="weights that one ONNX file can hold, below 1.5 GB",
                found="more, which would lie in a second file",
                remedy="use --format torch",
            )


def open_exported(path: Path) -> Opened:
    """Open an exported file on the CPU.

    Raises:
        RunError: it is none of Regard's.
        MissingExtraError: without the extra `export`.
    """
    try:
        return _open_onnx(path) if path.suffix == SUFFIX["onnx"] else _open_torch(path)
    except MissingExtraError:
        raise
    except Exception as error:  # of many kinds, by what the bytes are
        raise RunError(
            str(path),
            expected="a file that regard export wrote",
            found=_first_line(error) if path.is_file() else "no such file",
            remedy="export the run again",
        ) from error


def session(path: Path) -> Any:
    """An ONNX Runtime session on the CPU, with as many threads as torch has."""
    with extra():
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _open_onnx(path: Path) -> Opened:
    opened = session(path)
    about = json.loads(opened.get_modelmeta().custom_metadata_map[KEY])
    views = [node.name for node in opened.get_inputs()]
    names = tuple(node.name for node in opened.get_outputs())

    def run(pixels: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        return opened.run(None, dict(zip(views, pixels, strict=True)))

    return Opened(about, names, run)


def _open_torch(path: Path) -> Opened:
    files = {KEY: ""}
    module = torch.export.load(path, extra_files=files).module()
    about = json.loads(files[KEY])

    def run(pixels: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        with torch.no_grad():
            outputs = module(*(torch.from_numpy(view) for view in pixels))
        return [output.numpy() for output in outputs]

    return Opened(about, tuple(about["outputs"]), run)


@contextlib.contextmanager
def extra() -> Iterator[None]:
    """Within, a package that is not there is the extra `export`."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError("regard export --format onnx", "export") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within, the exporters' warnings and prints are not the user's."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
