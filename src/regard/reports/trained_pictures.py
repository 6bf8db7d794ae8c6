"""A few of the pictures that a net was trained on, made anew as it saw them."""

from typing import Any

import torch
from torch import Tensor

from regard.data.loader import epoch_order
from regard.data.samples import Batch, Samples
from regard.data.source import open_manifest
from regard.errors import RegardError
from regard.images.mask_colours import class_colours
from regard.language import isolated, phrase
from regard.reports import layers
from regard.reports.blocks import Block, Card, Gallery, Note, Picture
from regard.reports.contents import RunContents
from regard.reports.words import listed, percent, without_folders
from regard.training.config import Config, parse_config
from regard.training.prepare import train_samples

SHOWN = 8
# Of one picture, in bytes, and its longest side in pixels.
_LARGEST, _SIDE = 9_000, 224


def trained_on(run: RunContents) -> list[Block]:
    """The first samples of the first epoch, augmented and mixed as the run's seed draws them."""
    title = phrase("As the net saw them")
    try:
        config = parse_config(run.config, "config.yaml")
        data = train_samples(config, open_manifest(config.data, run.folder))
        batch = _first(data, config)
    except (RegardError, OSError, ValueError, KeyError) as error:
        text = phrase(
            "Pictures of what it was trained on are left out: {reason}",
            reason=without_folders(error),
        )
        return [Note(text)]
    cards = [_card(batch, row, run) for row in range(len(batch))]
    about = phrase(
        "The first samples of the first epoch, made anew from the config and the seed: augmented "
        "and at the size that the net takes."
    )
    if batch.shares is not None:
        about += " " + phrase("Images are mixed of two; labels are told with their shares.")
    if batch.regions is not None:
        about += " " + phrase("Outlined is the region as it was moved along and used.")
    legend = []
    if batch.target is not None:
        legend = [*zip(run.classes, class_colours(run.classes), strict=True)]
    return [Gallery(title, about, cards, wide=len(batch.images) > 1, legend=legend)]


def _first(data: Samples, config: Config) -> Batch:
    labels = [sample.label for sample in data.samples]
    how = config.training
    draws = epoch_order(labels, how.imbalance, seed=how.seed, epoch=0)
    return data.batch(draws[:SHOWN])


def _card(batch: Batch, row: int, run: RunContents) -> Card:
    label = _label(batch, row, run)
    pictures = []
    for view, images in batch.images.items():
        image = images[row]
        what = phrase("training image, {label}", label=label) if label else phrase("training image")
        alt = what if len(batch.images) == 1 else f"{what}, {view}"
        own = _layers(batch, row, run) if not pictures else {}
        height, width = image.shape[1:]
        caption = view if len(batch.images) > 1 else ""
        photo = layers.photo(_small(image), _LARGEST)
        pictures.append(Picture(photo, alt, width, height, caption=caption, **own))
    return Card(pictures, label)


def _label(batch: Batch, row: int, run: RunContents) -> str:
    """The label, or the shares of the labels of a mixed image."""
    if batch.target is not None:
        return ""
    if batch.sets is not None:
        named = listed([run.classes[k] for k in batch.sets[row].tolist() if k >= 0])
        return named or phrase("no label")
    if batch.shares is None:
        return run.classes[int(batch.labels[row])]
    shares = batch.shares[row]
    order = [k for k in shares.argsort(descending=True).tolist() if float(shares[k]) > 0]
    if len(order) == 1:
        return run.classes[order[0]]
    return ", ".join(f"{isolated(run.classes[k])} {percent(float(shares[k]), 0)}" for k in order)


def _layers(batch: Batch, row: int, run: RunContents) -> dict[str, Any]:
    """The classes of the pixels, or the outline of the region, where there are such."""
    if batch.target is not None:
        ids = batch.target[row].numpy()
        return {"map": layers.classes(ids, class_colours(run.classes))}
    regions = batch.regions
    if regions is None or (regions.present is not None and not bool(regions.present[row])):
        return {}
    return {"outline": layers.outline(regions.attend[row].float())}


def _small(image: Tensor) -> Tensor:
    scale = _SIDE / max(image.shape[1:])
    if scale >= 1:
        return image
    found = torch.nn.functional.interpolate(
        image[None].float(), scale_factor=scale, mode="bilinear", antialias=True
    )
    return found[0].round().clamp(0, 255).to(torch.uint8)
