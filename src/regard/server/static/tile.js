// One image of the gallery: photo under its map, and what was said of it.

import { href } from "./address.js";
import { h } from "./elements.js";
import { mapOf, outlineOf } from "./looks.js";
import { fitting, Stack } from "./stack.js";
import { labelled, number, percent, signed } from "./words.js";

export class Tile {
  /** `other` is the second run or null; `to` the state that a click leads to. */
  constructor({ item, run, other, state, to, onfail, onload }) {
    Object.assign(this, { item, run, other });
    this.stacks = [run, ...(other ? [other] : [])].map(() => new Stack({ onfail, onload }));
    const sides = this.stacks.map((stack, place) =>
      h("span", { class: "side" }, stack.element, this.#answer(place, state)),
    );
    this.link = h(
      "a",
      { class: "tile", href: href(to), tabindex: "-1" },
      h("span", { class: "sides" }, sides),
      this.#caption(state),
    );
    this.element = h("li", {}, this.link);
    this.look(state);
  }

  #answer(place, state) {
    const said = place ? this.item.other : this.item;
    if (!said || said.predicted === null) return null;
    const right = said.right ? "right" : "wrong";
    const mark =
      said.right === null
        ? null
        : h(
            "span",
            { class: right },
            h("span", { "aria-hidden": "true" }, said.right ? "✓" : "✗"),
            h("span", { class: "unseen" }, right),
          );
    return h(
      "span",
      { class: "answer" },
      this.other && h("b", { class: "letter" }, place ? "B" : "A"),
      mark,
      h("span", { class: "name" }, labelled(said.predicted)),
      !Array.isArray(said.predicted) &&
        h("span", { class: "n" }, percent(said.probability, 0)),
      state.measured && h("small", {}, brief(said.scores?.[state.measured])),
    );
  }

  #caption({ measured, title }) {
    const { item } = this;
    const change =
      this.other && measured && item.other
        ? minus(item.other.scores?.[measured], item.scores[measured])
        : undefined;
    return h(
      "span",
      { class: "caption" },
      item.label !== null &&
        item.right !== true &&
        h(
          "span",
          { class: "truth" },
          item.predicted === null ? labelled(item.label) : `is ${labelled(item.label)}`,
        ),
      measured &&
        !this.other &&
        item.predicted === null &&
        h("span", { class: "n" }, number(item.scores[measured])),
      measured && change !== undefined && h("span", { class: "n" }, `${title} ${signed(change)}`),
      h("span", { class: "file", title: item.name }, item.name),
      !item.region && h("span", { class: "flagged" }, "no region"),
    );
  }

  /** Draw photo, map and outline as a state wants them. */
  look(state) {
    const { index, region } = this.item;
    const width = fitting(this.width ?? 200);
    this.stacks.forEach((stack, place) => {
      const run = place ? this.other : this.run;
      const of = { run: this.run.id, split: state.split, index };
      stack.want("picture", { ...of, width });
      stack.want(
        "region",
        region && state.outlines !== "0"
          ? outlineOf(this.run, state, { ...of, width: fitting(FINE) })
          : null,
      );
      stack.want("map", state.opacity === "0" ? null : mapFor(run, state, { index, width }));
    });
  }

  close() {
    this.stacks.forEach((stack) => stack.close());
  }
}

/** Outlines are drawn for a wider picture: they stay thin over a small one. */
const FINE = 360;

/** A score in few letters: what is next to nothing is nothing here. */
const brief = (value) =>
  typeof value === "number" && Math.abs(value) < 0.001 ? value.toFixed(3) : number(value);

const minus = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : undefined);

/** The map of a run: where it lacks a method or a layer that was chosen for A, its own. */
export function mapFor(run, state, more) {
  const method = run.methods.some(({ name }) => name === state.method) ? state.method : "";
  const layer = run.layers.includes(state.layer) ? state.layer : "";
  return mapOf(run, { ...state, method, layer }, more);
}
