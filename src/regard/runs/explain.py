"""Overlays and maps of images, written to a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from regard.data.sample import Sample, of_label
from regard.data.source import mask_classes, samples_of, splits_of
from regard.data.transforms import Transform
from regard.data.where import Where
from regard.errors import ConfigError, DataError, RegardError, near
from regard.evaluation.settings import Gaze
from regard.files.atomic import write_atomically
from regard.files.relative import known_by
from regard.images.opening import image_size
from regard.images.pictures import own_name, save_image
from regard.models.tensors import write_safetensors
from regard.progress import Step
from regard.runs.background import BACKGROUND, options_of
from regard.runs.explained import Explained, explain_image
from regard.runs.explanations import INDEX, listed, refuse_limit, remove_stale
from regard.runs.files import write_json
from regard.runs.overlay import laid, percent, picture, shown_size, whole
from regard.runs.run import Run
from regard.saliency.resizing import resize
from regard.scores.base import one_sign


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
        seen = explain_image(run, path, known.get(known_by(path)), options, gaze, target)
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
    return {known_by(s.views[0][1]): s for samples in found for s in samples}


def _row(run: Run, seen: Explained, method: str, number: int, gaze: Gaze) -> dict[str, Any]:
    return {
        "image": seen.path,
        "method": method,
        "contrast": gaze.contrast,
        "target": run.classes[seen.chosen],
        **_answer(run, seen),
        "overlay": f"{method}/{number:05d}-{own_name(seen.path)}.jpg",
        "map": f"{method}/{number:05d}",
    }


def _answer(run: Run, seen: Explained) -> dict[str, Any]:
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


def overlay(run: Run, seen: Explained, method: str, *, contrast: bool) -> Image.Image:
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


def _region(run: Run, seen: Explained, large: Transform) -> Tensor | None:
    """The sample's region, or of a segmenter the class's pixels, at the size that is shown."""
    assert seen.sample is not None
    if run.several:
        return Where(large).region(of_label(seen.sample, seen.chosen))
    if not run.segments:
        return Where(large).region(seen.sample)
    classes = mask_classes(run.manifest(), run.data.void)
    own = classes.read(str(seen.sample.mask), max_pixels=large.max_pixels) == seen.chosen
    return large.fit_mask(own.float())


def caption(run: Run, seen: Explained, method: str, *, contrast: bool) -> list[str]:
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
    second = f"{how}, target {target}"
    if seen.chosen != seen.predicted:
        second += f", {own}"
    # A line of its own: of a narrow photo it would be cut off behind a long name.
    label = [] if seen.sample is None else [f"label {run.classes[seen.sample.label]}"]
    return [first, *label, second, file]


def _set_words(run: Run, seen: Explained) -> list[str]:
    """The predicted set and, where it is known, what is missed and what is none of its labels."""
    guess = set(seen.predicted_set)
    text = "predicted " + (", ".join(_named(run, sorted(guess))) or "nothing")
    if seen.sample is None:
        return [text]
    true = set(seen.sample.labels or ())
    parts = {"missed": sorted(true - guess), "wrong": sorted(guess - true)}
    told = [f"{word} {', '.join(_named(run, own))}" for word, own in parts.items() if own]
    return [f"{text} ({'; '.join(told) or 'right'})"]
