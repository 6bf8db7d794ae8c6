"""Optuna, which is an extra: where it is missing, one line says so."""

from regard.errors import MissingExtraError

try:
    import optuna
except ImportError as error:
    raise MissingExtraError("regard tune", "tune") from error


def quiet() -> None:
    """Let Optuna print warnings alone: what is told of trials, we tell."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
