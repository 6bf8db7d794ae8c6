"""A student learns what a teacher says, in parts as in whole batches, and needs it no more then."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional as F

import regard
from regard.data.mask_classes import VOID
from regard.data.samples import Batch
from regard.errors import ConfigError, ModelError, RunError
from regard.evaluation.predict import model_input
from regard.guidance import KL, MSE, Energy, guided_forward
from regard.guidance.taught import Taught
from regard.runs.run import load_run
from regard.saliency.explain import explain
from regard.studies.read import read_study
from regard.training import step as stepping
from regard.training import teacher as teaching
from regard.training.losses import softened
from regard.training.teacher import Teacher
from regard.training.train import resume, train
from tinyset import (
    SEGMENTER,
    SETS,
    TWIN,
    config_of,
    killed_and_resumed,
    log_lines,
    run_regard,
    same_tensors,
    write_config,
    write_masks,
    write_pairs,
    write_set,
    write_sets,
)

PLAIN = ("model.spec=regard:cnn1", "training.batch_size=20")
MAPS = "distil.maps={weight: 0.6, contrast: true}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set, and teachers of it."""
    folder = tmp_path_factory.mktemp("distil")
    write_set(folder)
    train(
        config_of("model.options.width=8", "training.optimiser.lr=0.01"),
        folder / "teacher",
        folder=folder,
    )
    larger = "data.size=48", "model.options.size=48", "data.mean=[0.4, 0.5, 0.6]"
    train(config_of("training.epochs=1", *larger), folder / "larger", folder=folder)
    return folder


def taught(*changes, teacher="teacher"):
    return (*PLAIN, f"distil.teacher={teacher}", "distil.weight=0.7", *changes)


def seeded(*shape, seed=0):
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_of_labels_it_is_torchs_divergence_of_softened_answers(temperature):
    student, teacher = seeded(6, 5), seeded(6, 5, seed=1)
    found = softened(student, teacher, temperature, "classification")
    wanted = F.kl_div(
        (student / temperature).log_softmax(1), (teacher / temperature).softmax(1), reduction="none"
    ).sum(1)
    torch.testing.assert_close(found, temperature**2 * wanted)
    assert torch.equal(softened(teacher, teacher, temperature, "classification"), torch.zeros(6))


def test_at_high_temperature_the_gradient_is_that_of_matched_logits():
    """Hinton et al., equation 4: (z - v) / K, of centred logits, whatever T is."""
    student = seeded(4, 5).requires_grad_()
    teacher = seeded(4, 5, seed=1)
    (found,) = torch.autograd.grad(
        softened(student, teacher, 1000.0, "classification").sum(), student
    )
    centred = [logits - logits.mean(1, keepdim=True) for logits in (student.detach(), teacher)]
    torch.testing.assert_close(found, (centred[0] - centred[1]) / 5, rtol=1e-2, atol=1e-2)


def test_of_sets_and_of_pixels_it_is_written_out():
    student, teacher = seeded(3, 4), seeded(3, 4, seed=1)
    found = softened(student, teacher, 2.0, "multilabel")
    p, q = (logits.double().numpy() / 2 for logits in (teacher, student))
    p, q = 1 / (1 + np.exp(-p)), 1 / (1 + np.exp(-q))
    wanted = 4 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(1)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    student, teacher = seeded(2, 3, 4, 5), seeded(2, 3, 4, 5, seed=1)
    target = torch.zeros(2, 4, 5, dtype=torch.uint8)
    target[0, :2], target[1] = VOID, VOID
    found = softened(student, teacher, 3.0, "segmentation", target)
    pixels = softened(
        student[0, :, 2:].flatten(1).T, teacher[0, :, 2:].flatten(1).T, 3.0, "classification"
    )
    torch.testing.assert_close(found, torch.stack([pixels.mean(), torch.tensor(0.0)]))
    coarse = F.interpolate(teacher, (2, 3), mode="bilinear")
    again = F.interpolate(coarse, (4, 5), mode="bilinear")
    assert torch.equal(
        softened(student, coarse, 3.0, "segmentation", target),
        softened(student, again, 3.0, "segmentation", target),
    )


@pytest.mark.parametrize("kind", [KL, MSE])
def test_a_teachers_map_takes_the_regions_place(kind):
    net = regard.build_model("regard:cnn2", 2, size=48, width=4, pool="avg").eval()
    images, wanted = seeded(3, 3, 48, 40), seeded(3, 12, 10, seed=1).abs()
    wanted[2] = 0
    inner = kind(weight=0.3, name="maps")
    term, told = Taught.of(inner, wanted), torch.tensor([True, False, True])
    assert (term.title, term.weight, term.reads) == ("maps", 0.3, inner.reads)
    labels, nothing = (
        torch.tensor([0, 1, 1]),
        teaching.nowhere(Batch({}, torch.zeros(3), None, None)),
    )
    out = guided_forward(net, images, labels, nothing, [term, Energy()])
    maps = out.maps["energy"].detach()
    assert maps.shape == (3, 3, 2)
    small = F.interpolate(wanted[:, None], (3, 2), mode="bilinear")[:, 0]
    for row, (p, q) in enumerate(zip(small.double().numpy(), maps.double().numpy(), strict=True)):
        own = p if row < 2 else np.ones((3, 2))
        q = q if q.any() else np.ones((3, 2))
        if kind is MSE:
            expected = ((q / q.max() - own / own.max()) ** 2).mean()
        else:
            a, b = (0.999 * each / each.sum() + 0.001 / 6 for each in (own, q))
            expected = (a * np.log(a / b)).sum()
        assert float(out.losses["maps"][row].detach()) == pytest.approx(expected, rel=1e-4)
    assert out.valid["maps"].tolist() == [True] * 3
    assert out.valid["energy"].tolist() == [False] * 3
    some = guided_forward(net, images, labels, nothing, [replace(term, told=told)])
    assert some.valid["maps"].tolist() == told.tolist()
    assert torch.equal(some.losses["maps"] != 0, told)


@pytest.fixture
def doubled(monkeypatch):
    """Images in float64, as a net in float64 takes them."""
    monkeypatch.setattr(stepping, "model_input", lambda *args: model_input(*args).double())


def gradient(trainer, batch, micro):
    trainer.stepper.gradients(trainer.stepper.work(batch, 0), micro)
    return torch.cat([p.grad.flatten() for p in trainer.prepared.net.parameters()]).double()


def first(trainer):
    return next(iter(trainer.prepared.train.batches(trainer.draws(0))))


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_gradient_is_that_of_the_textbook_loss_in_parts_too(
    trainer, folder, doubled, guided, mixed
):
    more = ["guidance.terms=[{term: energy, weight: 0.3}]"] if guided else []
    more += ["data.augment={mixup: 0.5}"] if mixed else []
    made = trainer(*taught(MAPS, "guidance.cross_entropy=0.2", *more), folder=folder)
    batch, net = first(made), made.prepared.net.double()
    big, images = made.prepared.teacher.run, batch.images["image"]
    with torch.no_grad():
        said = big.net(big.transform.normalise(images))
    maps = explain(big.net, big.transform.normalise(images), batch.labels, contrast=True).detach()
    own = made.prepared.transform.normalise(images).double()
    term = Taught.of(KL(weight=0.6, name="maps", contrast=True), maps)
    terms = [term, *([Energy(weight=0.3)] if guided else [])]
    regions = batch.regions if guided else teaching.nowhere(batch)
    out = guided_forward(net, own, batch.labels, regions, terms)
    labels = batch.shares.double() if mixed else batch.labels
    loss = 0.2 * F.cross_entropy(out.logits, labels) + out.loss()
    soft = [(logits.double() / 4).log_softmax(1) for logits in (out.logits, said)]
    loss = loss + 0.7 * 16 * F.kl_div(*soft, log_target=True, reduction="batchmean")
    expected = torch.autograd.grad(loss, list(net.parameters()))
    expected = torch.cat([g.flatten() for g in expected])
    for micro in (20, 7, 1):
        found = gradient(made, batch, micro)
        assert (found - expected).norm() < 2e-5 * expected.norm()
    assert all(parameter.grad is None for parameter in big.net.parameters())
    assert not big.net.training


def test_the_teacher_sees_the_same_pixels_at_its_own_size(trainer, folder):
    made = trainer(*taught(teacher="larger"), folder=folder)
    batch, teacher = first(made), made.prepared.teacher
    found = teacher.fitted(batch.images, torch.device("cpu"))
    assert found.shape == (20, 3, 48, 48)
    view = F.interpolate(
        batch.images["image"].float(), (48, 48), mode="bilinear", antialias=True
    ).clamp(0, 255)
    wanted = (view / 255 - torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)) / torch.tensor(
        teacher.run.transform.std
    ).view(3, 1, 1)
    torch.testing.assert_close(found, wanted)
    with torch.no_grad():
        torch.testing.assert_close(teacher.lesson(batch).logits, teacher.run.net(wanted))
    # A crop is brought to the teacher's size in proportion.
    assert teacher.size_of(torch.zeros(1, 3, 16, 24)) == (24, 36)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_killed_student_goes_on_bit_for_bit(folder, tmp_path, bf16):
    changes = taught(
        MAPS, "data.augment={flip: 0.5, mixup: 0.4}", "training.batch_size=8",
        "model.options.dropout=0.2", f"training.bf16={str(bf16).lower()}",
    )  # fmt: skip
    config = config_of(*changes)
    train(config, tmp_path / "whole", folder=folder)
    again = killed_and_resumed(config, tmp_path / "killed", folder, step=4)
    assert same_tensors(
        again.net.state_dict(), load_run(tmp_path / "whole", "last").net.state_dict()
    )
    steps = [line for line in log_lines(tmp_path / "whole") if line["kind"] == "step"]
    assert all(np.isfinite([line["loss.distil"], line["loss.distil_maps"]]).all() for line in steps)
    losses = [line["loss"] for line in steps]
    for line, loss in zip(steps, losses, strict=True):
        parts = line["cross_entropy"] + 0.7 * line["loss.distil"] + 0.6 * line["loss.distil_maps"]
        assert loss == pytest.approx(parts, rel=1e-5)
    values = yaml.safe_load((tmp_path / "whole" / "config.yaml").read_text())
    teacher = (tmp_path / "whole" / values["distil"]["teacher"]).resolve()
    assert teacher == (folder / "teacher").resolve()


def test_distilling_is_off_unless_it_is_asked_for(folder, tmp_path):
    config = config_of(*PLAIN)
    assert config.distil is None
    train(config, tmp_path / "run", folder=folder)
    assert not any("loss.distil" in line for line in log_lines(tmp_path / "run"))
    assert "teacher" not in json.loads((tmp_path / "run" / "environment.json").read_text())


def test_a_student_learns_what_its_teacher_says(folder, tmp_path):
    """Without the cross-entropy: of the labels it is told nothing."""
    changes = ("distil.teacher=teacher", "guidance.cross_entropy=0", "training.epochs=40",
               "training.optimiser.lr=0.01")  # fmt: skip
    train(config_of(*changes), tmp_path / "run", folder=folder)
    told = [line["train"] for line in log_lines(tmp_path / "run") if line["kind"] == "epoch"]
    assert told[-1]["loss.distil"] < 0.3 * told[0]["loss.distil"]
    assert told[-1]["loss"] == pytest.approx(told[-1]["loss.distil"])
    assert told[-1]["accuracy"] > told[0]["accuracy"]


def test_the_trained_run_needs_no_teacher(folder, tmp_path):
    shutil.copytree(folder / "teacher", tmp_path / "teacher")
    manifest = f"data.manifest={folder / 'manifest.parquet'}"
    train(config_of(*taught(manifest, "training.epochs=1")), tmp_path / "run", folder=tmp_path)
    weights = tmp_path / "teacher" / "checkpoints"
    train_again = config_of(*taught(manifest))
    with pytest.raises(RunError, match="a new folder"):
        train(train_again, tmp_path / "run", folder=tmp_path)
    # A run that goes on wants the very same teacher.
    text = (tmp_path / "run" / "config.yaml").read_text().replace("epochs: 1", "epochs: 2")
    (tmp_path / "run" / "config.yaml").write_text(text)
    shutil.rmtree(tmp_path / "teacher")
    shutil.copytree(folder / "larger", tmp_path / "teacher")
    with pytest.raises(RunError, match="the teacher that the run began with, found other weights"):
        resume(tmp_path / "run")
    shutil.rmtree(tmp_path / "teacher")
    assert not weights.exists()
    with pytest.raises(RunError, match="expected a run's folder"):
        resume(tmp_path / "run")
    assert load_run(tmp_path / "run").predict(folder / "images" / "test-00.png").shape == (1, 2)


def test_it_is_told_that_the_teacher_knows_what_it_is_judged_by(folder, tmp_path):
    notes = []

    class Told:
        def step(self, *_): ...
        def epoch(self, *_): ...
        def note(self, text):
            notes.append(text)

    train(config_of(*taught("training.epochs=1")), tmp_path / "a", folder=folder, watcher=Told())
    assert not [text for text in notes if "teacher" in text]
    changes = taught("training.epochs=1", "data.folds=3", "data.fold=1")
    train(config_of(*changes), tmp_path / "b", folder=folder, watcher=Told())
    told = [text for text in notes if "the teacher has learned from" in text]
    assert len(told) == 2
    assert all(" images of test" in text or " images of val" in text for text in told)


def test_segmenters_learn_the_logits_of_every_pixel(tmp_path):
    write_masks(tmp_path)
    train(config_of("training.epochs=1", base=SEGMENTER), tmp_path / "teacher", folder=tmp_path)
    changes = "distil.teacher=teacher", "training.epochs=1", "data.augment.crop=[16, 32]"
    config = config_of(*changes, "model.options.width=8", base=SEGMENTER)
    train(config, tmp_path / "run", folder=tmp_path)
    steps = [line for line in log_lines(tmp_path / "run") if line["kind"] == "step"]
    assert all(line["loss.distil"] > 0 for line in steps)
    assert load_run(tmp_path / "run").segments
    with pytest.raises(ConfigError, match=r"distil\.maps: expected none for a segmenter"):
        train(
            config_of(*changes, "distil.maps={}", base=SEGMENTER), tmp_path / "b", folder=tmp_path
        )


def test_sets_of_labels_and_two_views_are_learned_too(tmp_path):
    for name, write, base in (("sets", write_sets, SETS), ("pairs", write_pairs, TWIN)):
        folder = tmp_path / name
        folder.mkdir()
        write(folder)
        maps = "distil.maps={}" if name == "sets" else "distil.maps={method: gradient_rollout}"
        train(config_of("training.epochs=1", base=base), folder / "teacher", folder=folder)
        changes = "distil.teacher=teacher", maps, "training.epochs=1"
        train(config_of(*changes, base=base), folder / "run", folder=folder)
        steps = [line for line in log_lines(folder / "run") if line["kind"] == "step"]
        assert all(line["loss.distil"] >= 0 for line in steps)
        assert {"loss.distil_maps"} <= steps[0].keys()


def test_what_cannot_be_learned_is_one_line(folder, tmp_path):
    def refused(*changes, said, kind=ConfigError, base=None):
        how = {} if base is None else {"base": base}
        with pytest.raises(kind, match=said) as caught:
            train(config_of(*changes, **how), tmp_path / "out", folder=folder)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()

    refused(*taught(teacher="nobody"), said="expected a run's folder", kind=RunError)
    refused(*taught("classes=[moss, fern]"), said="same order, found another order; take")
    refused(*taught("data.fit=pad"), said=r"fitted alike \(pad, 32 x 32\), found stretch")
    refused(
        *taught("guidance.combine=product", "guidance.terms=[{term: energy}]"),
        said=r"guidance\.combine: expected sum beside distil",
    )
    refused(
        *taught("guidance.terms=[{term: energy, name: distil}]"),
        said="expected names other than those of distil's losses",
    )
    refused(*taught("distil.temperature=0"), said=r"distil\.temperature")
    refused(*taught("distil.maps={method: gradkam}"), said="did you mean gradcam")
    refused(*taught("distil.maps={term: energy}"), said=r"distil\.maps\.term")
    layer = "distil.maps={teacher_layer: nowhere}"
    refused(*taught(layer), said=r"distil\.teacher, layer: .* of SmallCNN", kind=ModelError)
    for freeze, epochs in (("backbone", 1), (2, 2)):
        refused(
            *taught("distil.maps={method: eigencam}"),
            f"model.freeze={freeze}",
            f"training.epochs={epochs}",
            said="a loss with a gradient to the classifier",
        )


def test_other_classes_tasks_and_views_are_one_line(folder, tmp_path):
    three = tmp_path / "three"
    three.mkdir()
    write_set(three, classes=("fern", "moss", "ivy"))
    teacher = f"distil.teacher={folder / 'teacher'}"
    with pytest.raises(ConfigError, match=r"3 classes in the same order, found 2 of them, without"):
        train(config_of(teacher), three / "run", folder=three)
    (tmp_path / "sets").mkdir()
    write_sets(tmp_path / "sets")
    with pytest.raises(ConfigError, match="a run for multilabel, found teacher, for classific"):
        train(config_of(teacher, base=SETS), tmp_path / "run", folder=tmp_path / "sets")
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    write_pairs(pairs)
    train(config_of("training.epochs=1", base=TWIN), pairs / "teacher", folder=pairs)
    with pytest.raises(ConfigError, match="views image, found one that needs segmented"):
        train(config_of("distil.teacher=teacher"), pairs / "run", folder=pairs)


def test_the_command_and_arms_of_a_study(folder, tmp_path):
    config = write_config(folder, *PLAIN, "training.epochs=1", name="student.yaml")
    out = tmp_path / "run"
    done = run_regard("distil", folder / "teacher", config, "--temperature", 2, "--maps", 0.5,
                      "--out", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    values = load_run(out).config["distil"]
    assert (values["temperature"], values["weight"]) == (2, 1)
    assert values["maps"]["weight"] == 0.5
    wrong = run_regard("distil", folder / "nobody", config, "--out", tmp_path / "other")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    study = {
        "name": "s", "base": yaml.safe_load(config.read_text()), "baseline": "plain",
        "arms": {"plain": {}, "taught": {"distil": {"teacher": "teacher"}}},
    }  # fmt: skip
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    arms = read_study(folder / "study.yaml").arms
    assert arms["taught"]["distil"]["teacher"] == str((folder / "teacher").resolve())
    assert Teacher.of(config_of(*taught()).distil, folder).size == (32, 32)


@pytest.mark.parametrize("name", ["big #2", "12", "yes: no"])
def test_the_teacher_is_the_one_that_is_named(folder, tmp_path, name):
    config = write_config(folder, *PLAIN, "training.epochs=1", name="student.yaml")
    shutil.copytree(folder / "larger", folder / name)
    done = run_regard("distil", folder / name, config, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    teacher = load_run(tmp_path / "run").config["distil"]["teacher"]
    assert (tmp_path / "run" / teacher).resolve() == folder / name
