"""What the patches of a net of two branches weigh: the five functions beside each other."""

from torch import Tensor
from torch.nn import functional as F

from regard.data.patch_weights import KINDS, PatchWeights
from regard.errors import DataError
from regard.language import Phrases, phrase
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
        return [
            Section(
                "patches",
                phrase("Patches"),
                [Note(phrase("Pictures are left out: {reason}", reason=error))],
            )
        ]
    cards, wrong = [], []
    for row in rows:
        try:
            cards.append(_card(album, row, weighting))
        except (DataError, OSError) as error:
            wrong.append(without_folders(error))
    how = weighting.how
    text = phrase(
        "By the share of each patch that is evidence in the view {view}, in the grid of the first "
        "branch, each over its own maximum.",
        view=how.view,
    )
    about = f"{text} {phrase(_USES[how.tokens, how.loss], kind=how.kind)}"
    blocks = [Gallery(phrase("What patches weigh"), about, cards, wide=True)] if cards else []
    return [Section("patches", phrase("Patches"), [*blocks, *unreadable(wrong, phrase("Patches"))])]


# By whether tokens and whether the loss are weighed.
_USES: Phrases = {
    (True, True): "This run has {kind}, for tokens and loss.",
    (True, False): "This run has {kind}, for tokens alone.",
    (False, True): "This run has {kind}, for the loss alone.",
    (False, False): "This run has {kind}, for neither tokens nor loss.",
}


def _card(album: Album, row: dict, weighting: PatchWeighting) -> Card:
    images, shown = album.given(row["index"]), album.shown(row["index"])
    file, pictures = album.named(row["image"]), []
    for kind in KINDS:
        how: PatchWeights = weighting.how.model_copy(update={"kind": kind})
        own = PatchWeighting(how, weighting.grids[:1], weighting.spec).to(album.run.device)
        weights = own.weights(images)[0][0].cpu()
        least, most = (decimal(float(w), 2) for w in (weights.min(), weights.max()))
        caption = phrase(
            "{kind} (this run), {least} to {most}"
            if kind == weighting.how.kind
            else "{kind}, {least} to {most}",
            kind=kind,
            least=least,
            most=most,
        )
        height, width = shown.size
        pictures.append(
            Picture(
                shown.photo,
                f"{file}, {phrase('weights of patches by {kind}', kind=kind)}",
                width,
                height,
                layers.heat(_blocks(weights, shown.size)),
                shown.outline,
                caption,
            )
        )
    return Card(pictures, row["label"], (), file)


def _blocks(weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Weights (h, w) as patches with sharp edges, at a third of the photo's size."""
    height, width = (max(1, side // 3) for side in size)
    return F.interpolate(weights[None, None], (height, width), mode="nearest-exact")[0, 0]
