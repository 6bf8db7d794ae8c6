"""A tuning in sentences: what is best, how far that is luck, what was searched and how."""

from regard.language import Phrases, phrase, plural
from regard.reports.tuning_contents import TuningContents
from regard.reports.words import count


def best_words(tuning: TuningContents) -> list[str]:
    """What the best trials are, and what their values are not."""
    done = len(tuning.of("complete"))
    words = []
    if len(tuning.metrics) == 2 and len(tuning.best) == 1:
        text = "Trial {number} is as good as any other one in both objectives."
        words.append(phrase(text, number=tuning.best[0]))
    elif len(tuning.metrics) == 2 and tuning.best:
        words.append(
            phrase(
                "{trials} are beaten by no other one in both objectives: to get more of one is to "
                "give up some of the other.",
                trials=count(len(tuning.best), "trial"),
            )
        )
    if done > 1:
        words.append(
            phrase(
                "These values are optimistic: they are the best of {trials} on the same val "
                "images, by which they were chosen. New images will likely show worse. Test was "
                "not read; train the best config and evaluate it there once.",
                trials=done,
            )
        )
        words.append(
            phrase(
                "All trials were trained with one seed, so trials with close values may swap "
                "places with another one: compare two or three of them over seeds in a study."
            )
        )
    return words


def searched(tuning: TuningContents) -> list[str]:
    """How values were drawn and trials broken off."""
    sampler = tuning.tuning.get("sampler", "tpe")
    startup = tuning.tuning.get("startup", 10)
    tried = tuning.count
    if sampler == "tpe" and 0 < tried <= startup:
        told = plural(
            tried,
            "The {n} trial was drawn at random: TPE, which tries what is likely among the good "
            "ones and unlikely among the others, begins after {startup}.",
            "All {n} trials were drawn at random: TPE, which tries what is likely among the good "
            "ones and unlikely among the others, begins after {startup}.",
            startup=startup,
        )
    elif sampler == "tpe":
        told = plural(
            startup,
            "The first {n} trial is drawn at random; then TPE tries what is likely among the good "
            "ones and unlikely among the others.",
            "The first {n} trials are drawn at random; then TPE tries what is likely among the "
            "good ones and unlikely among the others.",
        )
    else:
        told = phrase(_SAMPLERS[sampler]) if sampler in _SAMPLERS else ""
    return [f"{told} {_pruned(tuning)}".strip()]


_SAMPLERS: Phrases = {
    "random": "All values are drawn at random.",
    "grid": "Every combination is tried once, in an order drawn by the seed.",
}


def _pruned(tuning: TuningContents) -> str:
    how = tuning.tuning.get("pruning") or {}
    kind, warmup = tuning.summary.get("pruning", "none"), how.get("warmup", 2)
    first = max(warmup, 1) if kind == "hyperband" else warmup + 1
    if kind != "none" and tuning.of("pruned").is_empty() and tuning.most_epochs <= first:
        return phrase(
            "No trial can be broken off: one is judged from epoch {first} on and before its last, "
            "and a trial has {epochs}.",
            first=first,
            epochs=count(tuning.most_epochs, "epoch"),
        )
    if kind == "hyperband":
        return phrase(
            "A trial is broken off that is not among the best third of those that came as far "
            "(hyperband)."
        )
    if kind != "median":
        return ""
    rule = phrase(
        "After {epochs} a trial is broken off whose best value so far is worse than the median of "
        "the others at that epoch."
        if warmup
        else "From the first epoch on a trial is broken off whose best value so far is worse than "
        "the median of the others at that epoch.",
        epochs=count(warmup, "epoch"),
    )
    startup = how.get("startup", 5)
    if tuning.count > startup:
        return rule
    text = "With {trials} that cannot happen: it takes {startup} complete ones before."
    return f"{rule} {phrase(text, trials=count(tuning.count, 'trial'), startup=startup)}"


def importance_words(tuning: TuningContents) -> list[str]:
    """What the bars say, or why there are none."""
    done = len(tuning.of("complete"))
    if not tuning.summary.get("importance"):
        return [
            phrase(
                "Which key matters is not told from {trials}: it takes ten or more whose values "
                "differ.",
                trials=count(done, "complete trial"),
            )
        ]
    text = phrase(
        "The share of the variance that each key explains by itself, over the whole range "
        "searched, estimated by a forest (fANOVA) from {trials}.",
        trials=count(done, "complete trial"),
    )
    if done >= 10 * len(tuning.keys):
        return [text]
    keys = count(len(tuning.keys), "key")
    return [f"{text} {phrase('With {keys} that is a rough estimate.', keys=keys)}"]
