"""The folder that a made set is written to."""

from pathlib import Path

from regard.errors import ConfigError


def refuse_used(out: Path) -> None:
    """Refuse a folder that holds files, which a new set would be mixed with.

    Raises:
        ConfigError: there are files in it, or it is a file.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"output folder {out}",
            expected="a folder that is empty or does not exist",
            found="files in it" if out.is_dir() else "a file",
            remedy="choose another folder, or empty this one",
        )
