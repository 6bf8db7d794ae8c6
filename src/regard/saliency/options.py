"""Options of methods that several of them have."""

from regard.errors import ConfigError


def at_least_one(method: str, **counts: int | None) -> None:
    """Refuse options that count something and are less than 1; None counts nothing.

    Raises:
        ConfigError: one is.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ConfigError(
                f"method {method}",
                expected=f"{name} of 1 or more",
                found=str(count),
                remedy="give a positive number",
            )
