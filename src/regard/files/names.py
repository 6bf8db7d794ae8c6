"""Names that files and folders are called by: of splits, studies, tunings."""

LONGEST = 100


def is_plain(name: str) -> bool:
    """Whether a file can have that name, on any system and in the folder that it is meant for."""
    if not name.isprintable() or not name.strip() or name.startswith("."):
        return False
    return not {"/", "\\"} & {*name} and len(name.encode()) <= LONGEST


def named_plainly(name: str) -> str:
    """The name, for a setting.

    Raises:
        ValueError: no file can have it.
    """
    if is_plain(name):
        return name
    found = ascii(name[:60])
    raise ValueError(f"{found}; write a name without /, of {LONGEST} bytes at the most")
