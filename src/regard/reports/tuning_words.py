"""A tuning in sentences: what is best, how far that is luck, what was searched and how."""

from regard.reports.tuning_contents import TuningContents
from regard.reports.words import count, listed


def best_words(tuning: TuningContents) -> list[str]:
    """What the best trials are, and what their values are not."""
    done = len(tuning.of("complete"))
    words = []
    if len(tuning.metrics) == 2 and len(tuning.best) == 1:
        words.append(f"Trial {tuning.best[0]} is as good as any other one in both objectives.")
    elif len(tuning.metrics) == 2 and tuning.best:
        words.append(
            f"{count(len(tuning.best), 'trial')} are beaten by no other one in both "
            "objectives: to get more of one is to give up some of the other."
        )
    if done > 1:
        words.append(
            f"These values are optimistic: they are the best of {done} on the same val images, by "
            "which they were chosen. New images will likely show worse. Test was not read; train "
            "the best config and evaluate it there once."
        )
        words.append(
            "All trials were trained with one seed, so trials with close values may swap places "
            "with another one: compare two or three of them over seeds in a study."
        )
    return words


def searched(tuning: TuningContents) -> list[str]:
    """How values were drawn and trials broken off."""
    sampler = tuning.tuning.get("sampler", "tpe")
    startup = tuning.tuning.get("startup", 10)
    words = {
        "tpe": f"The first {count(startup, 'trial is', 'trials are')} drawn at random; then TPE "
        "tries what is likely among the good ones and unlikely among the others.",
        "random": "All values are drawn at random.",
        "grid": "Every combination is tried once, in an order drawn by the seed.",
    }
    return [" ".join([words.get(sampler, ""), _pruned(tuning)]).strip()]


def _pruned(tuning: TuningContents) -> str:
    how = tuning.tuning.get("pruning") or {}
    kind, warmup = tuning.summary.get("pruning", "none"), how.get("warmup", 2)
    after = f"After {count(warmup, 'epoch')}" if warmup else "From the first epoch on"
    words = {
        "median": f"{after} a trial is broken off whose best value so far is worse "
        "than the median of the others at that epoch.",
        "hyperband": "A trial is broken off that is not among the best third of those that came as "
        "far (hyperband).",
    }
    return words.get(kind, "")


def importance_words(tuning: TuningContents) -> list[str]:
    """What the bars say, or why there are none."""
    done = len(tuning.of("complete"))
    if not tuning.summary.get("importance"):
        return [
            f"Which key matters is not told from {count(done, 'complete trial')}: it takes ten or "
            "more whose values differ."
        ]
    text = (
        f"The share of the variance that each key explains by itself, over the whole range "
        f"searched, estimated by a forest (fANOVA) from {count(done, 'complete trial')}."
    )
    if done < 10 * len(tuning.keys):
        text += f" With {listed([count(len(tuning.keys), 'key')])} that is a rough estimate."
    return [text]
