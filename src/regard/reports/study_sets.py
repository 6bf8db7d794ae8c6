"""The same images with the sets of labels that every arm of a study predicts."""

from collections.abc import Callable, Mapping

from regard.errors import RegardError
from regard.reports.album import Album, MissingPicturesError, Shelf, photo_limit
from regard.reports.blocks import Block, Card, Gallery, Note
from regard.reports.contents import SplitContents
from regard.reports.galleries import made_cards, most_changed, scaled, unreadable
from regard.reports.set_galleries import named
from regard.reports.study_contents import Done
from regard.reports.words import decimal, without_folders

Step = Callable[[int], None]
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
    risen, fallen = most_changed(change, pictures)
    if not risen and not fallen:
        return [Note(f"No set of {split} has another F1 under {arm} than under {against}.")]
    limit, shelf = photo_limit((1 + len(parts)) * (len(risen) + len(fallen))), Shelf()
    try:
        albums = {
            name: Album(runs[name].contents.folder, part.predictions, split, limit, shelf)
            for name, part in parts.items()
            if part.predictions is not None
        }
    except (RegardError, MissingPicturesError) as error:
        return [Note(f"Pictures of {split} are left out: {without_folders(error)}")]
    blocks: list[Block] = []
    for title, chosen in ((f"Better under {arm}", risen), (f"Better under {against}", fallen)):
        cards, wrong = made_cards(chosen, lambda index: _card(albums, rows, pair, index), progress)
        about = "The largest difference of a set's F1 first; maps of the class that differs. "
        about += f"Runs of seed {runs[arm].seed}. {scaled(runs[arm].contents.maps)}"
        blocks += [Gallery(title, about, cards, wide=True)] if cards else []
        blocks += unreadable(wrong, title)
    return blocks


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
    pictures = [first.picture(index, None, f"{file}, without a map", "image")]
    for arm, album in albums.items():
        row = rows[arm].get(index)
        if row is not None:
            said = f"{arm}: {named(row['predicted'])}, F1 {decimal(row['f1_samples'], 2)}"
            alt = f"{file}, {arm}, map of {changed}"
            pictures.append(album.picture(index, changed, alt, said, label=changed))
    return Card(pictures, named(own["labels"]), [("maps of", changed)], file)
