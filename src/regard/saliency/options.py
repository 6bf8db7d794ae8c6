"""What is given to methods and scores: their options, images, and nets with classes to compare."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

from regard.docstrings import entries
from regard.errors import ConfigError, DataError, ModelError, near
from regard.saliency.capture import Images


def at_least_one(method: str, **counts: int | None) -> None:
    """Refuse options that count something and are less than 1; None counts nothing.

    Raises:
        ConfigError: one is.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ConfigError(
                f"method {method}",
                expected=f"{name} of 1 or more",
                found=str(count),
                remedy="give a positive number",
            )


def refuse_options(
    where: str,
    made: Callable[..., Any],
    options: Mapping[str, Any],
    given: Sequence[str] = (),
    beside: Sequence[str] = (),
    taken: Sequence[str] = (),
) -> None:
    """Refuse options that it does not take, and want of those that it needs.

    Args:
        where: for the message.
        made: takes the options.
        options: by name.
        given: names of what it is given otherwise.
        beside: names that may have been meant, too.
        taken: names that are options, too, and not among these.

    Raises:
        ConfigError: one is unknown, or lacks.
    """
    own = [p for p in inspect.signature(made).parameters.values() if p.name not in given]
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    names = [*taken, *(p.name for p in own if p.kind in kinds)]
    unknown = [name for name in options if name not in names]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in own):
        raise ConfigError(
            where,
            expected="its own options"
            + (f": {', '.join(names)}" if names else ", of which it has none"),
            found=repr(unknown[0]),
            remedy=_meant(unknown[0], names, beside),
        )
    needed = [p.name for p in own if p.name in names and p.default is p.empty]
    for name in needed:
        if options.get(name) is None:
            told = entries(made, "Args").get(name, f"see help({where})").rstrip(".")
            remedy = f"pass {name}=, {told}"
            raise ConfigError(where, expected=f"{name}=", found="none", remedy=remedy)


def _meant(unknown: str, names: Sequence[str], beside: Sequence[str]) -> str:
    close = get_close_matches(unknown, [*names, *beside])
    return near(unknown, close or names) if close or names else "leave it out"


def bare_net(net: nn.Module) -> nn.Module:
    """The net, of one that `DataParallel` holds that inside: what is watched is on one device.

    Raises:
        ModelError: no net.
    """
    if not isinstance(net, nn.Module):
        raise ModelError(
            "net",
            expected="a torch.nn.Module",
            found=f"the class {net.__name__}" if isinstance(net, type) else type(net).__name__,
            remedy="pass the net itself, as build_model and load_run(...).net give it",
        )
    return net.module if isinstance(net, nn.DataParallel) else net


def refuse_images(images: Images, *, least: int = 1) -> None:
    """Refuse what is no batch of pixels as a net takes them; only types and shapes are looked at.

    Args:
        images: (B, 3, H, W), or a dict of views.
        least: how many there have to be.

    Raises:
        DataError: arrays, bytes, one image without a batch axis.
    """
    for view in images.values() if isinstance(images, Mapping) else (images,):
        if not isinstance(view, Tensor):
            raise DataError(
                "images",
                expected="a float tensor (B, 3, H, W), or a dict of them for several views",
                found=type(view).__name__,
                remedy="pass what the net takes: run.transform([...]), or torch.from_numpy(...)",
            )
        if not view.is_floating_point():
            raise DataError(
                "images",
                expected="floats, as the net takes them",
                found=str(view.dtype),
                remedy="normalise them: run.transform does, or images.float() / 255 less the mean",
            )
        if view.ndim != 4 or len(view) < least:
            raise DataError(
                "images",
                expected="a batch (B, 3, H, W)" + " of one image or more" * bool(least),
                found=f"shape {tuple(view.shape)}",
                remedy="add a batch axis, or images",
            )


def refuse_one_logit(logits: Tensor, what: str) -> None:
    """Refuse a net with one logit, which has no class to hold against another.

    Args:
        logits: (B, K), or (B, K, H, W).
        what: asks for more.

    Raises:
        ModelError: K is 1.
    """
    if logits.ndim in (2, 4) and logits.shape[1] == 1:
        raise ModelError(
            "net",
            expected=f"two logits or more, for {what}",
            found=f"logits of shape {tuple(logits.shape)}",
            remedy="of a net with one logit z an image return torch.cat([-z, z], 1)",
        )
