"""What the patches of a net of two branches weigh: the five functions beside each other."""

from torch import Tensor
from torch.nn import functional as F

from regard.data.patch_weights import KINDS, PatchWeights
from regard.errors import DataError
from regard.models.patch_weighting import PatchWeighting
from regard.reports import layers
from regard.reports.album import Album, MissingPicturesError, photo_limit
from regard.reports.blocks import Card, Gallery, Note, Picture, Section
from regard.reports.contents import RunContents
from regard.reports.galleries import unreadable
from regard.reports.words import decimal, without_folders

SHOWN = 3


def patches_section(run: RunContents) -> list[Section]:
    """The first samples of the last split, a picture for each function; none without weights."""
    settings = run.config["model"].get("patch_weights")
    known = [split for split in run.splits if split.predictions is not None]
    if not settings or not known:
        return []
    table = known[-1].predictions
    assert table is not None
    rows = list(table.head(SHOWN).iter_rows(named=True))
    try:
        limit = photo_limit(len(rows) * len(KINDS))
        album = Album(run.folder, table, known[-1].name, limit)
        (weighting,) = (m for m in album.run.net.modules() if isinstance(m, PatchWeighting))
    except (MissingPicturesError, ValueError) as error:
        return [Section("patches", "Patches", [Note(f"Pictures are left out: {error}")])]
    cards, wrong = [], []
    for row in rows:
        try:
            cards.append(_card(album, row, weighting))
        except (DataError, OSError) as error:
            wrong.append(without_folders(error))
    how = weighting.how
    about = f"By the share of each patch that is evidence in the view {how.view}, in the grid of "
    about += f"the first branch, each over its own maximum. This run has {how.kind}, "
    about += {
        (True, True): "for tokens and loss.",
        (True, False): "for tokens alone.",
        (False, True): "for the loss alone.",
        (False, False): "for neither tokens nor loss.",
    }[how.tokens, how.loss]
    blocks = [Gallery("What patches weigh", about, cards, wide=True)] if cards else []
    return [Section("patches", "Patches", [*blocks, *unreadable(wrong, "Patches")])]


def _card(album: Album, row: dict, weighting: PatchWeighting) -> Card:
    images, shown = album.given(row["index"]), album.shown(row["index"])
    file, pictures = album.named(row["image"]), []
    for kind in KINDS:
        how: PatchWeights = weighting.how.model_copy(update={"kind": kind})
        weights = PatchWeighting(how, weighting.grids[:1], weighting.spec).weights(images)[0][0]
        least, most = (decimal(float(w), 2) for w in (weights.min(), weights.max()))
        own = " (this run)" if kind == weighting.how.kind else ""
        height, width = shown.size
        pictures.append(
            Picture(
                shown.photo,
                f"{file}, weights of patches by {kind}",
                width,
                height,
                layers.heat(_blocks(weights, shown.size)),
                shown.outline,
                f"{kind}{own}, {least} to {most}",
            )
        )
    return Card(pictures, row["label"], (), file)


def _blocks(weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Weights (h, w) as patches with sharp edges, at a third of the photo's size."""
    height, width = (max(1, side // 3) for side in size)
    return F.interpolate(weights[None, None], (height, width), mode="nearest-exact")[0, 0]
