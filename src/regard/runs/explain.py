"""Overlays and maps of images, written to a folder."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from regard.data.sample import Draw, Sample, of_label
from regard.data.samples import Samples
from regard.data.source import mask_classes, samples_of, splits_of
from regard.data.transforms import Source, Transform
from regard.data.where import Where
from regard.errors import ConfigError, DataError, RegardError, near
from regard.evaluation.answers import probabilities_of
from regard.evaluation.label_sets import THRESHOLD
from regard.evaluation.predict import model_input
from regard.evaluation.settings import Gaze
from regard.files.atomic import write_atomically
from regard.images.decoding import image_size
from regard.images.pictures import own_name, save_image
from regard.models.tensors import write_safetensors
from regard.progress import Step
from regard.runs.background import BACKGROUND, options_of
from regard.runs.explanations import INDEX, listed, refuse_limit, remove_stale
from regard.runs.files import write_json
from regard.runs.overlay import laid, percent, picture, shown_size, whole
from regard.runs.run import Run
from regard.saliency.capture import Images, evaluating
from regard.saliency.explain import explain
from regard.saliency.outputs import logits_of
from regard.saliency.resizing import resize
from regard.saliency.targets import PixelTarget
from regard.scores.base import one_sign


@dataclass(frozen=True)
class Seen:
    """One image as the net saw it.

    Attributes:
        path: of the image.
        sample: of the manifest that has this image, with its region; None for another image.
        shares: (classes,), the probabilities, of sets of labels each by itself; of a segmenter the
            shares of the pixels where each class is predicted.
        chosen: the class that is explained.
        maps: by method, at the layer's resolution.
        explained: of a segmenter the pixels (H, W) of the input where the class is predicted.
        classes: of a segmenter the predicted class of each pixel, uint8 (H, W).
    """

    path: str
    sample: Sample | None
    shares: Tensor
    chosen: int
    maps: dict[str, Tensor]
    explained: Tensor | None = None
    classes: Tensor | None = None

    @property
    def predicted(self) -> int:
        """The most probable class."""
        return int(self.shares.argmax())

    @property
    def predicted_set(self) -> list[int]:
        """The classes whose probability is one half or more, where each stands by itself."""
        return (self.shares >= THRESHOLD).nonzero().flatten().tolist()


def images_of(run: Run, split: str, limit: int | None = None) -> list[str]:
    """The paths of a split's images, the first `limit` of them.

    Raises:
        ConfigError: a limit below 1.
    """
    refuse_limit(limit)
    manifest = run.manifest()
    return [manifest.resolve(path) for path in manifest.select(split)["image"].to_list()[:limit]]


def explain_images(
    run: Run,
    paths: Sequence[str],
    methods: Sequence[str],
    out: Path,
    *,
    target: str | None = None,
    background: int = BACKGROUND,
    progress: Step | None = None,
) -> list[dict[str, Any]]:
    """Write `METHOD/NNNNN-NAME.jpg`, `maps.safetensors` and `explanations.json`.

    A picture has the photo in its own proportions, the same under its map, with the region's
    outline where the run's manifest has one for this image, and a caption. Layer and contrast
    are those of the run's `gaze`. Of a segmenter the map explains a class over the pixels where it
    is predicted, which are outlined on the photo; the map's outline is the class in the mask.
    Pictures that an earlier `explanations.json` of the folder lists are replaced or removed.

    Args:
        run: loaded.
        paths: of images.
        methods: names.
        out: the folder.
        target: a class; None: the predicted one of each image, which a segmenter has not.
        background: images of train that a method begins from, see `background_of`.
        progress: called with 1 after each image.

    Returns:
        The rows of `explanations.json`: image, method, contrast, target, files; predicted and
        probabilities, or of a segmenter the share of the pixels that are predicted to be of target.

    Raises:
        ConfigError: an unknown method or class, or no images for a background.
        DataError: an image cannot be read, or the run's manifest where a method needs it.
    """
    _refuse_target(run, target)
    # An unknown one is refused before anything is written.
    options = {method: options_of(run, method, background) for method in methods}
    gaze, known = Gaze.model_validate(run.config["gaze"]), samples_by_path(run)
    before = listed(out)
    rows, maps = [], {}
    for number, path in enumerate(paths):
        seen = look(run, path, known.get(os.path.abspath(path)), options, gaze, target)
        for method, own in seen.maps.items():
            row = _row(run, seen, method, number, gaze)
            image = overlay(run, seen, method, contrast=gaze.contrast)
            # Thin lines of a bright colour turn dull where colours are stored at half the size.
            how = {"quality": 90, "subsampling": 0}
            save_image(image, out / row["overlay"], "JPEG", flush=True, **how)
            maps[row["map"]] = resize(own[None], run.transform.size)[0].contiguous()
            rows.append(row)
        if progress is not None:
            progress(1)
    write_atomically(out / "maps.safetensors", lambda file: write_safetensors(file, maps))
    write_json(out / INDEX, rows)
    remove_stale(out, before, rows)
    return rows


def _refuse_target(run: Run, target: str | None) -> None:
    if target is None and run.segments:
        raise ConfigError(
            "class",
            expected="a class to explain, as the answer of a segmenter has many",
            found="none",
            remedy="name one of: " + ", ".join(run.classes),
        )
    if target is not None and target not in run.classes:
        raise ConfigError(
            "class", expected="a class", found=repr(target), remedy=near(target, run.classes)
        )


def samples_by_path(run: Run) -> dict[str, Sample]:
    """The samples of the run's manifest by their image; empty where the manifest is gone."""
    try:
        manifest = run.manifest()
        splits = splits_of(manifest.table)
        found = [samples_of(manifest, s, run.classes, run.data) for s in splits]
    except (RegardError, OSError, ValueError):
        return {}
    return {os.path.abspath(s.views[0][1]): s for samples in found for s in samples}


def look(
    run: Run,
    image: Source,
    sample: Sample | None,
    methods: Mapping[str, Mapping[str, Any]],
    gaze: Gaze,
    target: str | None = None,
    *,
    at: tuple[float, float] | None = None,
) -> Seen:
    """Ask the net about one image, and where it looks.

    Args:
        run: loaded.
        image: its path, or anything else that a transform takes.
        sample: of the manifest that has this image; None for another image.
        methods: name to options.
        gaze: whose layer and contrast the maps have.
        target: a class; None: the predicted one, of a segmenter the one predicted on most pixels.
        at: of a segmenter, the row and the column of one pixel as shares of the input in [0, 1):
            its predicted class is explained there alone. None: where the class is predicted.

    Raises:
        DataError: the image cannot be read.
    """
    images = _input(run, image, sample)
    with evaluating(run.net):
        with torch.no_grad():
            logits = logits_of(run.net(images)).float()[0].cpu()
        shares = (
            _pixel_shares(logits) if run.segments else probabilities_of(logits, run.task, dim=0)
        )
        chosen = int(shares.argmax()) if target is None else run.classes.index(target)
        pixel = None if at is None else _place(at, logits)
        if pixel is not None:
            chosen = int(logits[:, *pixel].argmax())
        asked = PixelTarget(chosen, pixel or "predicted") if run.segments else [chosen]
        how = {"layer": gaze.layer, "contrast": gaze.contrast, "view": run.explained_view}
        maps = {
            method: explain(run.net, images, asked, method, **how, **own)[0].cpu()
            for method, own in methods.items()
        }
    explained = (logits.argmax(0) == chosen).float() if run.segments else None
    classes = logits.argmax(0).to(torch.uint8) if run.segments else None
    path = str(image) if isinstance(image, str | Path) else "image"
    return Seen(path, sample, shares, chosen, maps, explained, classes)


def _place(at: tuple[float, float], logits: Tensor) -> tuple[int, int]:
    height, width = logits.shape[1:]
    return min(height - 1, int(at[0] * height)), min(width - 1, int(at[1] * width))


def _pixel_shares(logits: Tensor) -> Tensor:
    """Of logits (K, H, W) the shares (K,) of the pixels where each class wins."""
    won = logits.argmax(0).flatten()
    return torch.bincount(won, minlength=len(logits)) / len(won)


def _input(run: Run, image: Source, sample: Sample | None) -> Images:
    """An image as the net takes it, with its further views."""
    device = next(run.net.parameters()).device
    if run.explained_view is None:
        return run.transform(image).to(device)
    if sample is None:
        raise DataError(
            str(image) if isinstance(image, str | Path) else "image",
            expected="an image of the run's manifest, where its views "
            + ", ".join(run.data.views[1:])
            + " are named",
            found="another image",
            remedy="add it to the manifest, or call Run.predict with all views",
        )
    return model_input(Samples([sample], run.transform).batch([Draw(0)]), run.transform, device)


def _row(run: Run, seen: Seen, method: str, number: int, gaze: Gaze) -> dict[str, Any]:
    return {
        "image": seen.path,
        "method": method,
        "contrast": gaze.contrast,
        "target": run.classes[seen.chosen],
        **_answer(run, seen),
        "overlay": f"{method}/{number:05d}-{own_name(seen.path)}.jpg",
        "map": f"{method}/{number:05d}",
    }


def _answer(run: Run, seen: Seen) -> dict[str, Any]:
    """What the net says, for a row."""
    own = float(seen.shares[seen.chosen])
    if run.segments:
        return {"share": own}
    if run.several:
        return {"predicted": _named(run, seen.predicted_set), "target_probability": own}
    return {
        "predicted": run.classes[seen.predicted],
        "probability": float(seen.shares[seen.predicted]),
        "target_probability": own,
    }


def _named(run: Run, classes: Sequence[int]) -> list[str]:
    return [run.classes[k] for k in classes]


def overlay(run: Run, seen: Seen, method: str, *, contrast: bool) -> Image.Image:
    """Photo and overlay side by side, with a caption."""
    original = image_size(seen.path)
    size = shown_size(original)
    large = whole(run.transform, size)
    map_ = one_sign(seen.maps[method][None].float(), "positive")[0]
    heat = laid(map_, run.transform, original, size)
    words = caption(run, seen, method, contrast=contrast)
    if float(map_.max()) <= 0:
        words[1] += "; the map is zero everywhere"
    own = seen.explained
    explained = None if own is None else laid(own, run.transform, original, size)
    region = None
    try:
        if seen.sample is not None:
            region = _region(run, seen, large)
    except DataError:
        words[2] += " (its region cannot be read)"
    return picture(large.load(seen.path), heat, region, words, explained=explained)


def _region(run: Run, seen: Seen, large: Transform) -> Tensor | None:
    """The sample's region, or of a segmenter the class's pixels, at the size that is shown."""
    assert seen.sample is not None
    if run.several:
        return Where(large).region(of_label(seen.sample, seen.chosen))
    if not run.segments:
        return Where(large).region(seen.sample)
    classes = mask_classes(run.manifest(), run.data.void)
    own = classes.read(str(seen.sample.mask), max_pixels=large.max_pixels) == seen.chosen
    return large.fit_mask(own.float())


def caption(run: Run, seen: Seen, method: str, *, contrast: bool) -> list[str]:
    """What was predicted, what the map shows, and of which image."""
    predicted, target = run.classes[seen.predicted], run.classes[seen.chosen]
    how, file = f"{method}{' with contrast' if contrast else ''}", Path(seen.path).name
    own = percent(float(seen.shares[seen.chosen]))
    if run.segments:
        first = f"{target}, predicted on {own} of the pixels"
        second = f"{how}, of these pixels (yellow)"
        return [first, second + "; pink: where it truly is" * (seen.sample is not None), file]
    if run.several:
        return [*_set_words(run, seen), f"{how}, target {target}, {own}", file]
    first = f"predicted {predicted}, {percent(float(seen.shares[seen.predicted]))}"
    if seen.sample is not None:
        first += f" (label {run.classes[seen.sample.label]})"
    second = f"{how}, target {target}"
    if seen.chosen != seen.predicted:
        second += f", {own}"
    return [first, second, file]


def _set_words(run: Run, seen: Seen) -> list[str]:
    """The predicted set and, where it is known, what is missed and what is none of its labels."""
    guess = set(seen.predicted_set)
    text = "predicted " + (", ".join(_named(run, sorted(guess))) or "nothing")
    if seen.sample is None:
        return [text]
    true = set(seen.sample.labels or ())
    parts = {"missed": sorted(true - guess), "wrong": sorted(guess - true)}
    told = [f"{word} {', '.join(_named(run, own))}" for word, own in parts.items() if own]
    return [f"{text} ({'; '.join(told) or 'right'})"]
