"""Whether boxes and masks fit the image that they are of."""

from collections.abc import Sequence

from regard.checks.problems import Severity
from regard.data.columns import VIEWS
from regard.images.size import Size

# Annotators overshoot the edge by some pixels; a box of which no more than this share is inside
# was measured in another frame.
MOSTLY_OUTSIDE = 0.5


def size_severity(column: str, size: Size, of: Size) -> Severity | None:
    """How wrong the size of a mask or further view is; None if it is the image's.

    A mask of another size is likelier another image's mask than a coarse one, so it is an
    error. A view may be a smaller copy if it has the same shape, up to rounding.

    Args:
        column: of the manifest that the file stands in.
        size: height and width of the file.
        of: height and width of the upright image.
    """
    if size == of:
        return None
    stretched = abs(size[0] * of[1] - size[1] * of[0]) <= max(*size, *of)
    return "warning" if column in VIEWS and stretched else "error"


def box_fault(box: Sequence[float], size: Size) -> tuple[str, str, Severity] | None:
    """Kind, words and severity of what is wrong with a box in an image; None if nothing is.

    Args:
        box: xmin, ymin, xmax, ymax in pixel edges.
        size: height and width of the upright image.
    """
    xmin, ymin, xmax, ymax = box
    height, width = size
    area = (xmax - xmin) * (ymax - ymin)
    # Sides so short that their product is nothing make no area either.
    if xmax <= xmin or ymax <= ymin or area == 0:
        return ("degenerate box", "has no area", "error")
    inside_x = min(xmax, width) - max(xmin, 0)
    inside_y = min(ymax, height) - max(ymin, 0)
    if inside_x <= 0 or inside_y <= 0:
        return ("box outside", "lies outside the image", "error")
    inside = inside_x * inside_y / area
    if inside <= MOSTLY_OUTSIDE:
        return ("box outside", f"lies outside the image with {1 - inside:.0%} of its area", "error")
    if inside < 1:
        return ("box outside", "reaches beyond the image, and is cut there", "warning")
    if min(xmax - xmin, ymax - ymin) <= 1:
        return ("degenerate box", "is one pixel wide or high", "warning")
    return None
