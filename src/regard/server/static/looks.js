// How maps are drawn, chosen once for all pictures of a view.

import { amend, change, read } from "./address.js";
import { field, h, restyle, select } from "./elements.js";
import { labelled } from "./words.js";

const OPACITY = 75;
const KEYS = ["method", "layer", "target", "opacity", "outlines"];

/** Of a state, what is about the looks of maps: kept from view to view. */
export const looksOf = (state) => Object.fromEntries(KEYS.map((key) => [key, state[key]]));

export const segments = (run) => run.task === "segmentation";

/** Whether a run can be asked about a photo that comes alone. */
export const takesOwn = (run) => run.views === 1;

/** What is outlined of an image: where maps are of several classes, that of which the map is. */
export const outlineOf = (run, state, of) =>
  run.task === "classification" ? of : { ...of, target: mapOf(run, state).target };

/** The class whose map is shown of an image; undefined where that is not known. */
export function classShown(run, state, image) {
  if (state.target === "label") return image.label === null ? undefined : [image.label].flat()[0];
  return state.target || (segments(run) ? run.classes[0] : image.probabilities?.[0]?.class);
}

/** The scores by method of the map that is shown: {scores, of}; `of` is null for means. */
export function scoresShown(run, state, image) {
  const shown = classShown(run, state, image);
  const told = Object.entries(image.class_scores ?? {}).filter(([, own]) => own[shown]);
  if (!told.length) return { scores: image.scores ?? {}, of: null };
  return { scores: Object.fromEntries(told.map(([name, own]) => [name, own[shown]])), of: shown };
}

/** The parameters of a map of one image. */
export function mapOf(run, state, more = {}) {
  const target = state.target || (segments(run) ? run.classes[0] : "predicted");
  return {
    run: run.id,
    split: state.split,
    method: state.method || run.method,
    layer: state.layer,
    target,
    ...more,
  };
}

/** Set opacity and outlines on an element for all stacks in it. */
export function dress(element, state) {
  restyle(element, { "--map": Number(state.opacity || OPACITY) / 100 });
  element.classList.toggle("bare", state.outlines === "0");
}

export const methodName = (run, name) =>
  run.methods.find((method) => method.name === name)?.title ?? name;

/** The methods that a run's net can be asked with, the run's own first. */
export function methodsOf(run) {
  const fit = run.methods.filter(({ unfit }) => unfit === null);
  const own = ({ name }) => name === run.method;
  return [...fit.filter(own), ...fit.filter((method) => !own(method))];
}

/** The others, by what they need: [{need, titles}]. */
export function unfitOf(run) {
  const needs = new Map();
  for (const { title, unfit } of run.methods)
    if (unfit !== null) needs.set(unfit, [...(needs.get(unfit) ?? []), title]);
  return [...needs].map(([need, titles]) => ({ need, titles }));
}

function methodOptions(run) {
  const words = ({ name, title, cost }) => [
    name === run.method ? "" : name,
    `${title}${name === run.method ? " (the run's)" : cost === "dear" ? " (slow)" : ""}`,
  ];
  const unfit = unfitOf(run).flatMap(({ need, titles }) =>
    titles.map((title) => `${title}: ${need}`),
  );
  return [
    ...methodsOf(run).map(words),
    ...(unfit.length ? [{ group: "Not for this net", options: unfit }] : []),
  ];
}

function targetOptions(run) {
  const classes = run.classes.map((name) => [name, labelled(name)]);
  if (segments(run)) return [["", labelled(run.classes[0])], ...classes.slice(1)];
  return [["", "predicted class"], ["label", "labelled class"], ...classes];
}

/**
 * A bar of controls, folded away on a small screen: `update(state)` shows a state's looks. `own` is
 * an image without a manifest.
 */
export function looksBar(run, { own = false } = {}) {
  const method = select(methodOptions(run), "", (value) => change({ method: value }));
  const layers = [
    ["", `${run.layer ?? "found"} (the run's)`],
    ...run.layers.filter((name) => name !== run.layer).map((name) => [name, name]),
  ];
  const layer = select(layers, "", (value) => change({ layer: value }));
  const class_ = select(targetOptions(run), "", (value) => change({ target: value }));
  const slider = h("input", { type: "range", min: "0", max: "100", step: "5", class: "opacity" });
  const shown = h("output", {});
  const slide = (quiet) => {
    amend({ opacity: slider.value === String(OPACITY) ? "" : slider.value }, { quiet });
    update(read());
  };
  slider.addEventListener("input", () => slide(false));
  const outlines = h("input", {
    type: "checkbox",
    onchange: () => change({ outlines: outlines.checked ? "" : "0" }),
  });
  const update = (state) => {
    method.value = state.method ?? "";
    layer.value = state.layer ?? "";
    class_.value = state.target === run.classes[0] && segments(run) ? "" : (state.target ?? "");
    slider.value = state.opacity || OPACITY;
    shown.textContent = `${slider.value}\u00a0%`;
    outlines.checked = state.outlines !== "0";
  };
  const opacity = field("Map's opacity", slider);
  opacity.append(shown);
  opacity.classList.add("slide");
  const bar = h(
    "div",
    { class: "bar looks", role: "group", "aria-label": "Maps" },
    field("Map by", method),
    !own && run.layers.length > 1 && field("Layer", layer),
    !own && field("Map of", class_),
    opacity,
    !own && h("label", { class: "check" }, outlines, segments(run) ? "Class's outline" : "Region's outline"),
    scale(),
  );
  const folded = h(
    "details",
    { class: "fold", open: innerWidth > 640 },
    h("summary", {}, "Maps"),
    bar,
  );
  return { bar: folded, update };
}

/** What the colours mean. */
const scale = () =>
  h("span", { class: "scale" }, "little", h("i", { "aria-hidden": "true" }), "much");
