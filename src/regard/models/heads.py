"""The classifier on top of a backbone: finding, replacing and freezing around it."""

from typing import cast

from torch import nn

from regard.errors import ModelError

NAMES = ("classifier", "fc", "head.fc", "head")


def find_classifier(
    net: nn.Module,
) -> tuple[str, nn.Linear | nn.Conv2d | nn.Sequential] | None:
    """Name and module of the last layer.

    The name is the net's own `classifier_name`, that of timm's configuration, or a customary one.
    """
    cfg = getattr(net, "pretrained_cfg", None) or {}
    names = getattr(net, "classifier_name", None) or cfg.get("classifier") or ()
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in (*names, *NAMES):
        try:
            module = net.get_submodule(name)
        except AttributeError:
            continue
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Sequential):
            return name, module
    return None


def begin_small(net: nn.Module) -> None:
    """Give a linear classifier small first weights, so that no class is likelier before training.

    Some of timm's nets draw them as wide as one over the root of the number of classes: with a
    few classes on trained features the first loss is then several times that of chance.
    """
    found = find_classifier(net)
    if found is not None and isinstance(found[1], nn.Linear):
        nn.init.normal_(found[1].weight, std=1 / found[1].in_features)
        if found[1].bias is not None:
            nn.init.zeros_(found[1].bias)


def put_mlp(net: nn.Module, classes: int, *, width: int, dropout: float) -> None:
    """Replace the linear classifier by linear, ReLU, dropout, linear."""
    found = find_classifier(net)
    if found is None or not isinstance(found[1], nn.Linear):
        raise ModelError(
            f"head mlp on {type(net).__name__}",
            expected="a net that ends in one linear layer",
            found="another ending" if found is None else type(found[1]).__name__,
            remedy="use head.kind: linear",
        )
    name, old = found[0], cast(nn.Linear, found[1])
    mlp = nn.Sequential(
        nn.Linear(old.weight.shape[1], width),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(width, classes),
    )
    net.set_submodule(name, mlp)


def classifier_of(net: nn.Module) -> nn.Module:
    """The classifier; raises where there is none to tell from the backbone."""
    found = find_classifier(net)
    if found is None:
        raise ModelError(
            f"freeze on {type(net).__name__}",
            expected="a net with a classifier of a customary name",
            found="none of " + ", ".join(NAMES),
            remedy="use freeze: none",
        )
    return found[1]


def freeze_backbone(net: nn.Module, frozen: bool) -> None:
    """Switch gradients of everything but the classifier off or on."""
    head = set(classifier_of(net).parameters()) if frozen else set()
    for parameter in net.parameters():
        parameter.requires_grad_(not frozen or parameter in head)


def train_mode(net: nn.Module, *, frozen: bool) -> None:
    """Training mode; a frozen backbone stays in evaluation mode, its statistics with it."""
    net.train()
    if frozen:
        net.eval()
        classifier_of(net).train()
