"""Commands that the page shows: to be pasted into a shell, wherever that stands."""

import json
from pathlib import Path

import yaml

from regard.errors import command
from regard.server.facts import Facts

# What would split the samples anew, and leave a corrected manifest's splits unread.
_SPLITTING = ("split", "folds", "val_from_train")


def train_command(facts: Facts, manifest: Path) -> str:
    """How to train with a corrected manifest, whose splits are those that the run had."""
    config, data = facts.files.config, facts.config["data"]
    changes = [f"data.manifest={_in_yaml(str(manifest))}"]
    changes += [f"data.{name}=null" for name in _SPLITTING if data.get(name) is not None]
    words: list[object] = []
    for change in changes:
        words += ["--set", change]
    out = facts.found.path.with_name(f"{facts.found.path.name}-{manifest.stem}")
    return command("train", config, *words, "--out", out)


def evaluate_command(facts: Facts, split: str) -> str:
    """How to predict a split of a run."""
    return command("evaluate", facts.found.path, "--split", split)


def _in_yaml(text: str) -> str:
    """A text as it is, or in quotes where YAML would read something else."""
    try:
        plain = yaml.safe_load(text) == text
    except yaml.YAMLError:
        plain = False
    return text if plain else json.dumps(text, ensure_ascii=False)
