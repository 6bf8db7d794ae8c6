// Saying where the evidence is: draw it, save it to a manifest, train with that.

import { amend, go, href } from "./address.js";
import { get, picture, post } from "./api.js";
import { Drawing, maskStep } from "./drawing.js";
import { Easel } from "./easel.js";
import { button, field, h, say } from "./elements.js";
import { question } from "./filters.js";
import { command, dropped, loading, marked, refused } from "./notices.js";
import { regionWords } from "./side.js";
import { plural } from "./words.js";

const NAME = "[A-Za-z0-9][A-Za-z0-9_\\-]{0,63}";
const TOOLS = [
  ["box", "Box"],
  ["brush", "Brush"],
  ["eraser", "Eraser"],
];

export const correctView = (opened) => new CorrectView(opened);

class CorrectView {
  constructor({ main, state, run, signal }) {
    Object.assign(this, { main, run, signal, key: null });
    document.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.update(state);
  }

  update(state) {
    this.state = state;
    const key = JSON.stringify([state.index, state.at]);
    if (key !== this.key) this.#ask((this.key = key));
  }

  async #ask(key) {
    const { run, split, index } = this.state;
    this.main.replaceChildren(loading("Opening the image …"));
    try {
      const [image, { manifests }, next] = await Promise.all([
        get("image", { run, split, index }, this.signal),
        get("corrections", {}, this.signal),
        this.#next(),
      ]);
      const manifest = this.state.manifest || manifests[0]?.name || "corrected";
      const saved = manifests.some(({ name }) => name === manifest)
        ? await get("correction", { manifest, run, split, index }, this.signal)
        : null;
      if (key !== this.key) return;
      Object.assign(this, { image, manifests, next });
      this.#build(manifest);
      await this.#begin(saved);
    } catch (error) {
      if (dropped(error) || key !== this.key) return;
      this.main.replaceChildren(refused(error, () => this.#ask(key)));
    }
  }

  async #next() {
    const at = Number.parseInt(this.state.at, 10);
    if (!(at >= 0)) return null;
    const { items } = await get("gallery", question(this.state, at + 1, 1), this.signal);
    return items[0] ? { ...this.state, index: items[0].index, at: at + 1 } : null;
  }

  #build(manifest) {
    const { image } = this;
    const { run, split, index } = this.state;
    this.easel?.close();
    this.tools = {
      tool: "box",
      size: Math.max(2, Math.round(Math.max(image.width, image.height) / 16)),
    };
    this.drawing = new Drawing(image.width, image.height, () => this.#drawn());
    this.notes = h("div");
    this.easel = new Easel({
      image,
      of: { run, split, index },
      drawing: this.drawing,
      tools: this.tools,
      onkey: (name) => this.#do(name),
      onfail: (message) =>
        this.notes.append(h("p", { class: "notice refused", role: "alert" }, ...marked(message))),
    });
    this.edges = h("p", { class: "quiet" }, "Left, top, right and bottom, in pixels:");
    this.list = h("ol", { class: "boxes" });
    this.summary = h("p", { class: "quiet", role: "status" });
    this.done = h("div", { role: "status" });
    this.main.replaceChildren(
      h(
        "div",
        { class: "headline" },
        h("h1", { class: "of-file" }, image.name),
        h(
          "nav",
          { class: "pager", "aria-label": "Images" },
          h(
            "a",
            { href: href({ ...this.state, view: "image" }), "aria-keyshortcuts": "Escape" },
            "Back to the image",
          ),
          this.next && h("a", { href: href(this.next) }, "Next ›"),
        ),
      ),
      this.notes,
      h(
        "div",
        { class: "bench" },
        h("div", { class: "view" }, this.#toolbar(), this.easel.element),
        h(
          "div",
          { class: "aside" },
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
          h("section", {}, h("h2", {}, "Save"), this.#form(manifest), this.done),
        ),
      ),
    );
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
      this.notes.append(h("p", { class: "notice refused", role: "alert" }, error.message));
    }
  }

  async #begin(saved) {
    const steps = [];
    if (saved?.mask) steps.push(await maskStep(saved.mask));
    else
      for (const box of saved?.boxes ?? this.image.region.boxes) steps.push({ kind: "box", box });
    this.saved = Boolean(saved?.mask || saved?.boxes);
    this.drawing.start(steps);
  }

  #toolbar() {
    this.chips = TOOLS.map(([tool, title]) =>
      button(title, () => this.#do(tool), { "data-tool": tool }),
    );
    const size = h("input", {
      type: "range",
      min: "1",
      max: String(Math.max(8, Math.round(Math.max(this.image.width, this.image.height) / 4))),
      value: String(this.tools.size),
    });
    size.addEventListener("input", () => (this.tools.size = Number(size.value)));
    this.size = size;
    this.undo = button("Undo", () => this.drawing.undo(), { "aria-keyshortcuts": "Control+Z" });
    this.redo = button("Redo", () => this.drawing.redo(), {
      "aria-keyshortcuts": "Control+Shift+Z",
    });
    this.clear = button("Clear", () => this.drawing.set([]));
    const zoom = [
      ["−", -1, "Zoom out"],
      ["Fit", 0, "Whole photo"],
      ["+", 1, "Zoom in"],
    ].map(([text, by, name]) => button(text, () => this.easel.zoom(by), { "aria-label": name }));
    return h(
      "div",
      { class: "bar tools", role: "toolbar", "aria-label": "Drawing" },
      h("span", { class: "joined" }, this.chips),
      field("Brush", size),
      h("span", { class: "joined" }, this.undo, this.redo, this.clear),
      h("span", { class: "joined" }, zoom),
    );
  }

  #form(manifest) {
    this.name = h("input", {
      type: "text",
      required: true,
      pattern: NAME,
      value: manifest,
      autocomplete: "off",
      spellcheck: "false",
      list: "manifests",
      title: "letters, digits, - and _",
      onchange: () => amend({ manifest: this.name.value }, { quiet: true }),
    });
    this.save = h("button", { class: "main" }, "Save");
    this.back = button("Take the correction back", () => this.#save({ boxes: null, mask: null }), {
      hidden: true,
    });
    const submit = (event) => {
      event.preventDefault();
      this.#save(this.drawing.answer());
    };
    return h(
      "form",
      { onsubmit: submit },
      h(
        "datalist",
        { id: "manifests" },
        this.manifests.map(({ name, corrected }) =>
          h("option", { value: name }, plural(corrected, "correction")),
        ),
      ),
      field("Manifest", this.name),
      h(
        "p",
        { class: "quiet" },
        "A copy of the run's manifest that you name. The run's own stays as it is.",
      ),
      h("p", { class: "row" }, this.save, this.back),
    );
  }

  #drawn() {
    const { drawing, image } = this;
    this.easel.draw();
    const { boxes, painted, steps } = drawing;
    this.undo.disabled = !drawing.past.length;
    this.redo.disabled = !drawing.future.length;
    this.clear.disabled = !steps.length;
    const words = painted
      ? "A mask."
      : boxes.length
        ? `${plural(boxes.length, "box", "boxes")}.`
        : "Nothing yet.";
    const present =
      image.region.present && !steps.length
        ? image.region.mask
          ? " The outline is the present region; what you draw takes its place."
          : ""
        : "";
    this.summary.textContent = words + present;
    this.save.textContent = steps.length ? "Save" : "Save without a region";
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
        this.drawing.replace(step, { kind: "box", box });
      else inputs[edge].value = step.box[edge];
      this.list.children[place]?.querySelectorAll("input")[edge]?.focus();
    };
    return h(
      "li",
      {},
      inputs,
      button("×", () => this.drawing.remove(step), { "aria-label": `Take box ${place + 1} away` }),
    );
  }

  #do(name) {
    const { drawing, image, tools, size } = this;
    const last = drawing.boxes.at(-1);
    if (name === "new") {
      const { width, height } = image;
      drawing.add({
        kind: "box",
        box: [width * 0.35, height * 0.35, width * 0.65, height * 0.65].map(Math.round),
      });
      say("A box in the middle");
    } else if (name === "remove") last && drawing.remove(last);
    else if (name === "smaller" || name === "larger") {
      size.value = String(Number(size.value) * (name === "larger" ? 1.25 : 0.8));
      tools.size = Number(size.value);
    } else {
      tools.tool = name;
      this.#drawn();
      say(name);
    }
  }

  async #save(region) {
    const { run, split, index } = this.state;
    const manifest = this.name.value.trim();
    this.save.disabled = true;
    this.done.replaceChildren();
    try {
      const answer = await post(
        "correction",
        {},
        { manifest, run, split, index: Number(index), ...region },
      );
      this.saved = Boolean(region.boxes || region.mask);
      amend({ manifest }, { quiet: true });
      this.state = { ...this.state, manifest };
      if (!this.saved) await this.#begin(null);
      else this.#drawn();
      this.done.replaceChildren(
        h(
          "div",
          {},
          h(
            "p",
            {},
            h("b", { class: "right" }, "Saved. "),
            `${manifest} corrects ${plural(answer.corrected, "image")}. Train with it:`,
          ),
          command(answer.command),
          this.next &&
            h(
              "p",
              {},
              h("a", { href: href({ ...this.next, manifest }) }, "Correct the next image ›"),
            ),
        ),
      );
    } catch (error) {
      if (!dropped(error)) this.done.replaceChildren(refused(error));
    } finally {
      this.save.disabled = false;
    }
  }

  #key(event) {
    if (event.defaultPrevented) return;
    if (event.key === "Escape" && !event.target.closest("input, select"))
      return void go({ ...this.state, view: "image" });
    if (
      event.key.toLowerCase() !== "z" ||
      !(event.ctrlKey || event.metaKey) ||
      event.target.matches("input[type=text], input[type=number]")
    )
      return;
    event.preventDefault();
    if (event.shiftKey) this.drawing.redo();
    else this.drawing.undo();
  }

  close() {
    this.easel?.close();
  }
}
