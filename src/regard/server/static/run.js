// One run: its splits, its numbers, its curves, its config.

import { href } from "./address.js";
import { follow } from "./curves.js";
import { h } from "./elements.js";
import { marked, nothing } from "./notices.js";
import { number, percent, plural, worded } from "./words.js";

const SHARES = new Set("accuracy balanced_accuracy f1 precision recall mean_iou roc_auc average_precision sensitivity specificity auc map mean_accuracy pixel_accuracy".split(" "));

export function runView({ main, run, overview, signal }) {
  const row = overview.runs.find(({ id }) => id === run.id);
  const curves = h("div", { class: "charts" });
  const arm = row?.arm ? `Arm ${row.arm}${row.seed === null ? "" : `, seed ${row.seed}`} of ${row.study}` : null;
  main.append(
    h("p", { class: "kind" }, `${worded(run.task)} · ${plural(run.classes.length, "class", "classes")}`),
    h("h1", {}, run.name),
    h("p", { class: "quiet" }, [run.spec, arm].filter(Boolean).join(" · ")),
    run.problem && h("p", { class: "notice" }, run.problem),
    h("section", { class: "group" }, h("h2", {}, "Pictures"), splits(run)),
    h("section", { class: "group" }, h("h2", {}, "Training"), curves),
    ...measures(run),
    h("section", { class: "group" }, h("details", {}, h("summary", {}, "Config"), h("pre", { tabindex: "0" }, yaml(run.config)))),
  );
  follow(curves, run.id, { signal, most: 4 });
}

function splits(run) {
  if (!run.splits.length) return nothing("This run has no split with images. Is its manifest where it was?");
  return h(
    "ul",
    { class: "doors" },
    run.splits.map((split) =>
      h("li", {}, h(
        "a",
        { href: href({ view: "gallery", run: run.id, split: split.name }) },
        h("b", {}, split.name),
        h("span", {}, plural(split.images, "image")),
        h("small", {}, split.predicted ? scored(split) : "not evaluated yet"),
      )),
    ),
    h("li", {}, h("a", { href: href({ view: "own", run: run.id }) }, h("b", {}, "An image of your own"), h("small", {}, "drop one in, nothing is stored"))),
  );
}

const scored = (split) => `evaluated${split.scored.length ? `, gaze by ${split.scored.join(", ")}` : ""}${split.regions ? "" : ", no regions"}`;

function measures(run) {
  const tables = Object.entries(run.metrics).map(([split, values]) => {
    const rows = Object.entries(values).map(([name, value]) => [name, flat(value)]).filter(([, value]) => value !== null);
    return rows.length ? h("div", { class: "scroll" }, numbers(split, rows)) : null;
  });
  const shown = tables.filter(Boolean);
  const missing = run.splits.filter(({ predicted }) => !predicted).map(({ name }) => name);
  const hint = missing.length ? h("p", { class: "quiet" }, ...marked(`Without numbers: ${missing.join(", ")}. \`regard evaluate RUN --split ${missing.at(-1)}\` makes them.`)) : null;
  return [h("section", { class: "group" }, h("h2", {}, "Numbers"), h("div", { class: "tables" }, shown), hint)];
}

/** A metric as {value, low, high}; null for tables of many numbers. */
function flat(value) {
  if (typeof value === "number") return { value };
  return value && typeof value.value === "number" ? value : null;
}

function numbers(split, rows) {
  const shown = (name) => (SHARES.has(name) ? percent : number);
  return h(
    "table",
    {},
    h("caption", {}, split),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Metric"), h("th", { scope: "col", class: "n" }, "Value"), h("th", { scope: "col", class: "n" }, "95% interval"))),
    h("tbody", {}, rows.map(([name, { value, low, high }]) =>
      h("tr", {}, h("th", { scope: "row" }, worded(name)), h("td", { class: "n" }, shown(name)(value)),
        h("td", { class: "n quiet" }, typeof low === "number" ? `${shown(name)(low)} to ${shown(name)(high)}` : "–")))),
  );
}

/** A config as it is written by hand. */
export function yaml(value, indent = "") {
  return Object.entries(value ?? {}).map(([key, own]) => {
    if (own !== null && typeof own === "object" && !Array.isArray(own) && Object.keys(own).length) return `${indent}${key}:\n${yaml(own, `${indent}  `)}`;
    return `${indent}${key}: ${typeof own === "string" ? own : JSON.stringify(own)}`;
  }).join("\n");
}
