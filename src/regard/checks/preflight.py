"""What is refused of samples before any is used, from the headers of their files alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from regard.checks.fit import box_fault, size_severity
from regard.data.sample import Sample
from regard.errors import DataError
from regard.files.threads import in_threads
from regard.images.opening import image_size
from regard.images.size import Size

LISTED = "regard data check lists all such files"
Fault = tuple[str, str, str, str]


def refuse_files(samples: Sequence[Sample], max_pixels: int) -> None:
    """Every file has to be there and of a bounded size; masks and boxes have to fit the image.

    A file that is cut short passes here, and `regard data check` finds it.

    Raises:
        DataError: names the first such file and the number of the others.
    """
    sizes: dict[str, Size] = {}
    faults: list[Fault] = []
    paths = _paths(samples)
    for path, found in zip(paths, in_threads(lambda p: _size(p, max_pixels), paths), strict=True):
        if isinstance(found, DataError):
            faults.append((path, found.expected, found.found, "replace or remove it"))
        else:
            sizes[path] = found
    if not faults:
        faults = [fault for sample in samples for fault in _misfits(sample, sizes)]
    if faults:
        where, expected, found, remedy = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        remedy = f"{remedy}; {LISTED}"
        raise DataError(where, expected=expected, found=found + more, remedy=remedy)


def _paths(samples: Sequence[Sample]) -> list[str]:
    """Each file once, in the samples' order."""
    return list(dict.fromkeys(path for sample in samples for _, path in _files(sample)))


def _files(sample: Sample) -> Iterator[tuple[str, str]]:
    """Column and path of each file, the image first."""
    yield from sample.views
    for column in ("mask", "region", "avoid", "ignore"):
        path = getattr(sample, column)
        if path is not None:
            yield column, path


def _size(path: str, max_pixels: int) -> Size | DataError:
    try:
        height, width = image_size(path)
    except DataError as error:
        return error
    if height * width <= max_pixels:
        return height, width
    expected, found = f"at most {max_pixels:,} pixels", f"{width} x {height}"
    return DataError(path, expected=expected, found=found, remedy="")


def _misfits(sample: Sample, sizes: dict[str, Size]) -> Iterator[Fault]:
    image = sample.views[0][1]
    height, width = size = sizes[image]
    for column, path in _files(sample):
        if size_severity(column, sizes[path], size) == "error":
            expected = f"the size of {Path(image).name}, {width} x {height}"
            found = f"{sizes[path][1]} x {sizes[path][0]}"
            yield path, expected, found, f"check that this {column} is of that image"
    for box in sample.boxes or ():
        fault = box_fault(box, size)
        if fault is not None and fault[2] == "error":
            found = f"[{', '.join(f'{value:g}' for value in box)}], which {fault[1]}"
            yield image, f"boxes inside of {width} x {height} pixels", found, "correct its boxes"
