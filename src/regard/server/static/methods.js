// Maps of one image by several methods, side by side.

import { change } from "./address.js";
import { h, redraw } from "./elements.js";
import { classShown, mapOf, methodsOf, outlineOf, scoresShown, unfitOf } from "./looks.js";
import { fitting, Stack } from "./stack.js";
import { number } from "./words.js";

const AT_FIRST = 4;
const ACTIVATION = ["gradcam", "hirescam", "layercam", "eigencam", "gradcampp"];
const ATTENTION = ["chefer", "rollout", "gradient_rollout", "attention"];

/** Which methods are shown: those of the address, or the run's own and others of its kind that are fast. */
function chosen(run, state) {
  const fit = methodsOf(run);
  if (state.compare !== undefined)
    return state.compare.split(",").filter((name) => fit.some((one) => one.name === name));
  const known = fit.filter(({ cost }) => cost === "cheap").map(({ name }) => name);
  const kin = ATTENTION.includes(run.method) ? ATTENTION : ACTIVATION;
  return [...new Set([run.method, ...kin.filter((name) => known.includes(name))])].slice(
    0,
    AT_FIRST,
  );
}

/** Whether the map that is shown is the one that was scored: of labels that of the labelled class. */
function scored(run, state, image) {
  if (run.task !== "classification") return scoresShown(run, state, image).of !== null;
  return classShown(run, state, image) === image.label;
}

/** Which methods are not to be had, and what they need. */
function unfit(run) {
  const lines = unfitOf(run).map(({ need, titles }) =>
    h("li", {}, h("b", {}, titles.join(", ")), `: ${need}`),
  );
  return (
    lines.length > 0 &&
    h(
      "details",
      { class: "unfit" },
      h("summary", {}, "Methods that are not for this net"),
      h("ul", {}, lines),
    )
  );
}

export function methodsStrip(run) {
  const tiles = new Map();
  const strip = h("ul", { class: "strip" });
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Methods to compare" });
  const element = h(
    "section",
    { class: "group methods" },
    h("h2", {}, "Methods side by side"),
    chips,
    unfit(run),
    strip,
  );

  const update = (state, image) => {
    const names = chosen(run, state);
    redraw(chips, () =>
      chips.replaceChildren(...methodsOf(run).map((method) => chip(method, names))),
    );
    for (const [name, tile] of tiles) {
      if (names.includes(name)) continue;
      tile.stack.close();
      tile.element.remove();
      tiles.delete(name);
    }
    names.forEach((name, place) => {
      if (!tiles.has(name)) tiles.set(name, made(name));
      const tile = tiles.get(name);
      if (strip.children[place] !== tile.element)
        strip.insertBefore(tile.element, strip.children[place] ?? null);
      tile.draw(state, image);
    });
  };

  const chip = ({ name, title, cost, about }, names) => {
    const on = names.includes(name);
    const others = on ? names.filter((one) => one !== name) : [...names, name];
    const press = () => change({ compare: others.join(",") || "none" });
    return h(
      "button",
      { type: "button", "aria-pressed": String(on), title: about, onclick: press },
      title,
      cost === "dear" && h("small", {}, "slow"),
    );
  };

  const made = (name) => {
    const title = run.methods.find((method) => method.name === name).title;
    const failed = h("small", { class: "bad" });
    const score = h("small", { class: "n" });
    const stack = new Stack({
      alt: `Map by ${title}`,
      onfail: (message, layer) => layer === "map" && (failed.textContent = message),
    });
    const element = h("li", {}, stack.element, h("p", {}, h("b", {}, title), score), failed);
    const draw = (state, image) => {
      const { index } = image;
      const width = fitting(260);
      const of = { run: run.id, split: state.split, index, width };
      failed.textContent = "";
      stack.element.style.setProperty("aspect-ratio", `${image.width} / ${image.height}`);
      stack.want("picture", of);
      const outlined = image.region.present && state.outlines !== "0";
      stack.want("region", outlined ? outlineOf(run, state, of) : null);
      const layer = name === (state.method || run.method) ? state.layer : "";
      const pixel = state.pixel?.split(",");
      const more = { index, width, ...(pixel ? { x: pixel[0], y: pixel[1], target: "" } : {}) };
      stack.want("map", mapOf(run, { ...state, method: name, layer }, more), {
        from: pixel ? "pixel" : "map",
      });
      const energy = scoresShown(run, state, image).scores[name]?.energy;
      score.textContent =
        typeof energy === "number" && scored(run, state, image) && !pixel
          ? `energy ${number(energy)}`
          : "";
    };
    return { stack, element, draw };
  };

  return { element, update, close: () => tiles.forEach(({ stack }) => stack.close()) };
}
