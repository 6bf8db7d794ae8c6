// The runs and studies of the folder.

import { href } from "./address.js";
import { follow } from "./curves.js";
import { h } from "./elements.js";
import { known } from "./known.js";
import { marked, nothing } from "./notices.js";
import { ago, percent, plural, short } from "./words.js";

const EVERY = 8000;
const MEASURES = { classification: "accuracy", segmentation: "mean_iou", multilabel: "map" };
const NAMES = { accuracy: "accuracy", mean_iou: "mean IoU", map: "mAP" };

export function overviewView({ main, overview, signal }) {
  const live = h("section", { class: "live", hidden: true, "aria-label": "Training now" });
  const lists = h("div");
  const cards = new Map();
  main.append(h("h1", {}, overview.name), live, lists);
  const show = (seen) => {
    const runs = seen.runs.filter((row) => row.kind === "run");
    lists.replaceChildren(...groups(seen.runs, runs));
    liveCards(live, cards, runs, signal);
  };
  const again = async () => {
    if (signal.aborted) return;
    if (document.visibilityState === "visible") {
      const before = JSON.stringify(overview);
      overview = await known.overview(signal, { fresh: true }).catch(() => overview);
      if (!signal.aborted && JSON.stringify(overview) !== before)
        keepingFocus(lists, () => show(overview));
    }
    setTimeout(again, EVERY);
  };
  show(overview);
  setTimeout(again, EVERY);
}

/** Draw anew without taking the focus from a link that is still there. */
function keepingFocus(place, draw) {
  const had = place.contains(document.activeElement)
    ? document.activeElement.getAttribute("href")
    : null;
  draw();
  if (had)
    [...place.querySelectorAll("a")].find((link) => link.getAttribute("href") === had)?.focus();
}

function groups(all, runs) {
  if (!all.length) {
    return [
      nothing(
        "There are no runs in this folder yet. `regard train CONFIG --out RUN` makes one; it appears here by itself.",
      ),
    ];
  }
  const parents = all.filter((row) => row.kind !== "run");
  const own = runs.filter((row) => !parents.some((parent) => parent.id === row.study));
  const sections = parents.map((parent) => {
    const members = runs.filter((row) => row.study === parent.id);
    const kind = parent.kind === "study" ? "Study" : "Tuning";
    return group(`${kind} · ${plural(members.length, "run")}`, parent.name, members, parent);
  });
  if (own.length)
    sections.push(
      group(plural(own.length, "run"), parents.length ? "Runs of their own" : "Runs", own),
    );
  return sections;
}

function group(kind, name, rows, parent) {
  const report =
    parent?.report &&
    h(
      "p",
      { class: "quiet" },
      h("a", { href: `api/report?${new URLSearchParams({ run: parent.id })}` }, "Its report"),
    );
  return h(
    "section",
    { class: "group" },
    h("p", { class: "kind" }, kind),
    h("h2", {}, name),
    report,
    parent?.problem && h("p", { class: "notice" }, parent.problem),
    rows.length ? table(rows, parent, name) : h("p", { class: "quiet" }, "No run of it has begun."),
  );
}

function table(rows, parent, name) {
  const splits = [...new Set(rows.flatMap((row) => Object.keys(row.metrics)))]
    .sort((a, b) => order(a) - order(b))
    .slice(0, 3);
  const measures = new Set(rows.map(measureOf));
  const measure = measures.size === 1 ? NAMES[[...measures][0]] : "result";
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": `Runs of ${name}` },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, parent ? "Arm and seed" : "Run"),
          h("th", { scope: "col" }, "State"),
          splits.map((split) => h("th", { scope: "col", class: "n" }, `${measure}, ${split}`)),
          h("th", { scope: "col" }, "Net"),
          h("th", { scope: "col", class: "n" }, "Changed"),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) => line(row, rows, splits, parent, measures.size > 1)),
      ),
    ),
  );
}

const order = (split) => ["test", "val", "train"].indexOf(split) + 1 || 1.5;
const measureOf = (row) => MEASURES[row.task] ?? "accuracy";

/** Arm and seed in a study; elsewhere the folder, in full where another run is named alike. */
function naming(row, rows, parent) {
  if (!parent || row.arm === null) {
    return rows.filter(({ name }) => name === row.name).length > 1 ? row.id : row.name;
  }
  const seed = row.seed === null ? "" : ` · seed ${row.seed}`;
  return `${row.arm}${seed}${row.fold === null ? "" : ` · fold ${row.fold}`}`;
}

/** `mixed`: the rows are of several tasks, so each says which measure it has. */
function line(row, rows, splits, parent, mixed) {
  const name = naming(row, rows, parent);
  const result = (split) => {
    const value = row.metrics[split]?.[measureOf(row)];
    const said = mixed && typeof value === "number";
    return h("td", { class: "n" }, percent(value), said && h("small", {}, NAMES[measureOf(row)]));
  };
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("a", { href: href({ view: "run", run: row.id }) }, name),
      !parent && row.id !== name && row.id !== "." && h("small", {}, row.id),
    ),
    h("td", {}, state(row), row.problem && h("small", {}, row.problem)),
    splits.map(result),
    h("td", { class: "spec" }, row.spec ?? "–"),
    h("td", { class: "n quiet" }, ago(row.updated)),
  );
}

function state(row) {
  const words = h(
    "span",
    { class: `state ${row.state}` },
    row.state === "new" ? "not begun" : row.state,
  );
  if (row.epochs === null || row.epoch === null || row.state === "done") return words;
  return [words, " ", progress(row)];
}

function progress({ epoch, epochs }) {
  return h(
    "span",
    { class: "progress" },
    h("progress", { max: epochs, value: epoch, "aria-label": "Epochs done" }),
    ` ${epoch}\u00a0of\u00a0${epochs}`,
  );
}

/** A card with curves for each run that is training, for as long as it is. */
function liveCards(place, cards, runs, signal) {
  const training = runs.filter((row) => row.state === "training").slice(0, 4);
  for (const [id, { card, stop }] of cards) {
    if (training.some((row) => row.id === id)) continue;
    stop.abort();
    card.remove();
    cards.delete(id);
  }
  for (const row of training.filter(({ id }) => !cards.has(id))) {
    const stop = new AbortController();
    const made = card(row, AbortSignal.any([signal, stop.signal]));
    cards.set(row.id, { card: made, stop });
    place.append(made);
  }
  place.hidden = !cards.size;
  if (cards.size && !place.querySelector("h2")) place.prepend(h("h2", {}, "Training now"));
}

function card(row, signal) {
  const curves = h("div", { class: "charts" });
  const done = h("span");
  const link = h(
    "a",
    { href: href({ view: "run", run: row.id }) },
    row.study ? `${short(row.study)}: ${row.name}` : row.name,
  );
  const ontick = ({ epochs, state: now }) => {
    const epoch = epochs.at(-1)?.epoch ?? 0;
    done.replaceChildren(
      now === "training" && row.epochs ? progress({ epoch, epochs: row.epochs }) : now,
    );
  };
  follow(curves, row.id, { signal, ontick });
  return h(
    "article",
    { class: "card" },
    h("h3", {}, link),
    h("p", { class: "quiet" }, done),
    curves,
  );
}
