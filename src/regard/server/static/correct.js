// Saying where the evidence is: draw it, save it to a manifest, train with that.

import { picture } from "./api.js";
import { Correcting } from "./correcting.js";
import { Drawing, maskStep } from "./drawing.js";
import { Easel } from "./easel.js";
import { button, h, say, select } from "./elements.js";
import { segments } from "./looks.js";
import { MaskView } from "./relabel.js";
import { regionWords } from "./side.js";
import { plural } from "./words.js";

const TOOLS = [
  ["box", "Box"],
  ["brush", "Brush"],
  ["eraser", "Eraser"],
];

const KEYS = [
  ["b", "box", "box"],
  ["p", "brush", "brush"],
  ["e", "eraser", "eraser"],
  ["n", "new", "new box"],
  ["arrows", "", "move the last box"],
  ["Shift with arrows", "", "its far corner"],
  ["Delete", "remove", "takes it away"],
  ["Backspace", "remove", ""],
  ["[", "smaller", "a smaller brush"],
  ["]", "larger", "a larger one"],
];

export const correctView = (opened) =>
  segments(opened.run) ? new MaskView(opened) : new RegionView(opened);

class RegionView extends Correcting {
  nothing = { boxes: null, mask: null };

  of() {
    return null;
  }

  answer() {
    return this.drawing.answer(this.labelled);
  }

  /** Nowhere is said with a button of its own, never by the way. */
  others() {
    this.none = button("Save without a region", () => {
      if (this.name.reportValidity()) this.put(this.answer());
    });
    return this.none;
  }

  bench(image) {
    const { run, split, index } = this.state;
    this.labelled = image.region.box_labels !== null;
    this.tools = {
      tool: "box",
      label: this.labelled ? (image.region.box_labels[0] ?? this.#firstLabel(image)) : undefined,
      size: Math.max(2, Math.round(Math.max(image.width, image.height) / 16)),
    };
    this.drawing = new Drawing(image.width, image.height, () => this.drawn());
    this.easel = new Easel({
      image,
      of: { run, split, index },
      drawing: this.drawing,
      tools: this.tools,
      outlined: image.region.present,
      keys: KEYS,
      onkey: (name) => this.#do(name),
      onfail: (message) => this.told(message),
    });
    this.edges = h(
      "p",
      { class: "quiet" },
      `Left, top, right and bottom, in pixels${this.labelled ? ", and the class" : ""}:`,
    );
    this.list = h("ol", { class: "boxes" });
    this.summary = h("p", { class: "quiet", role: "status" });
    return [
      h("div", { class: "view" }, this.#toolbar(), this.easel.element),
      h(
        "section",
        {},
        h("h2", {}, "Region of the run"),
        h("p", {}, regionWords(image.region)),
        image.region.mask && button("Draw on from it", () => this.#take()),
      ),
      h(
        "section",
        {},
        h("h2", {}, "What you draw"),
        this.summary,
        this.edges,
        this.list,
        button("Add a box", () => this.#do("new")),
      ),
    ];
  }

  /** The run's own region as what is drawn, to be painted and erased further. */
  async #take() {
    const { run, split, index } = this.state;
    try {
      const { blob } = await picture(
        "region",
        { run, split, index, width: 2048, filled: true },
        this.signal,
      );
      const url = URL.createObjectURL(blob);
      const step = await maskStep(url);
      URL.revokeObjectURL(url);
      this.drawing.set([step]);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.told(error.message);
    }
  }

  async begin(saved) {
    const steps = [];
    if (saved?.mask) steps.push(await maskStep(saved.mask));
    else {
      const { boxes, box_labels } = saved?.boxes ? saved : this.image.region;
      boxes.forEach((box, k) => steps.push({ kind: "box", box, label: box_labels?.[k] }));
    }
    this.drawing.start(steps);
  }

  /** The first of the image's labels. */
  #firstLabel({ label }) {
    return [label].flat()[0] ?? this.run.classes[0];
  }

  #toolbar() {
    this.chips = TOOLS.map(([tool, title]) =>
      button(title, () => this.#do(tool), { "data-tool": tool }),
    );
    return h(
      "div",
      { class: "bar tools", role: "toolbar", "aria-label": "Drawing" },
      h("span", { class: "joined" }, this.chips),
      this.brush(this.image),
      this.steps(["Clear", () => this.drawing.set([])]),
      this.zooms(),
    );
  }

  drawn() {
    const { drawing, image } = this;
    this.easel.draw();
    const { boxes, painted, steps } = drawing;
    this.undo.disabled = !drawing.past.length;
    this.redo.disabled = !drawing.future.length;
    this.clear.disabled = !steps.length;
    const nowhere = this.saved && !drawing.unsaved;
    const words = painted
      ? "A mask."
      : boxes.length
        ? `${plural(boxes.length, "box", "boxes")}.`
        : nowhere
          ? "Saved without a region."
          : "Nothing yet.";
    const present = image.region.present && !steps.length;
    const outline = nowhere
      ? " The outline is the run's region."
      : " The outline is the present region; what you draw takes its place.";
    this.summary.textContent = words + (present && (nowhere || image.region.mask) ? outline : "");
    this.save.disabled = this.saving || !steps.length || !drawing.unsaved;
    this.none.hidden = steps.length > 0 || nowhere;
    this.none.disabled = this.saving;
    this.back.hidden = !this.saved;
    this.chips.forEach((chip) =>
      chip.setAttribute("aria-pressed", String(chip.dataset.tool === this.tools.tool)),
    );
    this.edges.hidden = !boxes.length;
    this.list.replaceChildren(...boxes.map((step, place) => this.#box(step, place)));
  }

  /** A box's edges as numbers, for keys and for exact work. */
  #box(step, place) {
    const names = ["left", "top", "right", "bottom"];
    const { width, height } = this.image;
    const inputs = names.map((name, edge) =>
      h("input", {
        type: "number",
        min: "0",
        max: String(edge % 2 ? height : width),
        step: "any",
        value: String(Math.round(step.box[edge] * 10) / 10),
        "aria-label": `Box ${place + 1}, ${name}`,
        title: name,
        onchange: () => edit(edge),
      }),
    );
    const edit = (edge) => {
      const box = step.box.map((old, k) =>
        k === edge ? Math.min(k % 2 ? height : width, Math.max(0, Number(inputs[k].value))) : old,
      );
      if (box[2] - box[0] >= 1 && box[3] - box[1] >= 1)
        this.drawing.replace(step, { ...step, box });
      else inputs[edge].value = step.box[edge];
      this.list.children[place]?.querySelectorAll("input")[edge]?.focus();
    };
    return h(
      "li",
      {},
      inputs,
      this.labelled && this.#label(step, place),
      button("×", () => this.drawing.remove(step), { "aria-label": `Take box ${place + 1} away` }),
    );
  }

  /** The class of a box, which the next one has, too. */
  #label(step, place) {
    const names = [...new Set([...this.run.classes, ...this.image.region.box_labels])];
    const made = select(
      names.map((name) => [name, name]),
      step.label,
      (label) => {
        this.tools.label = label;
        this.drawing.replace(step, { ...step, label });
        this.list.children[place]?.querySelector("select")?.focus();
      },
    );
    made.setAttribute("aria-label", `Box ${place + 1}, class`);
    return made;
  }

  #do(name) {
    const { drawing, image, tools } = this;
    const last = drawing.boxes.at(-1);
    if (name === "new") {
      const { width, height } = image;
      drawing.add({
        kind: "box",
        box: [width * 0.35, height * 0.35, width * 0.65, height * 0.65].map(Math.round),
        label: tools.label,
      });
      say("A box in the middle");
    } else if (name === "remove") last && drawing.remove(last);
    else if (name === "smaller" || name === "larger") this.resize(name);
    else {
      tools.tool = name;
      this.drawn();
      say(name);
    }
  }
}
