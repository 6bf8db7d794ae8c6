"""Regard: train image models to look at the right thing, and prove that they do.

The names below are imported on first use, so that `import regard` costs little.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regard import guidance, saliency, scores
    from regard.data.manifest import read_manifest
    from regard.data.regions import Regions
    from regard.models.build import build_model
    from regard.runs.run import load_run
    from regard.saliency.explain import explain
    from regard.scores.scoring import score
    from regard.training.config import read_config
    from regard.training.train import train

__version__ = "0.1.0.dev0"
__all__ = [
    "Regions",
    "build_model",
    "explain",
    "guidance",
    "load_run",
    "read_config",
    "read_manifest",
    "saliency",
    "score",
    "scores",
    "train",
]

_HOMES = {
    "Regions": "regard.data.regions",
    "build_model": "regard.models.build",
    "explain": "regard.saliency",
    "load_run": "regard.runs.run",
    "read_config": "regard.training.config",
    "read_manifest": "regard.data.manifest",
    "score": "regard.scores",
    "train": "regard.training.train",
}
_ROOMS = ("guidance", "saliency", "scores")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"regard.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'regard' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
