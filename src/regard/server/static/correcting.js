// What is drawn on an image is saved to a manifest: what regions and masks have in common.

import { amend, go, href, mind } from "./address.js";
import { get, post } from "./api.js";
import { button, field, h } from "./elements.js";
import { question } from "./filters.js";
import { agreed, command, dropped, loading, marked, refused } from "./notices.js";
import { plural } from "./words.js";

const NAME = "[A-Za-z0-9][A-Za-z0-9_\\-]{0,63}";

/**
 * A view that draws. Who extends it has `of(image)`, what else to ask for; `bench(image)`, which makes
 * `drawing` and `easel` and gives [left, ...sections]; `begin(saved)`; `answer()`, what is saved;
 * `nothing`, what takes a correction back; `drawn()`, called after each change; and may have
 * `others()`, more buttons beside Save.
 */
export class Correcting {
  constructor({ main, state, run, signal }) {
    Object.assign(this, { main, run, signal, key: null, manifest: null });
    document.addEventListener("keydown", (event) => this.#key(event), { signal });
    addEventListener("beforeunload", (event) => this.unsaved && event.preventDefault(), { signal });
    mind(
      (next) => this.unsaved && this.#leaves(next),
      () => agreed("What you drew is not saved.", "Leave without it", "Stay"),
      signal,
    );
    this.update(state);
  }

  update(state) {
    this.state = state;
    const key = JSON.stringify([state.index, state.at]);
    const { manifest } = state;
    if (key !== this.key) this.#ask((this.key = key));
    else if (this.manifest && manifest && manifest !== this.manifest) this.#turnTo(manifest);
  }

  /** Whether a state is another view, or one of another image. */
  #leaves(next) {
    return ["view", "run", "split", "index"].some((name) => next[name] !== this.state[name]);
  }

  async #ask(key) {
    const { run, split, index } = this.state;
    this.manifest = this.turn = this.drawing = null;
    this.main.replaceChildren(loading("Opening the image …"));
    try {
      const [image, { manifests, free }, next] = await Promise.all([
        get("image", { run, split, index }, this.signal),
        get("corrections", { run }, this.signal),
        this.#next(),
      ]);
      this.manifests = manifests;
      const manifest = this.state.manifest || manifests[0]?.name || free;
      const [saved, own] = await Promise.all([this.#savedIn(manifest), this.of()]);
      if (key !== this.key) return;
      Object.assign(this, { image, manifest, next, own });
      this.#build();
      this.saved = isSaved(saved);
      await this.begin(saved);
    } catch (error) {
      if (dropped(error) || key !== this.key) return;
      this.main.replaceChildren(refused(error, () => this.#ask(key)));
    }
  }

  /** What a manifest has of the image; null where it has nothing, or is of other images. */
  async #savedIn(manifest) {
    const { run, split, index } = this.state;
    if (!this.manifests.some(({ name }) => name === manifest)) return null;
    return get("correction", { manifest, run, split, index }, this.signal);
  }

  /** Whether something would be lost. */
  get unsaved() {
    return Boolean(this.drawing?.unsaved);
  }

  /** Another manifest, and what is saved of the image there; what is drawn and not saved stays. */
  async #turnTo(manifest) {
    const turn = (this.turn = {});
    this.manifest = this.name.value = manifest;
    this.done.replaceChildren();
    this.#head();
    try {
      const saved = await this.#savedIn(manifest);
      if (turn !== this.turn) return;
      this.saved = isSaved(saved);
      if (!this.unsaved) return void (await this.begin(saved));
      this.drawing.kept = null;
      this.drawn();
      if (this.saved) this.done.replaceChildren(REPLACES(manifest));
    } catch (error) {
      if (!dropped(error) && turn === this.turn) this.done.replaceChildren(refused(error));
    }
  }

  async #next() {
    const at = Number.parseInt(this.state.at, 10);
    if (!(at >= 0)) return null;
    const { items } = await get("gallery", question(this.state, at + 1, 1), this.signal);
    return items[0] ? { ...this.state, index: items[0].index, at: at + 1 } : null;
  }

  #build() {
    const { image } = this;
    this.easel?.close();
    this.links = h("nav", { class: "pager", "aria-label": "Images" });
    this.#head();
    this.notes = h("div");
    this.done = h("div", { role: "status" });
    const [left, ...sections] = this.bench(image);
    this.main.replaceChildren(
      h(
        "div",
        { class: "headline" },
        h("h1", { class: "of-file" }, image.name),
        this.links,
      ),
      this.notes,
      h(
        "div",
        { class: "bench" },
        left,
        h(
          "div",
          { class: "aside" },
          sections,
          h("section", {}, h("h2", {}, "Save"), this.#form(), this.done),
        ),
      ),
    );
  }

  /** Links to the image and to the next one, which keep the manifest. */
  #head() {
    const { manifest } = this.state;
    const back = { ...this.state, view: "image" };
    this.links.replaceChildren(
      h("a", { href: href(back), "aria-keyshortcuts": "Escape" }, "Back to the image"),
      this.next ? h("a", { href: href({ ...this.next, manifest }) }, "Next ›") : "",
    );
  }

  /** A refusal above the drawing. */
  told(message) {
    this.notes.append(h("p", { class: "notice refused", role: "alert" }, ...marked(message)));
  }

  /** Undo, redo and others in a row; `reset` is [text, what it does]. */
  steps([text, reset]) {
    this.undo = button("Undo", () => this.drawing.undo(), { "aria-keyshortcuts": "Control+Z" });
    this.redo = button("Redo", () => this.drawing.redo(), {
      "aria-keyshortcuts": "Control+Shift+Z",
    });
    this.clear = button(text, reset);
    return h("span", { class: "joined" }, this.undo, this.redo, this.clear);
  }

  zooms() {
    const zoom = [
      ["−", -1, "Zoom out"],
      ["Fit", 0, "Whole photo"],
      ["+", 1, "Zoom in"],
    ].map(([text, by, name]) => button(text, () => this.easel.zoom(by), { "aria-label": name }));
    return h("span", { class: "joined" }, zoom);
  }

  /** The size of the brush, in pixels of the photo. */
  brush({ width, height }) {
    this.size = h("input", {
      type: "range",
      min: "1",
      max: String(Math.max(8, Math.round(Math.max(width, height) / 4))),
      value: String(this.tools.size),
    });
    this.size.addEventListener("input", () => (this.tools.size = Number(this.size.value)));
    return field("Brush", this.size);
  }

  /** A step of the brush; of a small one by a pixel. */
  resize(name) {
    const { size } = this.tools;
    const next =
      name === "larger" ? Math.max(size + 1, size * 1.25) : Math.min(size - 1, size * 0.8);
    this.size.value = String(Math.round(next));
    this.tools.size = Number(this.size.value);
  }

  #form() {
    this.name = h("input", {
      type: "text",
      required: true,
      pattern: NAME,
      value: this.manifest,
      autocomplete: "off",
      spellcheck: "false",
      list: "manifests",
      title: "letters, digits, - and _",
      onchange: () => this.name.validity.valid && amend({ manifest: this.name.value }),
    });
    this.save = h("button", { class: "main" }, "Save");
    this.back = button("Take the correction back", () => this.put(this.nothing), {
      hidden: true,
    });
    const submit = (event) => {
      event.preventDefault();
      this.put(this.answer());
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
      h("p", { class: "row" }, this.save, this.others?.(), this.back),
    );
  }

  /** Save what is drawn, or take it back, in the manifest that is named. */
  async put(drawn) {
    const { run, split, index } = this.state;
    const manifest = this.name.value.trim();
    const [turn, { now }] = [(this.turn = {}), this.drawing];
    this.save.disabled = this.saving = true;
    this.done.replaceChildren();
    try {
      const answer = await post(
        "correction",
        {},
        { manifest, run, split, index: Number(index), ...drawn },
      );
      if (turn !== this.turn) return;
      this.saved = isSaved(drawn);
      this.#named(manifest);
      if (this.saved) this.drawing.kept = now;
      else await this.begin(null);
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
      this.saving = false;
      if (this.drawing) this.drawn();
    }
  }

  /** The manifest is there, and is the one that the address names. */
  #named(manifest) {
    if (!this.manifests.some(({ name }) => name === manifest))
      this.manifests.push({ name: manifest });
    amend({ manifest }, { quiet: true });
    this.state = { ...this.state, manifest };
    this.manifest = manifest;
    this.#head();
  }

  #key(event) {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && !event.target.closest("input, select")) {
      event.preventDefault();
      return go({ ...this.state, view: "image" });
    }
    if (
      event.key.toLowerCase() !== "z" ||
      !(event.ctrlKey || event.metaKey) ||
      event.target.matches("input[type=text], input[type=number]")
    )
      return;
    event.preventDefault();
    // What is being drawn is no step yet.
    if (this.easel.live) return;
    if (event.shiftKey) this.drawing.redo();
    else this.drawing.undo();
  }

  close() {
    this.easel?.close();
  }
}

const REPLACES = (manifest) =>
  h("p", { class: "quiet" }, `${manifest} has a correction of this image, which this one replaces.`);

const isSaved = (drawn) => Boolean(drawn?.boxes || drawn?.mask || drawn?.classes);
