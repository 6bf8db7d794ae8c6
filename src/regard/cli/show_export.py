"""What was exported, on the terminal."""

from typing import Any

from regard.cli.console import say, with_interval
from regard.language import probability


def show_export(values: dict[str, Any]) -> None:
    """Print what the file takes and gives, how it was checked, and what 8 bits cost and gain."""
    about, parity = values["about"], values["parity"]
    height, width = about["size"]
    views = ", ".join(about["views"])
    say(f"{values['file']}: {values['bytes'] / 1e6:.1f} MB, {about['precision']}")
    say(f"takes {views}: uint8 (B, 3, {height}, {width}), RGB; gives {', '.join(about['outputs'])}")
    say(f"classes: {', '.join(about['classes'])}")
    if about.get("threshold") is not None:
        threshold = probability(about["threshold"], 4)
        say(f"{about['positive']} from {threshold} on, as threshold.json says")
    far = max(parity["difference"].values())
    say(
        f"Parity{' of float32' if values['quantized'] else ''}: {parity['images']} photos, batches "
        f"of {' and '.join(map(str, parity['batches']))}, largest difference {far:.1g} "
        f"(at most {parity['tolerance']:g})"
    )
    told = values["quantized"]
    if told is None:
        return
    say(
        f"8 bits on val ({told['samples']} samples): {told['metric']} {told['before']:.3f} to "
        f"{told['after']:.3f}, difference {with_interval(told['difference'])}"
    )
    size, time = told["bytes"], told["latency_ms"]
    say(
        f"{size['before'] / 1e6:.1f} MB to {size['after'] / 1e6:.1f} MB; one image "
        f"{time['before']:.1f} ms to {time['after']:.1f} ms, {told['speedup']:.2f} times as fast"
    )
