"""Terms that a reader may not know: each is linked where it is first used, and said at the foot."""

import re

from markupsafe import Markup, escape

from regard.language import PhraseTuple, phrase

_PER_CENT = re.compile(r"(?<=\d) %")

TERMS: PhraseTuple = (
    (
        "energy gain",
        "Energy over the region's share of the image: how many times what a uniform map has there.",
    ),
    ("energy", "The share of a map's sum that lies in the region, from 0 to 1."),
    (
        "mean average precision",
        "mAP: of each class the area under the precision-recall curve of all images ranked by its "
        "probability; the mean over the classes.",
    ),
    (
        "Mean IoU",
        "Of a segmentation: the pixels that are predicted and true, over those that are either, "
        "counted over all images; the mean over the classes.",
    ),
    (
        "IoU of pixels",
        "The pixels that are predicted to be of a class and are, over those that are either, "
        "counted over all images.",
    ),
    ("IoU", "Intersection over union of the region and the highest fifth of the map, from 0 to 1."),
    (
        "HAGTR",
        "Highest activation in the region, of the map over its maximum: 1 where the peak lies "
        "there.",
    ),
    (
        "MAGTR",
        "Mean activation in the region, of the map over its maximum. It says how bright the map "
        "is there, not where it looks: a uniform map has 1, and none has more.",
    ),
    (
        "MANGTR",
        "Mean activation outside of the region, of the map over its maximum; lower is better.",
    ),
    ("pointing", "The share of images in which the map's highest point lies in the region."),
    (
        "MaxBoxAcc",
        "The share of images in which a box around the map, above the threshold that is best for "
        "all images, fits a box of the region: the mean for overlaps of 0.3, 0.5 and 0.7.",
    ),
    (
        "PxAP",
        "Pixel average precision: the area under the precision-recall curve of taking the pixels "
        "above a threshold for the region, over the pixels of all images.",
    ),
    ("dead maps", "Maps that are zero everywhere: they have no score, and no mean includes them."),
    ("uniform map", "A map that is the same everywhere: what a gaze without preference would get."),
    (
        "contrast",
        "The map is of the class's logit less the mean of all logits: of what speaks for this "
        "class against the others.",
    ),
    (
        "Holm",
        "A correction of p-values for the number of comparisons: of many, some look like a "
        "difference by chance.",
    ),
    ("Student t", "An interval or a test over few trainings, wider the fewer there are."),
)


class Glossary:
    """The terms met so far on one page, in the language that is spoken."""

    def __init__(self) -> None:
        self._met: set[str] = set()
        self._by_name = {phrase(name).lower(): name for name, _ in TERMS}
        # Longer names first, so that `energy gain` is not taken for `energy`.
        longest = sorted(map(re.escape, self._by_name), key=len, reverse=True)
        self._any = re.compile(rf"\b(?:{'|'.join(longest)})\b", re.IGNORECASE)

    def linked(self, text: str) -> Markup:
        """The text, escaped, with each term that was not met before as a link to its line."""
        # A lone sign at the start of a line is hard to read.
        text = _PER_CENT.sub("\N{NO-BREAK SPACE}%", text)
        parts, end = [], 0
        for match in self._any.finditer(text):
            name = self._by_name[match[0].lower()]
            if name in self._met:
                continue
            self._met.add(name)
            link = Markup('<a class="term" href="#{}">{}</a>').format(anchor(name), match[0])
            parts += [escape(text[end : match.start()]), link]
            end = match.end()
        return Markup("").join([*parts, escape(text[end:])])

    @property
    def entries(self) -> list[tuple[str, str, str]]:
        """Anchor, term and line of each term that was met, in the order of the list."""
        told = [(name, phrase(name), phrase(line)) for name, line in TERMS if name in self._met]
        return [(anchor(name), own[0].upper() + own[1:], line) for name, own, line in told]


def anchor(name: str) -> str:
    """The address of a term's line in the page."""
    return "word-" + name.lower().replace(" ", "-")
