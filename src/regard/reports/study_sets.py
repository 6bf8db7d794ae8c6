"""The same images with the sets of labels that every arm of a study predicts."""

from collections.abc import Mapping

from regard.errors import RegardError
from regard.language import phrase
from regard.progress import Step
from regard.reports.album import Album, MissingPicturesError
from regard.reports.blocks import Block, Card, Note
from regard.reports.contents import SplitContents
from regard.reports.galleries import left_out, most_changed, scaled, without_map
from regard.reports.set_galleries import named
from regard.reports.study_albums import arm_albums, better_galleries
from regard.reports.study_contents import Done
from regard.reports.words import decimal

Rows = Mapping[int, Mapping]


def study_set_galleries(
    runs: Mapping[str, Done],
    parts: Mapping[str, SplitContents],
    pair: tuple[str, str],
    split: str,
    pictures: int,
    progress: Step | None,
) -> list[Block]:
    """Photo, and each arm's set and map, where the F1 of the first comparison's arms differs most.

    Arguments as of `study_mask_galleries`.
    """
    rows = {arm: _by_index(part) for arm, part in parts.items()}
    arm, against = pair
    shared = sorted(set(rows[arm]) & set(rows[against]))
    change = {i: rows[arm][i]["f1_samples"] - rows[against][i]["f1_samples"] for i in shared}
    changed = most_changed(change, pictures)
    if not any(changed):
        text = "No set of {split} has another F1 under {arm} than under {against}."
        return [Note(phrase(text, split=split, arm=arm, against=against))]
    try:
        albums = arm_albums(runs, parts, split, (1 + len(parts)) * sum(map(len, changed)))
    except (RegardError, MissingPicturesError) as error:
        return [left_out(split, error)]
    about = phrase(
        "The largest difference of a set's F1 first; maps of the class that differs. Runs of seed "
        "{seed}.",
        seed=runs[arm].seed,
    )
    about = f"{about} {scaled(runs[arm].contents.maps)}"
    return better_galleries(
        pair, changed, about, lambda index: _card(albums, rows, pair, index), progress
    )


def _by_index(part: SplitContents) -> Rows:
    assert part.predictions is not None
    return {row["index"]: row for row in part.predictions.iter_rows(named=True)}


def _card(
    albums: Mapping[str, Album], rows: Mapping[str, Rows], pair: tuple[str, str], index: int
) -> Card:
    own, other = (rows[arm][index] for arm in pair)
    changed = sorted(set(own["predicted"]) ^ set(other["predicted"]))[0]
    first = albums[pair[0]]
    file = first.named(own["image"])
    pictures = [first.picture(index, None, without_map(file), phrase("image"))]
    for arm, album in albums.items():
        row = rows[arm].get(index)
        if row is not None:
            said = phrase(
                "{arm}: {answer}, F1 {f1}",
                arm=arm,
                answer=named(row["predicted"]),
                f1=decimal(row["f1_samples"], 2),
            )
            alt = f"{file}, {arm}, {phrase('map of {label}', label=changed)}"
            pictures.append(album.picture(index, changed, alt, said, label=changed))
    return Card(pictures, named(own["labels"]), [(phrase("maps of"), changed)], file)
