// One image: photo and map, predictions, methods side by side, region, scores, background.

import { change, go, href } from "./address.js";
import { get } from "./api.js";
import { bars } from "./bars.js";
import { h, redraw, restyle, say } from "./elements.js";
import { chosenOf, PER_PAGE, question } from "./filters.js";
import { known } from "./known.js";
import { classShown, dress, looksBar, looksOf, mapOf, outlineOf, segments } from "./looks.js";
import { methodsStrip } from "./methods.js";
import { dropped, loading, marked, refused } from "./notices.js";
import { pixelBar, pixelOf, pixelPicker } from "./pixel.js";
import { backgroundCheck, gaze, regionWords } from "./side.js";
import { fitting, Stack } from "./stack.js";
import { mapFor } from "./tile.js";
import { count, labelled } from "./words.js";

export const imageView = (opened) => new ImageView(opened);

class ImageView {
  constructor({ main, state, run, signal }) {
    Object.assign(this, { main, run, signal, key: null, neighbours: {} });
    this.head = h("div", { class: "headline" });
    this.notes = h("div");
    this.photos = h("div", { class: "photos" });
    this.looks = looksBar(run);
    this.pixels = segments(run) ? pixelBar() : null;
    this.aside = h("div", { class: "aside" });
    this.strip = methodsStrip(run);
    main.append(
      this.head,
      this.notes,
      h("div", {}, this.looks.bar, this.pixels?.bar),
      h("div", { class: "bench" }, this.photos, this.aside),
      this.strip.element,
      h(
        "p",
        { class: "quiet keys" },
        "Keys: ← and → go through the gallery's images, Esc goes back to it.",
      ),
    );
    this.stacks = [];
    document.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.update(state);
  }

  update(state) {
    this.state = state;
    this.looks.update(state);
    this.pixels?.update(state);
    dress(this.main, state);
    const key = JSON.stringify([state.index, state.other, state.at]);
    if (key !== this.key) this.#ask((this.key = key));
    else if (this.image) this.#draw();
  }

  async #ask(key) {
    this.image = null;
    const { run, split, index, other } = this.state;
    const wait = setTimeout(() => this.aside.replaceChildren(loading("Asking the net …")), 250);
    try {
      const [image, second, twin, beside] = await Promise.all([
        get("image", { run, split, index }, this.signal),
        other ? get("image", { run: other, split, index }, this.signal).catch(own) : null,
        other ? known.run(other, this.signal) : null,
        this.#beside(),
      ]);
      clearTimeout(wait);
      if (key !== this.key) return;
      Object.assign(this, { image, second, twin, neighbours: beside });
      this.#build();
    } catch (error) {
      clearTimeout(wait);
      if (dropped(error) || key !== this.key) return;
      this.aside.replaceChildren();
      this.notes.replaceChildren(refused(error, () => this.#ask(key)));
    }
  }

  /** The images before and after within the filtered gallery. */
  async #beside() {
    const at = Number.parseInt(this.state.at, 10);
    if (!(at >= 0)) return {};
    const first = Math.max(0, at - 1);
    const { items, matched } = await get("gallery", question(this.state, first, 3), this.signal);
    const own = at - first;
    if (String(items[own]?.index) !== this.state.index) return {};
    return { at, matched, back: items[own - 1], next: items[own + 1] };
  }

  #build() {
    const { image, second } = this;
    this.notes.replaceChildren();
    this.stacks.forEach((stack) => stack.close());
    const sides = [
      { run: this.run, answer: image },
      ...(this.twin ? [{ run: this.twin, answer: second }] : []),
    ];
    const onfail = (message, layer) =>
      this.notes.append(
        h("p", { class: "notice refused", role: "alert" }, `No ${layer}: `, ...marked(message)),
      );
    const onload = (layer, { headers }) =>
      layer === "map" &&
      headers.get("X-Regard-Class") &&
      this.pixels?.hear(headers.get("X-Regard-Class"));
    this.stacks = sides.map(
      ({ run }) =>
        new Stack({ alt: `${image.name}, under its map of ${run.name}`, onfail, onload }),
    );
    this.stacks.forEach(({ element }) =>
      restyle(element, {
        "aspect-ratio": `${image.width} / ${image.height}`,
        "--ratio": image.width / image.height,
      }),
    );
    this.markers = this.pixels ? this.stacks.map((stack) => pixelPicker(stack)) : [];
    this.photos.classList.toggle("two", sides.length > 1);
    this.photos.replaceChildren(
      ...this.stacks.map(({ element }, place) =>
        h(
          "figure",
          {},
          this.twin &&
            h(
              "figcaption",
              {},
              h("b", { class: "letter" }, place ? "B" : "A"),
              sides[place].run.name,
            ),
          element,
        ),
      ),
    );
    redraw(this.head, () => this.#headline());
    this.answers = sides.map(() => h("div"));
    this.aside.replaceChildren(...this.#panels(sides));
    say(
      `${image.name}${this.neighbours.matched ? `, ${this.neighbours.at + 1} of ${this.neighbours.matched}` : ""}`,
    );
    this.#draw();
    document.title = `${image.name} · ${this.run.name} · Regard`;
  }

  #headline() {
    const { at, matched, back, next } = this.neighbours;
    const to = (item, by) => href({ ...this.state, index: item.index, at: at + by, pixel: "" });
    const step = (text, item, by, name) =>
      item
        ? h(
            "a",
            {
              href: to(item, by),
              "aria-label": name,
              "aria-keyshortcuts": by < 0 ? "ArrowLeft" : "ArrowRight",
            },
            text,
          )
        : h("span", { class: "off", "aria-hidden": "true" }, text);
    const { run, split, index } = this.state;
    this.head.replaceChildren(
      h("h1", { class: "of-file" }, this.image.name),
      h(
        "nav",
        { class: "pager", "aria-label": "Images" },
        matched !== undefined && [
          step("‹ Back", back, -1, "Image before"),
          h("span", {}, `${count(at + 1)} of\u00a0${count(matched)}`),
          step("Next ›", next, 1, "Next image"),
        ],
        h("a", { href: href(this.#gallery()), "aria-keyshortcuts": "Escape" }, "Gallery"),
        h(
          "a",
          { href: href({ ...this.state, view: "correct", run, split, index }) },
          segments(this.run)
            ? "Correct the mask"
            : this.image.region.present
              ? "Correct the region"
              : "Draw a region",
        ),
      ),
    );
  }

  /** The gallery on the page of this image, with it in focus. */
  #gallery() {
    const at = Number.parseInt(this.state.at, 10);
    const page = at >= PER_PAGE ? Math.floor(at / PER_PAGE) + 1 : "";
    const { run, split } = this.state;
    return {
      view: "gallery",
      run,
      split,
      ...chosenOf(this.state),
      ...looksOf(this.state),
      page,
      at: this.state.at,
    };
  }

  #panels(sides) {
    const { image, signal } = this;
    const of = { run: this.run.id, split: this.state.split, index: image.index };
    const panel = (title, ...children) => h("section", {}, h("h2", {}, title), children);
    this.gaze = h("div");
    return [
      ...sides.map(({ run, answer }, place) =>
        panel(
          sides.length > 1 ? `Prediction of ${place ? "B" : "A"}` : "Prediction",
          answer?.refused ? h("p", { class: "notice" }, answer.refused) : this.answers[place],
        ),
      ),
      panel(
        "Region",
        h("p", {}, segments(this.run) ? "The mask of classes." : regionWords(image.region)),
      ),
      gaze(this.run, this.state, image, this.second) && panel("Gaze", this.gaze),
      !segments(this.run) && panel("Background", backgroundCheck(of, image.region, signal)),
    ].filter(Boolean);
  }

  #draw() {
    const { image, state } = this;
    const pixel = pixelOf(state);
    const width = fitting(Math.min(image.width * 3, this.twin ? 460 : 720));
    this.stacks.forEach((stack, place) => {
      const run = place ? this.twin : this.run;
      const of = { run: this.run.id, split: state.split, index: image.index, width };
      stack.want("picture", of);
      const outlined = image.region.present && state.outlines !== "0";
      const target = classShown(run, state, (place ? this.second : image) ?? image);
      const seen = target === undefined ? state : { ...state, target };
      stack.want("region", outlined ? outlineOf(this.run, seen, of) : null);
      stack.want("prediction", segments(run) && state.mask === "1" ? { ...of, run: run.id } : null);
      if (pixel) {
        const { method, layer } = mapOf(run, state);
        stack.want(
          "map",
          { ...of, run: run.id, method, layer, x: pixel[0], y: pixel[1] },
          { from: "pixel" },
        );
      } else stack.want("map", mapFor(run, state, { index: image.index, width }));
    });
    this.markers.forEach((marker) => marker(state));
    this.#bars();
    redraw(this.gaze, () =>
      this.gaze.replaceChildren(...(gaze(this.run, state, image, this.second) ?? [])),
    );
    this.strip.update(state, image);
  }

  #bars() {
    const { image, state } = this;
    [image, this.second].forEach((answer, place) => {
      if (!answer?.probabilities || !this.answers[place]) return;
      const first = answer.probabilities[0]?.class;
      const run = place ? this.twin : this.run;
      const labels = image.label === null ? [] : [image.label].flat();
      const shown = classShown(run, state, answer);
      const said = [];
      if (run.task === "multilabel")
        said.push(
          h(
            "p",
            {},
            labels.length ? `The labels are ${labelled(labels)}.` : "It has none of the labels.",
          ),
        );
      else if (image.label !== null && !segments(run)) {
        const right = first === image.label;
        said.push(
          h(
            "p",
            {},
            h("span", { class: right ? "right" : "wrong" }, right ? "✓ right" : "✗ wrong"),
            `, the label is ${labelled(image.label)}`,
          ),
        );
      }
      const evaluated = run.splits.find(({ name }) => name === state.split)?.predicted;
      if (answer.live && !evaluated)
        said.push(h("p", { class: "quiet" }, "Computed now: this split was not evaluated."));
      if (segments(run)) said.push(h("p", { class: "quiet" }, "Shares of the pixels."));
      const colours =
        segments(run) && Array.isArray(run.colours)
          ? Object.fromEntries(run.classes.map((name, k) => [name, run.colours[k]]))
          : null;
      const pick = (name) => change({ target: name === state.target ? "" : name, pixel: "" });
      const drawn = bars(answer.probabilities, {
        labels,
        target: pixelOf(state) ? null : shown,
        pick,
        colours,
      });
      redraw(this.answers[place], () => this.answers[place].replaceChildren(...said, drawn));
    });
  }

  #key(event) {
    if (
      event.defaultPrevented ||
      event.altKey ||
      event.ctrlKey ||
      event.metaKey ||
      event.target.closest("input, select, textarea, .scroll")
    )
      return;
    const { back, next, at } = this.neighbours;
    const step = { ArrowLeft: [back, -1], ArrowRight: [next, 1] }[event.key];
    if (step?.[0]) change({ index: step[0].index, at: at + step[1], pixel: "" });
    else if (event.key === "Escape") go(this.#gallery());
    else return;
    event.preventDefault();
  }

  close() {
    this.stacks.forEach((stack) => stack.close());
    this.strip.close();
  }
}

/** B's refusal stands where its answer would. */
const own = (error) => {
  if (dropped(error)) throw error;
  return { refused: error.message };
};
