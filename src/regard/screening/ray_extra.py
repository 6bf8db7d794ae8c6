"""Ray, which is an extra: a cluster of this machine alone, or one that is there."""

import importlib
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regard.errors import ConfigError, MissingExtraError, RunError

# No telemetry; no hook that packs up the working folder; no tip on devices that we choose anyway.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
# Whether Ray may make a cluster of several machines.
CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
# For the source's names and the tables on their way; what is more goes to the disk.
STORE = 256 * 2**20
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
# Sockets have names of 107 characters at the most, of which Ray takes 64.
LONGEST = 40


def ray_module() -> Any:
    """The module.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.update(ENVIRONMENT)
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtraError("regard screen --engine ray", "ray") from error


@contextmanager
def cluster(address: str | None, processes: int, *, gpus: bool) -> Iterator[Any]:
    """Ray, connected to a cluster, and let go again.

    A cluster of this machine alone listens on 127.0.0.1, tells nobody, has no dashboard, and ends
    with the block or with this process, however that ends.

    Args:
        address: of a cluster, `auto` or HOST:PORT; None: one of this machine alone. A program that
            is connected already stays so.
        processes: for which a cluster of this machine has room.
        gpus: whether it has this machine's GPUs.

    Raises:
        ConfigError: there is no cluster at the address.
        RunError: none can be started here.
    """
    ray = ray_module()
    if ray.is_initialized():
        yield ray
        return
    folder = None if address else _short_folder()
    before = signal.getsignal(signal.SIGTERM)
    try:
        if folder is None:
            _join(ray, address)
        else:
            _start(ray, processes, folder, {} if gpus else {"num_gpus": 0})
        yield ray
    finally:
        ray.shutdown()
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray puts its own there
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _start(ray: Any, processes: int, folder: Path, gpus: dict[str, int]) -> None:
    try:
        with _loopback():
            ray.init(
                address="local",
                num_cpus=processes,
                include_dashboard=False,
                object_store_memory=STORE,
                _temp_dir=str(folder),
                **gpus,
                **QUIET,
            )
    except Exception as error:  # Ray has no class of its own for this
        raise RunError(
            "--engine ray",
            expected="a cluster of this machine that starts",
            found=_first_line(error),
            remedy="if the machine is very busy, wait; or leave --engine out",
        ) from error


@contextmanager
def _loopback() -> Iterator[None]:
    """Let Ray listen on 127.0.0.1 alone: it does so only where it takes clusters to be impossible.

    It reads that when it is imported, and its processes read it when they start.
    """
    constants: Any = importlib.import_module("ray._private.ray_constants")
    before, told = constants.ENABLE_RAY_CLUSTER, os.environ.get(CLUSTERS)
    constants.ENABLE_RAY_CLUSTER, os.environ[CLUSTERS] = False, "0"
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before
        if told is None:
            del os.environ[CLUSTERS]
        else:
            os.environ[CLUSTERS] = told


def _join(ray: Any, address: str | None) -> None:
    try:
        ray.init(address=address, **QUIET)
    except Exception as error:  # as above
        raise ConfigError(
            "--address",
            expected="a cluster of Ray that answers, of the same version",
            found=f"{address}: {_first_line(error)}",
            remedy="start one (ray start --head), or leave it out for this machine alone",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(".")


def _short_folder() -> Path:
    """A folder for Ray's sockets and logs."""
    place = tempfile.gettempdir()
    return Path(
        tempfile.mkdtemp(prefix="regard-ray-", dir=place if len(place) < LONGEST - 20 else "/tmp")
    )
