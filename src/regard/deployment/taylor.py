"""The gradient of a run's own loss, which says what a weight is worth."""

from torch import Tensor

from regard.data.loader import epoch_order
from regard.evaluation.direction import lower_is_better
from regard.guidance.combination import Combination
from regard.runs.net import from_checkpoint
from regard.runs.run import Run
from regard.training.config import parse_config
from regard.training.objective import objective_of
from regard.training.optimisers import LearningRate, build_optimiser
from regard.training.prepare import prepare
from regard.training.step import Stepper

# Images of train, which Molchanov et al. find enough many times over.
IMAGES = 256


def loss_gradients(run: Run, images: int = IMAGES) -> dict[str, Tensor]:
    """The gradient by parameter, on the CPU, over the images that an epoch begins with.

    Of the loss that the run was trained with, guidance at its full weight included, a teacher left
    out; with the net in evaluation mode, so that batch norm and dropout are as they will be.

    Args:
        run: with its manifest.
        images: at least so many, whole batches of them.

    Raises:
        RegardError: as `prepare`.
    """
    config = parse_config(run.config, str(run.files.config))
    how = config.training
    parts = -(-images // how.batch_size)
    config = config.model_copy(
        update={
            "model": from_checkpoint(config.model, run.files),
            "training": how.model_copy(update={"accumulate": parts, "compile": False}),
            "distil": None,
        }
    )
    prepared = prepare(config, run.folder)
    try:
        net = prepared.net
        net.load_state_dict(run.net.state_dict())
        net.eval()
        guidance = config.guidance
        combination = Combination(
            guidance.combine, prepared.terms, cross_entropy=guidance.cross_entropy
        ).to(next(net.parameters()).device)
        optimiser = build_optimiser(net, how.optimiser, list(combination.parameters()))
        rate = LearningRate(
            optimiser,
            how.schedule,
            steps_per_epoch=1,
            epochs=how.epochs,
            lower_is_better=lower_is_better(how.best),
        )
        samples = prepared.train.data.samples
        objective = objective_of(config, samples, prepared.pixels)
        stepper = Stepper(prepared, combination, optimiser, rate, 1, objective, lambda _: None)
        labels = [sample.label for sample in samples]
        draws = epoch_order(labels, how.imbalance, seed=how.seed, epoch=0)
        batch = next(iter(prepared.train.batches(draws)))
        warm = 1 + int(max((term.warmup_epochs for term in prepared.terms), default=0))
        stepper.gradients(stepper.work(batch, warm), how.batch_size)
        found = net.named_parameters()
        return {name: own.grad.cpu() for name, own in found if own.grad is not None}
    finally:
        prepared.close()
