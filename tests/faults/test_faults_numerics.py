"""Numbers that are not finite, in trainings, scores, intervals: stopped, or told with a reason."""

import math
from contextlib import closing

import numpy as np
import pytest
import torch
from answered import attack, is_one_line
from hypothesis import strategies as st
from torch import nn

import regard as library
from regard.data.regions import Regions
from regard.errors import DataError, NumericalError
from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.intervals import student_interval
from regard.evaluation.metrics import evaluate
from regard.evaluation.table import predictions_table
from regard.guidance import TERMS, guided_forward
from regard.runs.checkpoints import load
from regard.runs.folder import RunFolder
from regard.runs.log import Log
from regard.runs.run import load_run
from regard.scores import SCORES
from regard.training.loop import Trainer
from regard.training.prepare import prepare
from regard.training.train import resume, train
from regard.training.watching import Silent
from smallnets import pictures, tiny
from tinyset import config_of, write_config, write_set

FULL = pytest.mark.torture
ODD = [
    0.0,
    1.0,
    0.5,
    0.1,
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    -1e308,
    5e-324,
    1e-200,
    1e-40,
    3e38,
]
NUMBERS = st.sampled_from(ODD) | st.floats(-3, 3)


def sound(interval):
    """Finite and in order, or with a reason."""
    value, low, high = interval["value"], interval["low"], interval["high"]
    if None in (value, low, high):
        assert interval["reason"], interval
    if None not in (value, low, high):
        assert low <= value + 1e-12, interval
        assert value <= high + 1e-12, interval
    return True


@pytest.mark.parametrize("times", [60, pytest.param(5000, marks=FULL)])
def test_every_interval_is_finite_or_says_why(tally, times):
    methods = st.sampled_from(["auto", "bca", "percentile", "student"])

    def attacked(example):
        values, method = example
        if method == "student":
            found = student_interval(values)
        else:
            found = bootstrap_interval(values, resamples=40, method=method)
        assert sound(found.as_dict())
        kept = [x for x in values if not math.isnan(x)]
        assert found.undefined == len(values) - len(kept)
        if kept and max(map(abs, kept)) < 1e30:
            assert math.isclose(found.value, math.fsum(kept) / len(kept), abs_tol=1e-9)

    lists = st.tuples(st.lists(NUMBERS, max_size=7), methods)
    tally("intervals of any numbers", *2 * [attack(lists, times, attacked)])


@st.composite
def answers(draw):
    """Labels and probabilities, few and extreme."""
    classes, count = draw(st.integers(2, 4)), draw(st.integers(0, 7))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    part = st.sampled_from([0.0, 1.0, 1e-12, 0.5]) | st.floats(0, 1)
    rows = []
    for _ in range(count):
        row = np.array(draw(st.lists(part, min_size=classes, max_size=classes)))
        rows.append(row / row.sum() if row.sum() > 1e-6 else np.eye(classes)[0])
    return labels, np.array(rows).reshape(count, classes)


@pytest.mark.parametrize("times", [12, pytest.param(2000, marks=FULL)])
def test_every_metric_is_finite_or_says_why(tally, times):
    """Of no image, one, one class, classes that are absent, and probabilities of exactly 1."""

    def attacked(example):
        labels, proba = example
        count, classes = proba.shape
        names = [str(k) for k in range(classes)]
        table = predictions_table(range(count), names_of(count), labels, proba, names)
        found = evaluate(table, resamples=30)
        told = [own for own in found.values() if isinstance(own, dict) and "low" in own]
        told += [m for own in found["per_class"].values() for m in own.values() if type(m) is dict]
        assert len(told) > 10
        assert all(map(sound, told))
        for name, value in slowly(labels, proba).items():
            mine = found[name]["value"]
            assert mine is None if value is None else math.isclose(mine, value, abs_tol=1e-9), name

    tally("metrics of degenerate answers", *2 * [attack(answers(), times, attacked)])


def names_of(count):
    return [f"{row}.png" for row in range(count)]


def slowly(labels, proba):
    """Accuracy, Brier score, calibration error, macro F1 and (of two classes) the AUC, by loops."""
    count, classes = proba.shape
    if not count:
        return dict.fromkeys(["accuracy", "brier", "ece", "f1_macro", "roc_auc"])
    guess = [max(range(classes), key=lambda k: (row[k], -k)) for row in proba]
    squares = [sum((row[k] - (k == own)) ** 2 for k in range(classes))
               for row, own in zip(proba, labels, strict=True)]  # fmt: skip
    bins = {}
    for row, own, best in zip(proba, labels, guess, strict=True):
        place = next(b for b in range(15) if row[best] <= np.linspace(0, 1, 16)[b + 1])
        bins.setdefault(place, []).append(row[best] - (own == best))
    f1 = []
    for k in range(classes):
        hits = sum(a == b == k for a, b in zip(labels, guess, strict=True))
        seen = labels.count(k) + guess.count(k)
        f1 += [2 * hits / seen] if seen else []
    found = {
        "accuracy": sum(a == b for a, b in zip(labels, guess, strict=True)) / count,
        "brier": sum(squares) / count / (2 if classes == 2 else 1),
        "ece": sum(abs(sum(gaps)) for gaps in bins.values()) / count,
        "f1_macro": sum(f1) / len(f1),
    }
    if classes == 2:
        right = [p[1] for p, own in zip(proba, labels, strict=True) if own]
        wrong = [p[1] for p, own in zip(proba, labels, strict=True) if not own]
        won = [(a > b) + (a == b) / 2 for a in right for b in wrong]
        found["roc_auc"] = sum(won) / len(won) if won else None
    return found


OF_MAPS = sorted(
    name for name, kind in SCORES.items() if kind.asks != "model" and not kind.explains
)


def slow_scores(value, inside):
    """Of a map (list) and a region that is 0 or 1, in Python's own numbers."""
    peak, total = max(value), math.fsum(value)
    within = [v for v, r in zip(value, inside, strict=True) if r]
    without = [v for v, r in zip(value, inside, strict=True) if not r]
    area, top = (
        len(within) / len(value),
        [r for v, r in zip(value, inside, strict=True) if v == peak],
    )
    ranked = sorted(value)
    gini = math.fsum((2 * i - len(value) - 1) * v for i, v in enumerate(ranked, 1))
    return {
        "energy": math.fsum(within) / total,
        "energy_gain": math.fsum(within) / total / area,
        "hagtr": max(within) / peak,
        "magtr": math.fsum(within) / len(within) / peak,
        "mangtr": math.fsum(without) / len(without) / peak,
        "pointing": sum(top) / len(top),
        "sparseness": gini / (len(value) * total),
        "entropy": -math.fsum(v / total * math.log(v / total) for v in value if v / total > 0)
        / math.log(len(value)),
    }


@pytest.mark.parametrize("times", [60, pytest.param(5000, marks=FULL)])
def test_scores_of_any_map_are_their_definition_or_undefined(tally, times):
    """Never a number of a map that is not finite; the same number at every scale of a map."""
    shape = st.lists(st.sampled_from([0.0, 1.0, 0.25, 0.5]) | st.floats(0, 1, width=32),
                     min_size=9, max_size=9)  # fmt: skip
    scale = st.sampled_from([1.0, 1e-30, 1e30, 1e-300, 1e300, -1.0])
    flaw = st.sampled_from([None] * 4 + [math.nan, math.inf, -math.inf])
    region = st.lists(st.integers(0, 1), min_size=9, max_size=9)
    example = st.tuples(shape, scale, flaw, region, st.sampled_from(OF_MAPS))

    def attacked(example):
        values, factor, flaw, inside, name = example
        maps = torch.tensor(values, dtype=torch.float64).view(1, 3, 3) * factor
        if flaw is not None:
            maps[0, 1, 1] = flaw
        regions = torch.tensor(inside, dtype=torch.float32).view(1, 3, 3)
        score = float(library.score(maps, regions, name))
        shown = [v for v in maps.flatten().tolist() if v > 0]
        of_region = SCORES[name].asks == "region"
        telling = any(inside) and (SCORES[name].whole or not all(inside))
        if flaw is not None or not shown or (of_region and not telling):
            assert math.isnan(score)
            return
        assert math.isfinite(score)
        own = [max(v, 0.0) for v in (np.array(values) * np.sign(factor)).tolist()]
        if max(own) > 1e-6 and not (all(inside) or not any(inside)):
            expected = slow_scores(own, inside).get(name)
            assert expected is None or math.isclose(score, expected, rel_tol=1e-4, abs_tol=1e-5)

    tally("scores of any map and region", *2 * [attack(example, times, attacked)])


class Answering(nn.Module):
    """Says the same of every image."""

    def __init__(self, logits, dtype=torch.float32):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=dtype))

    def forward(self, images):
        return self.logits.expand(len(images), -1)


@pytest.mark.parametrize("name", ["deletion", "insertion", "average_drop", "increase"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_scores_that_ask_a_model_of_extreme_or_broken_answers(name, dtype):
    maps, images = torch.rand(2, 4, 4), torch.rand(2, 3, 4, 4)

    def asked(logits, target):
        net = Answering(logits, dtype)
        targets = torch.full((2,), target)
        return library.score(maps, None, name, net=net, images=images, targets=targets).tolist()

    certain = {"deletion": 1.0, "insertion": 1.0, "average_drop": 0.0, "increase": 0.0}
    assert asked([1e4, -1e4, 0.0], 0) == [certain[name]] * 2
    # Of a probability of 0 no share can be lost.
    impossible = certain | {"deletion": 0.0, "insertion": 0.0, "average_drop": math.nan}
    np.testing.assert_equal(asked([1e4, -1e4, 0.0], 1), [impossible[name]] * 2)
    for broken in ([math.nan, 0.0, 0.0], [math.inf, 0.0, 0.0], [math.inf, math.inf, 0.0]):
        np.testing.assert_equal(asked(broken, 0), [math.nan] * 2)


@pytest.mark.parametrize("name", [name for name in OF_MAPS if SCORES[name].asks == "region"])
def test_masks_of_0_to_255_are_no_shares(name):
    mask = torch.zeros(1, 4, 4)
    mask[:, :2] = 255
    for regions in (mask, mask.byte(), Regions(mask), -mask, mask * math.nan):
        with pytest.raises(DataError, match="expected shares from 0 to 1") as caught:
            library.score(torch.rand(1, 4, 4), regions, name)
        assert is_one_line(caught.value)
    assert library.score(torch.rand(0, 4, 4), mask[:0], name).shape == (0,)


@pytest.mark.parametrize("name", ["deletion", "insertion", "average_drop", "increase"])
def test_no_images_have_no_scores(name):
    nothing = {"net": Answering([0.0, 1.0]), "images": torch.rand(0, 3, 4, 4)}
    assert library.score(torch.rand(0, 4, 4), None, name, **nothing).shape == (0,)


@pytest.mark.parametrize("kind", list(TERMS))
@pytest.mark.parametrize("scale", [1e4, 1e-12, 0.0])
def test_terms_of_saturated_logits_have_finite_losses_and_gradients(kind, scale):
    """Also where autocast rounds, and beside regions of nothing, of everything, of one pixel."""
    regions = torch.zeros(4, 8, 8)
    regions[1], regions[2, 3, 3], regions[3, :4] = 1, 1, 1
    labels = torch.tensor([0, 1, 2, 0])
    for dtype in (None, torch.bfloat16):
        net = tiny()
        with torch.no_grad():
            net.classifier.weight *= scale
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is not None):
            out = guided_forward(net, pictures(4), labels, regions, [TERMS[kind]()])
        assert bool(out.losses[kind].isfinite().all())
        assert out.valid[kind].tolist()[0] is False
        loss = nn.functional.cross_entropy(out.logits.float(), labels) + out.loss()
        for gradient in torch.autograd.grad(loss, list(net.parameters()), allow_unused=True):
            assert gradient is None or bool(gradient.isfinite().all())


# Injected into a training ----------------------------------------------------------------
GUIDED = ["guidance.terms=[{term: energy}, {term: magtr, method: gradcam}]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numerics")
    write_set(folder, counts={"train": 24, "val": 8, "test": 8})
    write_config(folder)
    return folder


def injure(trainer, place, value, step):
    """Let one number be another at that step of the training."""
    net = trainer.prepared.net
    weight = net.features[0].weight

    def hit(tensor):
        changed = tensor.clone().contiguous()
        changed.view(-1)[0] = value
        return changed

    def on_call(module, given, answer=None):
        if trainer.progress.step != step - 1 or not net.training:
            return None
        return hit(given[0]) if answer is None else hit(answer)

    if place == "input":
        net.register_forward_pre_hook(on_call)
    elif place in ("logits", "activation"):
        (net if place == "logits" else net.features[0]).register_forward_hook(on_call)
    elif place == "gradient":
        weight.register_hook(lambda g: hit(g) if trainer.progress.step == step - 1 else g)
    else:
        own = trainer._step

        def stepped(batch):
            if trainer.progress.step == step - 1:
                part = weight if place == "weight" else next(
                    b for b in net.buffers() if b.is_floating_point()
                )  # fmt: skip
                with torch.no_grad():
                    part[(0,) * part.ndim] = value
            own(batch)

        trainer._step = stepped


PLACES = ["input", "activation", "logits", "gradient", "weight", "buffer"]
QUICK = [("input", math.nan, 2), ("gradient", math.inf, 4), ("buffer", math.nan, 3)]
# Minus infinity before a ReLU is a sound zero after it, and as a logit a sound probability of 0.
VALUES = {place: [math.nan, math.inf, -math.inf] for place in PLACES}
VALUES["activation"] = VALUES["logits"] = [math.nan, math.inf]
ALL = [(place, value, step) for place in PLACES for value in VALUES[place] for step in range(1, 7)]


@pytest.mark.parametrize("how", [[], GUIDED, ["training.bf16=true", *GUIDED]])
@pytest.mark.parametrize("cases", [QUICK, pytest.param(ALL, marks=FULL)])
def test_a_number_that_is_not_finite_stops_the_training(folder, tmp_path, tally, how, cases):
    """Before a step is taken with it; named are the files, and what was saved goes on."""
    survived = 0
    for number, (place, value, step) in enumerate(cases):
        out = tmp_path / str(number)
        prepared = prepare(config_of("training.checkpoint_steps=1", *how), folder)
        with closing(Log(out / "log.jsonl")) as log, closing(prepared):
            trainer = Trainer(prepared, RunFolder(out), log, Silent())
            trainer.begin()
            injure(trainer, place, value, step)
            with pytest.raises(
                NumericalError, match=r"not finite: .*(train|val)-\d\d\.png"
            ) as told:
                trainer.fit()
            assert len(str(told.value).splitlines()) == 1
        saved = load(out / "checkpoints")
        assert int(saved.path.name[5:]) < step
        assert all(bool(t.isfinite().all()) for t in saved.model.values() if t.is_floating_point())
        survived += 1
    tally("NaN and infinity in a training", len(cases), survived)


def test_after_a_stop_the_run_goes_on_as_if_nothing_had_been(folder, tmp_path, monkeypatch):
    config = config_of("training.checkpoint_steps=1", *GUIDED)
    train(config, tmp_path / "whole", folder=folder)
    begin = Trainer.begin

    def injured(trainer):
        begin(trainer)
        injure(trainer, "input", math.nan, 4)

    monkeypatch.setattr(Trainer, "begin", injured)
    with pytest.raises(NumericalError):
        train(config, tmp_path / "stopped", folder=folder)
    monkeypatch.undo()
    resume(tmp_path / "stopped")
    whole, again = (load_run(tmp_path / name, "last").net for name in ("whole", "stopped"))
    for left, right in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(left, right)
