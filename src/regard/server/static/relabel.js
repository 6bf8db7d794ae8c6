// Correcting the mask of a segmenter: a brush with the classes as its colours.

import { picture } from "./api.js";
import { Correcting } from "./correcting.js";
import { Easel } from "./easel.js";
import { button, field, h, restyle, say } from "./elements.js";
import { idsIn, Painting, VOID } from "./painting.js";
import { count, labelled, plural } from "./words.js";

const TOOLS = [
  ["brush", "Brush"],
  ["box", "Box"],
  ["eraser", "Eraser"],
  ["pick", "Pick"],
];
const SAYS = {
  brush: "Paints the class that is chosen.",
  box: "Fills a box with the class that is chosen.",
  eraser: "Gives the run's mask back.",
  pick: "Chooses the class under the pointer.",
};
const KEYS = [
  ["p", "brush", "brush"],
  ["b", "box", "box"],
  ["e", "eraser", "eraser"],
  ["i", "pick", "pick a class"],
  ["arrows", "", "move the brush"],
  ["Shift with arrows", "", "paint"],
  ["Space", "", "paints a dot"],
  ["[", "smaller", "a smaller brush"],
  ["]", "larger", "a larger one"],
  ...Array.from({ length: 9 }, (_, k) => [String(k + 1), String(k), ""]),
  ["1 to 9", "", "choose a class"],
  ["0", "void", "void"],
];

export class MaskView extends Correcting {
  nothing = { classes: null };

  /** The run's own mask. */
  async of() {
    const { run, split, index } = this.state;
    const { blob } = await picture("mask", { run, split, index }, this.signal);
    return idsIn(blob);
  }

  answer() {
    return this.drawing.answer();
  }

  bench(image) {
    const { run, split, index } = this.state;
    this.tools = {
      tool: "brush",
      size: Math.max(1, Math.round(Math.max(image.width, image.height) / 24)),
      class_: 0,
      pick: (class_) => this.#choose(class_, "brush"),
    };
    this.drawing = new Painting(image.width, image.height, this.run.colours, () => this.drawn());
    this.easel = new Easel({
      image,
      of: { run, split, index },
      drawing: this.drawing,
      tools: this.tools,
      keys: KEYS,
      onkey: (name) => this.#do(name),
      onfail: (message) => this.told(message),
      onmove: (place) => this.#under(place),
    });
    this.easel.element.classList.add("painted");
    this.summary = h("p", { class: "quiet", role: "status" });
    this.under = h("p", { class: "quiet" }, "\u00a0");
    this.palette = this.#palette();
    return [
      h("div", { class: "view" }, this.#toolbar(), this.palette, this.easel.element, this.under),
      h("section", {}, h("h2", {}, "What you paint"), this.summary),
    ];
  }

  begin(saved) {
    const own = this.own;
    if (!saved?.classes) return this.drawing.start(own.slice(), own);
    return fetched(saved.classes).then((ids) => this.drawing.start(ids, own));
  }

  #toolbar() {
    this.chips = TOOLS.map(([tool, title]) =>
      button(title, () => this.#do(tool), { "data-tool": tool, title: SAYS[tool] }),
    );
    const opacity = h("input", { type: "range", min: "0", max: "100", step: "5", value: "60" });
    const dress = () => restyle(this.easel.element, { "--mask": Number(opacity.value) / 100 });
    opacity.addEventListener("input", dress);
    dress();
    return h(
      "div",
      { class: "bar tools", role: "toolbar", "aria-label": "Painting" },
      h("span", { class: "joined" }, this.chips),
      this.brush(this.image),
      this.steps(["As the run has it", () => this.drawing.reset()]),
      field("Mask's opacity", opacity),
      this.zooms(),
    );
  }

  /** A button a class, in its colour; void where the photo shows. */
  #palette() {
    const row = (class_, name, key) => {
      const colour = this.run.colours[class_];
      const swatch = h("i", { class: `swatch ${colour ? "" : "void"}`, "aria-hidden": "true" });
      if (colour) restyle(swatch, { background: colour });
      return button(
        [swatch, name, key !== null && h("kbd", { "aria-hidden": "true" }, key)],
        () => this.#choose(class_),
        { "data-class": class_, "aria-keyshortcuts": key },
      );
    };
    return h(
      "div",
      { class: "palette", role: "group", "aria-label": "Class to paint" },
      this.run.classes.map((name, k) => row(k, labelled(name), k < 9 ? String(k + 1) : null)),
      row(VOID, "void: counts for nothing", "0"),
    );
  }

  drawn() {
    const { drawing, tools } = this;
    this.easel.draw();
    const { changed } = drawing;
    this.undo.disabled = !drawing.past.length;
    this.redo.disabled = !drawing.future.length;
    this.clear.disabled = !changed;
    this.save.disabled = this.saving || !drawing.unsaved;
    this.summary.textContent = changed
      ? `${count(changed)} of ${plural(drawing.ids.length, "pixel")} differ from the run's mask.`
      : "Nothing yet: the mask is the run's.";
    this.back.hidden = !this.saved;
    this.chips.forEach((chip) =>
      chip.setAttribute("aria-pressed", String(chip.dataset.tool === tools.tool)),
    );
    this.palette
      .querySelectorAll("button")
      .forEach((one) =>
        one.setAttribute("aria-pressed", String(Number(one.dataset.class) === tools.class_)),
      );
  }

  #name(class_) {
    return class_ === VOID ? "void" : labelled(this.run.classes[class_]);
  }

  #under(place) {
    this.under.textContent = `Here: ${this.#name(this.drawing.at(place))}`;
  }

  #choose(class_, tool = this.tools.tool) {
    if (class_ !== VOID && class_ >= this.run.classes.length) return;
    this.tools.class_ = class_;
    this.tools.tool = tool === "eraser" ? "brush" : tool;
    this.drawn();
    say(`Paints ${this.#name(class_)}`);
  }

  #do(name) {
    if (name === "smaller" || name === "larger") return this.resize(name);
    if (name === "void") return this.#choose(VOID);
    if (/^\d$/.test(name)) return this.#choose(Number(name));
    this.tools.tool = name;
    this.drawn();
    say(name);
  }
}

/** The classes in a data URL, which the page may not ask anyone for. */
function fetched(url) {
  const bytes = Uint8Array.from(atob(url.split(",")[1]), (letter) => letter.charCodeAt(0));
  return idsIn(new Blob([bytes], { type: "image/png" }));
}
