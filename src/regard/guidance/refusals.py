"""What `guided_forward` refuses before it runs a net: terms, and arguments that are none."""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from regard.errors import ConfigError, DataError, ModelError
from regard.guidance.base import TERMS, Term
from regard.saliency.options import bare_net, refuse_one_logit
from regard.saliency.targets import PixelTarget


def refuse_labels(terms: Sequence[Term], what: str = "a segmenter") -> None:
    """Terms on the probability of a label do not fit nets that give none.

    A segmenter's logits are of pixels, and with sets of labels each class is told by itself.

    Args:
        terms: to be looked at.
        what: the net is, in words.

    Raises:
        ConfigError: one of the terms is such.
    """
    unfit = next((term for term in terms if not term.of_segmenters), None)
    if unfit is not None:
        able = ", ".join(name for name, kind in TERMS.items() if kind.of_segmenters)
        raise ConfigError(
            f"term {unfit.title}",
            expected=f"a term on maps or activations for {what}",
            found=f"{unfit.kind}, on the logits of labels",
            remedy=f"choose one of: {able}",
        )


def refuse_terms_of_one_logit(logits: Tensor, terms: Sequence[Term]) -> None:
    """Terms that hold a class against others; only the shape is looked at."""
    if logits.shape[1] == 1:
        for term in terms:
            if not term.of_segmenters or getattr(term, "contrast", False):
                refuse_one_logit(logits, f"term {term.title}")


def refuse_terms(terms: Sequence[Term]) -> None:
    """What is no list of terms, and two terms of one name."""
    one = isinstance(terms, Term | str) or not isinstance(terms, Iterable)
    wrong = [terms] if one else [term for term in terms if not isinstance(term, Term)]
    if wrong:
        found = "its class" if isinstance(wrong[0], type) else f"{wrong[0]!r}"
        raise ConfigError(
            "guidance terms",
            expected="a list of terms",
            found=f"{found}, alone" if one else found,
            remedy="write for example [regard.guidance.Energy(weight=1.0)]",
        )
    names = [term.title for term in terms]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ConfigError(
            "guidance terms",
            expected="names that differ",
            found=f"{double!r} twice",
            remedy="give one of them a name",
        )


def refuse_copies(net: nn.Module) -> None:
    """A net that runs as several copies, of which none can be watched."""
    if bare_net(net) is not net:
        raise ModelError(
            "net",
            expected="a net that runs as one, so that its layers can be watched",
            found="torch.nn.DataParallel, which runs a copy for each device",
            remedy="pass net.module; for several GPUs use DistributedDataParallel (torchrun)",
        )


def refuse_missing(targets: object, regions: object) -> None:
    """None, which `regard.explain` takes for its targets."""
    for given, expected, remedy in (
        (
            regions,
            "regions: masks (B, H, W), or regard.Regions",
            "Regions(..., present=) says which images have none",
        ),
        (targets, "targets: class indices (B,)", "pass the labels"),
    ):
        if given is None:
            raise DataError("guided_forward", expected=expected, found="None", remedy=remedy)


def refuse_pixels(targets: Tensor | PixelTarget) -> Tensor:
    """A target of pixels where pairs of image and class are asked for; others are given back."""
    if isinstance(targets, PixelTarget):
        raise DataError(
            "guided_forward",
            expected="class indices beside rows",
            found="a PixelTarget",
            remedy="call it once for each class of a segmenter",
        )
    return targets
