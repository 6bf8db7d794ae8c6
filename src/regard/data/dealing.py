"""Whole units dealt to parts of wanted shares, each class spread over them as evenly as can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regard.data.keys import key


@dataclass(frozen=True)
class Unit:
    """What stays together: a group of samples, or one alone.

    Attributes:
        size: samples.
        labels: how many of them have each label.
    """

    size: int
    labels: Mapping[str, int]


def deal(units: Mapping[str, Unit], shares: Sequence[float], seed: int) -> dict[str, int]:
    """The part of each unit by iterative stratification, for samples of several labels.

    Label by label, the one with the fewest samples left first: each of its units goes to the part
    that still wants most of this label, of equals to the one that still wants most samples, of
    equals by a keyed draw. Units without a label come last, to the part that wants most samples.

    Reference: Sechidis, Tsoumakas, Vlahavas, On the Stratification of Multi-label Data, ECML PKDD
    2011, algorithm 1; there single samples, here units, the larger ones of a label first.

    Args:
        units: by name.
        shares: of the parts, summing to 1.
        seed: of the draws.
    """
    left = _totals(units)
    samples = sum(unit.size for unit in units.values())
    wanted = [share * samples for share in shares]
    wanted_of = {label: [share * count for share in shares] for label, count in left.items()}
    order = sorted(units, key=lambda name: (-units[name].size, key(seed, "split", name)))
    found: dict[str, int] = {}

    def give(name: str, wishes: Sequence[float]) -> None:
        drawn = [key(seed, "part", name, part) for part in range(len(shares))]
        # Rounded, as sums of shares that are equal in truth differ in their last bit.
        ranks = zip(
            (round(w, 6) for w in wishes), (round(w, 6) for w in wanted), drawn, strict=True
        )
        ranked = list(ranks)
        part = found[name] = ranked.index(max(ranked))
        wanted[part] -= units[name].size
        for label, count in units[name].labels.items():
            wanted_of[label][part] -= count
            left[label] -= count

    while remaining := [label for label, count in left.items() if count > 0]:
        label = min(remaining, key=lambda label: (left[label], label))
        for name in order:
            if name not in found and label in units[name].labels:
                give(name, wanted_of[label])
    for name in order:
        if name not in found:
            give(name, wanted)
    return found


def _totals(units: Mapping[str, Unit]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for unit in units.values():
        for label, count in unit.labels.items():
            totals[label] = totals.get(label, 0) + count
    return totals
