"""What the trainings of an arm cost: time, epochs, parameters, latency."""

import polars as pl

# Columns of the results, and of what one counts the mean over the runs.
COST = ("seconds", "epochs", "parameters", "latency_ms", "flops")


def costs(runs: pl.DataFrame) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation over the runs of an arm of what was measured of them.

    Args:
        runs: the finished runs of an arm, one row each.

    Returns:
        By name `mean`, `sd` (None of one run) and `n`.
    """
    found = {}
    for name in COST:
        if name not in runs.columns:
            continue
        values = runs[name].drop_nulls().cast(pl.Float64)
        if len(values):
            sd = values.std() if len(values) > 1 else None
            found[name] = {"mean": values.mean(), "sd": sd, "n": len(values)}
    return found
