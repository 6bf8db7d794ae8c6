// What a run measured epoch by epoch, and what it measures while it trains.

import { get } from "./api.js";
import { chart } from "./chart.js";
import { h } from "./elements.js";
import { dropped } from "./notices.js";
import { titled } from "./words.js";

const EVERY = 2500;
// Of a run that is not trained now: it may be gone on with.
const SELDOM = 10000;
const FIRST = ["loss", "accuracy", "mean_iou", "map", "energy"];
const TITLES = {
  loss: "Loss",
  accuracy: "Accuracy",
  mean_iou: "Mean IoU",
  map: "Mean average precision",
  energy: "Energy of the gaze",
};

/**
 * Charts in an element, kept up to date until the signal says stop.
 *
 * `most` is how many charts; `ontick` hears of each answer: {epochs, state}.
 */
export function follow(place, run, { signal, most = 2, ontick = () => {} }) {
  let epochs = [];
  let [offset, mark, every] = [0, "", EVERY];
  const step = async () => {
    if (document.visibilityState === "visible") {
      try {
        const answer = await get("curves", { run, offset, mark }, signal);
        ({ offset, mark } = answer);
        if (answer.restarted) epochs = [];
        epochs = epochs.concat(answer.epochs);
        if (answer.epochs.length || !epochs.length)
          place.replaceChildren(...charts(epochs, most, answer.state));
        ontick({ epochs, state: answer.state });
        every = answer.state === "training" ? EVERY : SELDOM;
      } catch (error) {
        if (dropped(error) || signal.aborted) return;
        if (!place.childElementCount)
          place.replaceChildren(h("p", { class: "quiet" }, error.message));
      }
    }
    if (!signal.aborted) setTimeout(step, every);
  };
  step();
}

function charts(epochs, most, state) {
  if (!epochs.length) {
    return [
      h(
        "p",
        { class: "quiet" },
        state === "training" ? "The first epoch is not over yet." : "No epoch was logged.",
      ),
    ];
  }
  return chosen(epochs, most).map((name) => {
    const line = (part, tone) => ({
      name: part,
      tone,
      points: epochs
        .map((row) => [row.epoch, row[part]?.[name]])
        .filter(([, value]) => Number.isFinite(value)),
    });
    const lines = [line("train", "c0"), line("val", "c1")].filter(({ points }) => points.length);
    return chart({ title: TITLES[name] ?? titled(name), lines });
  });
}

/** The measures with the most to say: the loss, then what is judged. */
function chosen(epochs, most) {
  const names = new Set(
    epochs.flatMap((row) =>
      ["train", "val"].flatMap((part) =>
        Object.entries(row[part] ?? {})
          .filter(([, value]) => Number.isFinite(value))
          .map(([name]) => name),
      ),
    ),
  );
  const first = FIRST.filter((name) => names.has(name));
  return [...first, ...[...names].filter((name) => !FIRST.includes(name))].slice(0, most);
}
