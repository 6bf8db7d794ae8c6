"""Every error that Regard raises on purpose.

RegardError (ValueError)     a user's mistake: one line with expected, found and remedy
├── DataError                manifest, images, regions, splits
│   └── OddFileError         no regular file, or one that is too long (files.reading)
├── ConfigError              configuration files, options, recipe and arm names
│   └── SettingError         a key of a config, with its place (settings.mistakes)
├── ModelError               specs, weights, layers, outputs
├── TargetError              what to explain
├── RunError                 a run's or a study's folder
├── MissingExtraError        an optional dependency is not installed
└── RefusedError             a request to the page, with a status of its own (server.refusals):
                             NotFound-, Unauthorised-, Forbidden-, TooSlow-, TooLarge-,
                             Unsupported-, Busy- and UnavailableError
NumericalError               training blew up; the last good checkpoint is kept
LostProcessError             of a training in several processes another one has ended
Interrupted                  a run was asked to stop; a checkpoint is written (training.stopping)
BrokenOffError               a trial does worse than others did (studies.tuning_trial)
"""

import errno
import os
import re
import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

# Controls but for the ends of lines and tabs, bytes that are no UTF-8, marks of direction.
STEERING = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class RegardError(ValueError):
    """A mistake that the user can mend: where, what was expected, what was found, what to do."""

    def __init__(self, where: str, *, expected: str, found: str, remedy: str) -> None:
        self.where, self.expected, self.found, self.remedy = where, expected, found, remedy
        line = f"{where}: expected {expected}, found {found}; {remedy}"
        super().__init__(printable(" ".join(line.split())))

    def within(self, place: str) -> "RegardError":
        """The same mistake with a wider place named before its own."""
        fields = (self.expected, self.found, self.remedy)
        return _again(type(self), f"{place}, {self.where}", *fields)

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors of worker processes reach the user through pickle.
        fields = (self.where, self.expected, self.found, self.remedy)
        return _again, (type(self), *fields)


def _again(
    kind: type[RegardError], where: str, expected: str, found: str, remedy: str
) -> RegardError:
    error = kind.__new__(kind)
    RegardError.__init__(error, where, expected=expected, found=found, remedy=remedy)
    return error


class DataError(RegardError):
    """The manifest, an image, a region or a split is not as it should be."""


class ConfigError(RegardError):
    """A configuration file, an option or a name in it is not as it should be."""


class ModelError(RegardError):
    """A model's spec, its weights, a layer or its output is not as it should be."""


class TargetError(RegardError):
    """The target of an explanation does not fit the model or the batch."""


class RunError(RegardError):
    """A run's or a study's folder is not as it should be."""


class MissingExtraError(RegardError):
    """An optional dependency is needed and absent."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            what,
            expected=f"the optional dependency group {extra!r}",
            found="it is not installed",
            remedy=f"run: pip install 'regard[{extra}]'",
        )


class NumericalError(ArithmeticError):
    """A loss or gradient is not finite; names the batch's files and the last good checkpoint."""


class LostProcessError(RuntimeError):
    """Of processes that train together another one has ended, or cannot be reached any more."""


# What to expect where the system refuses, and what to do.
_ROOM = "room on the disk", "make room, and give the command again (a training with --resume)"
_RIGHTS = "a file or folder that this user may use", "change its rights, or choose another"
_REFUSED = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: ("a file system for files of this size", "choose a folder on another one"),
    errno.EROFS: ("a file system that may be written", "choose a folder on another one"),
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENAMETOOLONG: ("a name of at most 255 bytes", "rename it"),
    errno.EEXIST: ("a folder", "choose another path"),
    errno.ENOENT: ("a file or folder that is there", "check the path"),
    errno.ENOTDIR: ("a folder", "choose another path"),
    errno.EISDIR: ("a file", "choose another path"),
    errno.ELOOP: ("a file of its own", "remove the link"),
    errno.EMFILE: ("fewer open files", "raise the limit: ulimit -n 4096"),
}
_OTHERWISE = "a disk that answers", "look after it, and give the command again"


def of_system(error: OSError) -> RegardError:
    """What the operating system refused, as a line with what to do about it."""
    expected, remedy = _REFUSED.get(error.errno or 0, _OTHERWISE)
    reason = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
    name = error.filename if error.filename is not None else "a file, or standard output"
    where = os.fsdecode(name) if isinstance(name, str | bytes) else str(name)
    return RegardError(where, expected=expected, found=reason, remedy=remedy)


def printable(text: str) -> str:
    """The text with what would steer a terminal, or turn its writing around, written out.

    Labels and file names come from strangers.
    """
    return STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def command(*words: object) -> str:
    """A command of regard as it can be pasted into a shell, whatever is in the names of files."""
    return shlex.join(["regard", *map(str, words)])


def wrong(where: str, expected: str, found: str, remedy: str) -> ConfigError:
    """A ConfigError from its parts in order, for checks of many options."""
    return ConfigError(where, expected=expected, found=found, remedy=remedy)


def near(name: str, known: Iterable[str]) -> str:
    """A remedy for a misspelt name: the near ones, or all of them when there are few."""
    names = sorted(known)
    lower: dict[str, str] = {}
    for own in names:
        lower.setdefault(own.lower(), own)
    close = get_close_matches(str(name).lower(), lower, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(lower[own] for own in close) + "?"
    if len(names) <= 40:
        return "choose one of: " + ", ".join(names)
    return f"there are {len(names)}, such as {', '.join(names[:3])} and {', '.join(names[-3:])}"
