// One run: its splits, its numbers, its curves, its config.

import { href } from "./address.js";
import { follow } from "./curves.js";
import { h } from "./elements.js";
import { methodName, takesOwn } from "./looks.js";
import { command, nothing } from "./notices.js";
import { number, percent, plural, titled, worded } from "./words.js";

const SHARES = new Set(
  "accuracy balanced_accuracy f1 f1_macro precision precision_macro recall recall_macro mean_iou roc_auc average_precision specificity map pixel_accuracy mean_accuracy".split(
    " ",
  ),
);

export function runView({ main, run, overview, signal }) {
  const row = overview.runs.find(({ id }) => id === run.id);
  const curves = h("div", { class: "charts" });
  const study = overview.runs.find(({ id }) => id === row?.study);
  const arm = row?.arm
    ? `Arm ${row.arm}${row.seed === null ? "" : `, seed ${row.seed}`} of ${study?.name ?? row.study}`
    : null;
  main.append(
    ...[
      h(
        "p",
        { class: "kind" },
        `${worded(run.task)} · ${plural(run.classes.length, "class", "classes")}`,
      ),
      h("h1", {}, run.name),
      h("p", { class: "quiet" }, [run.spec, arm].filter(Boolean).join(" · ")),
      row?.report &&
        h(
          "p",
          { class: "quiet" },
          h("a", { href: `api/report?${new URLSearchParams({ run: run.id })}` }, "Its report"),
        ),
      run.problem && h("p", { class: "notice" }, run.problem),
      h("section", { class: "group" }, h("h2", {}, "Pictures"), splits(run)),
      h("section", { class: "group" }, h("h2", {}, "Training"), curves),
      measures(run),
      h(
        "section",
        { class: "group" },
        h("details", {}, h("summary", {}, "Config"), h("pre", { tabindex: "0" }, yaml(run.config))),
      ),
    ].filter(Boolean),
  );
  follow(curves, run.id, { signal, most: 4 });
}

function splits(run) {
  if (!run.splits.length)
    return nothing("This run has no split with images. Is its manifest where it was?");
  return h(
    "ul",
    { class: "doors" },
    run.splits.map((split) =>
      h(
        "li",
        {},
        h(
          "a",
          { href: href({ view: "gallery", run: run.id, split: split.name }) },
          h("b", {}, split.name),
          h("span", {}, plural(split.images, "image")),
          h("small", {}, split.predicted ? scored(split) : "not evaluated yet"),
        ),
      ),
    ),
    takesOwn(run) &&
      h(
        "li",
        {},
        h(
          "a",
          { href: href({ view: "own", run: run.id }) },
          h("b", {}, "Your own image"),
          h("small", {}, "drop one in, nothing is stored"),
        ),
      ),
  );
}

const scored = (split) =>
  `evaluated${split.scored.length ? `, gaze by ${split.scored.join(", ")}` : ""}${split.regions ? "" : ", no regions"}`;

function measures(run) {
  const tables = Object.entries(run.metrics).map(([split, values]) =>
    h(
      "div",
      { class: "tables" },
      numbers(`${split}, ${plural(values.images ?? 0, "image")}`, values.metrics),
      Object.entries(values.gaze ?? {}).map(([method, { scores }]) =>
        numbers(`Gaze on ${split}, ${methodName(run, method)}`, scores),
      ),
    ),
  );
  const missing = run.splits.filter(({ predicted }) => !predicted);
  const hint = `Without numbers: ${missing.map(({ name }) => name).join(", ")}. To have them of ${missing.at(-1)?.name}:`;
  return h(
    "section",
    { class: "group" },
    h("h2", {}, "Numbers"),
    tables,
    missing.length > 0 && [h("p", { class: "quiet" }, hint), command(missing.at(-1).evaluate)],
  );
}

function numbers(title, values = {}) {
  const rows = Object.entries(values).filter(([, value]) => typeof value?.value === "number");
  if (!rows.length) return null;
  const shown = (name) => (SHARES.has(name) ? percent : number);
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h("caption", {}, title),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Metric"),
          h("th", { scope: "col", class: "n" }, "Value"),
          h("th", { scope: "col", class: "n" }, "95% interval"),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map(([name, { value, low, high }]) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, titled(name)),
            h("td", { class: "n" }, shown(name)(value)),
            h(
              "td",
              { class: "n quiet" },
              typeof low === "number" ? `${shown(name)(low)} to ${shown(name)(high)}` : "–",
            ),
          ),
        ),
      ),
    ),
  );
}

/** A config as it is written by hand. */
function yaml(value, indent = "") {
  return Object.entries(value ?? {})
    .map(([key, own]) => {
      if (own !== null && typeof own === "object" && !Array.isArray(own) && Object.keys(own).length)
        return `${indent}${key}:\n${yaml(own, `${indent}  `)}`;
      return `${indent}${key}: ${typeof own === "string" ? own : JSON.stringify(own)}`;
    })
    .join("\n");
}
