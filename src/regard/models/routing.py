"""Which view goes into which branch of a net."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from regard.errors import ModelError, near


def views_of(branches: Sequence[str], inputs: Mapping[str, str]) -> tuple[str, ...]:
    """The view of each branch.

    Raises:
        ModelError: a branch without a view, or a name that is no branch's.
    """
    for name in inputs:
        if name not in branches:
            raise ModelError(
                "model.inputs",
                expected="a view for each of " + ", ".join(branches),
                found=repr(name),
                remedy=near(name, branches),
            )
    missing = [name for name in branches if name not in inputs]
    if missing:
        raise ModelError(
            "model.inputs",
            expected="a view for each of " + ", ".join(branches),
            found=f"none for {missing[0]}",
            remedy=f"add {missing[0]}: image, say",
        )
    return tuple(inputs[name] for name in branches)


def view_for(images: Tensor | Mapping[str, Tensor], views: Sequence[str], branch: int) -> Tensor:
    """What a branch is given: its view, or of a tensor all of it.

    Raises:
        ModelError: the images lack the view.
    """
    if isinstance(images, Tensor):
        return images
    if views[branch] not in images:
        raise ModelError(
            "images",
            expected="the views " + ", ".join(dict.fromkeys(views)),
            found=", ".join(images) or "none",
            remedy=f"add {views[branch]!r}, or change model.inputs",
        )
    return images[views[branch]]


def one_branch(spec: str, option: str) -> ModelError:
    """What is said of an option for branches of a net that has none."""
    return ModelError(
        f"model {spec}, {option}",
        expected="a net of two branches: timm:crossvit_small_240, regard:twin_crossvit",
        found="one of a single branch",
        remedy=f"leave model.{option} out",
    )
