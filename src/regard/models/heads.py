"""The classifier on top of a backbone: finding, replacing and freezing around it."""

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from regard.errors import ModelError

Classifier = nn.Linear | nn.Conv2d | nn.Sequential
NAMES = ("classifier", "fc", "head.fc", "head")


def find_classifiers(net: nn.Module) -> dict[str, Classifier]:
    """The last layers by name: one, or of a net with several branches one a branch.

    The names are the net's own `classifier_name`, those of timm's configuration, or a customary
    one; none where there is no such layer.
    """
    cfg = getattr(net, "pretrained_cfg", None) or {}
    names = getattr(net, "classifier_name", None) or cfg.get("classifier") or ()
    own = _named((names,) if isinstance(names, str) else tuple(names), net)
    return own or dict([*_named(NAMES, net).items()][:1])


def _named(names: Sequence[str], net: nn.Module) -> dict[str, Classifier]:
    modules = dict(net.named_modules(remove_duplicate=False))
    found = {name: modules[name] for name in names if name in modules}
    return {name: part for name, part in found.items() if isinstance(part, Classifier)}


def begin_small(net: nn.Module) -> None:
    """Give linear classifiers small first weights, so that no class is likelier before training.

    Some of timm's nets draw them as wide as one over the root of the number of classes: with a
    few classes on trained features the first loss is then several times that of chance.
    """
    for part in find_classifiers(net).values():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=1 / part.in_features)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def put_mlp(net: nn.Module, classes: int, *, width: int, dropout: float) -> None:
    """Replace each linear classifier by linear, ReLU, dropout, linear.

    Raises:
        ModelError: the net does not end in one linear layer a branch.
    """
    found = find_classifiers(net)
    linear = {name: part for name, part in found.items() if isinstance(part, nn.Linear)}
    if not found or linear.keys() != found.keys():
        raise ModelError(
            f"head mlp on {type(net).__name__}",
            expected="a net that ends in one linear layer",
            found=type(next(iter(found.values()))).__name__ if found else "another ending",
            remedy="use head.kind: linear",
        )
    for name, old in linear.items():
        mlp = nn.Sequential(
            nn.Linear(old.in_features, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, classes),
        )
        net.set_submodule(name, mlp)


def classifier_of(net: nn.Module) -> nn.ModuleList:
    """What is on top of the backbone.

    The classifier, of a net with several branches all; of a segmenter everything but its encoder.

    Raises:
        ModelError: no classifier of a customary name.
    """
    if hasattr(net, "encoder_name"):
        return nn.ModuleList(part for name, part in net.named_children() if name != "encoder")
    found = find_classifiers(net)
    if not found:
        raise ModelError(
            f"freeze on {type(net).__name__}",
            expected="a net with a classifier of a customary name",
            found="none of " + ", ".join(NAMES),
            remedy="use freeze: none",
        )
    return nn.ModuleList(found.values())


def freeze_backbone(net: nn.Module, frozen: bool) -> None:
    """Switch gradients of everything but the classifier off or on."""
    head = set(classifier_of(net).parameters()) if frozen else set()
    for parameter in net.parameters():
        parameter.requires_grad_(not frozen or parameter in head)


def train_mode(net: nn.Module, *, frozen: bool, freeze_bn: bool = False) -> None:
    """Training mode; a frozen backbone stays in evaluation mode, its statistics with it.

    Args:
        net: the net.
        frozen: whether its backbone rests.
        freeze_bn: whether all batch norms stay in evaluation mode.
    """
    net.train()
    if frozen:
        net.eval()
        classifier_of(net).train()
    for part in net.modules() if freeze_bn else ():
        if isinstance(part, _BatchNorm):
            part.eval()
