// The images of a split: filtered, sorted, under their maps; two runs side by side.

import { amend, change, href } from "./address.js";
import { get } from "./api.js";
import { h, redraw, restyle, say } from "./elements.js";
import { chosenOf, filterBar, PER_PAGE, question } from "./filters.js";
import { roving } from "./grid.js";
import { known } from "./known.js";
import { dress, looksBar, looksOf } from "./looks.js";
import { command, dropped, loading, marked, nothing, refused } from "./notices.js";
import { presets } from "./presets.js";
import { Tile } from "./tile.js";
import { firstSplit } from "./trail.js";
import { count, plural } from "./words.js";

export function galleryView(opened) {
  const { state, run } = opened;
  if (run.splits.some(({ name }) => name === state.split)) return new Gallery(opened);
  const split = firstSplit(run);
  if (split === undefined || state.split) {
    opened.main.append(
      nothing(
        `This run has no split ${state.split ?? ""} with images. Is its manifest where it was?`,
      ),
    );
    return null;
  }
  queueMicrotask(() => amend({ split }));
  return null;
}

class Gallery {
  constructor({ main, state, run, overview, signal }) {
    Object.assign(this, { main, run, signal, tiles: [], key: null, pageOf: 1 });
    this.split = run.splits.find(({ name }) => name === state.split);
    this.filters = filterBar(run, state.split, alike(overview, run));
    this.looks = looksBar(run);
    this.presets = presets(run, state.split, overview);
    this.scale = h("p", { class: "quiet scores", role: "note", hidden: true });
    this.summary = h("p", { class: "summary", role: "status" });
    this.pagers = [0, 1].map((place) =>
      h("nav", { class: "pager", "aria-label": place ? "Pages, below" : "Pages" }),
    );
    this.notes = h("div");
    this.grid = h("ul", { class: "grid", "aria-label": "Images: arrows move, Enter opens" });
    this.keys = roving(
      this.grid,
      () => this.tiles.map(({ link }) => link),
      (by) => this.#turn(by),
    );
    main.append(
      h("div", { class: "headline" }, h("h1", {}, run.name), this.#splits(state)),
      this.filters.bar,
      this.looks.bar,
      this.presets.element,
      this.notes,
      h("div", { class: "between" }, this.summary, this.pagers[0]),
      this.scale,
      this.grid,
      this.pagers[1],
      h(
        "p",
        { class: "quiet keys" },
        "Keys in the grid: arrows move, Enter opens, Page Up and Page Down turn the page.",
      ),
    );
    this.update(state);
  }

  #splits(state) {
    return h(
      "nav",
      { class: "tabs", "aria-label": "Splits" },
      this.run.splits.map(({ name, images }) =>
        h(
          "a",
          {
            href: href({
              view: "gallery",
              run: this.run.id,
              split: name,
              other: state.other,
              ...looksOf(state),
            }),
            "aria-current": name === state.split ? "page" : null,
          },
          name,
          h("small", {}, count(images)),
        ),
      ),
    );
  }

  update(state) {
    this.state = state;
    this.page = Math.max(1, Number.parseInt(state.page, 10) || 1);
    this.filters.update(state);
    this.looks.update(state);
    this.presets.update(state, this.answer?.scores ?? []);
    dress(this.main, state);
    const asked = question(state, (this.page - 1) * PER_PAGE, PER_PAGE);
    const key = JSON.stringify(asked);
    if (key !== this.key) this.#ask(asked, (this.key = key));
    else if (this.answer) {
      this.tiles.forEach((tile) => tile.look(this.#seen()));
      this.#explain();
    }
  }

  /** What the score in the captions is, and of which map, where others are shown. */
  #explain() {
    const { measured } = this.#seen();
    const score = this.answer.scores.find(({ name }) => name === measured);
    this.scale.hidden = !score;
    if (!score) return;
    const others = this.run.task === "classification" && this.state.target !== "label";
    redraw(this.scale, () =>
      this.scale.replaceChildren(
        score.about ? `${score.about}. ` : "",
        ...(others
          ? [
              "Scores are of the labelled class's map. ",
              h("a", { href: href({ ...this.state, target: "label" }) }, "Show that map"),
            ]
          : []),
      ),
    );
  }

  async #ask(asked, key) {
    this.stop?.abort();
    this.stop = new AbortController();
    const signal = AbortSignal.any([this.signal, this.stop.signal]);
    this.grid.setAttribute("aria-busy", "true");
    const wait = setTimeout(
      () => this.summary.replaceChildren(loading("Looking through the images …")),
      200,
    );
    try {
      const [answer, other] = await Promise.all([
        get("gallery", asked, signal),
        asked.other ? known.run(asked.other, signal) : null,
      ]);
      clearTimeout(wait);
      if (key === this.key) this.#show(answer, other);
    } catch (error) {
      clearTimeout(wait);
      if (dropped(error) || key !== this.key) return;
      this.#clear();
      this.summary.replaceChildren();
      this.pagers.forEach((pager) => pager.replaceChildren());
      this.notes.replaceChildren(refused(error, () => this.#ask(asked, key)));
    } finally {
      if (key === this.key) this.grid.removeAttribute("aria-busy");
    }
  }

  #show(answer, other) {
    const focused = this.grid.contains(document.activeElement) || this.turned;
    Object.assign(this, { answer, other });
    this.filters.learn(answer);
    this.filters.update(this.state);
    this.presets.update(this.state, answer.scores);
    this.#explain();
    this.#clear();
    this.#notes(other);
    const last = Math.max(1, Math.ceil(answer.matched / PER_PAGE));
    if (this.page > last) return void amend({ page: last === 1 ? "" : last });
    const state = this.#seen();
    this.tiles = answer.items.map((item, place) => this.#tile(item, answer.offset + place, state));
    this.grid.replaceChildren(...this.tiles.map(({ element }) => element));
    this.grid.classList.toggle("two", Boolean(other));
    const all =
      answer.matched === answer.images
        ? plural(answer.images, "image")
        : `${count(answer.matched)} of ${plural(answer.images, "image")}`;
    this.summary.replaceChildren(all, other ? `, A is ${this.run.name}, B is ${other.name}` : "");
    this.pagers.forEach((pager) => redraw(pager, () => this.#pager(pager, last)));
    if (!answer.matched) this.grid.replaceChildren(h("li", { class: "none" }, this.#none()));
    this.#focus(focused);
  }

  #tile(item, at, state) {
    const to = {
      view: "image",
      run: this.run.id,
      split: this.state.split,
      index: item.index,
      at,
      ...chosenOf(this.state),
      ...looksOf(this.state),
    };
    const onfail = (message, layer) => this.#failed(message, layer);
    const onload = (layer, { image }) => layer === "picture" && this.#shape(image);
    return new Tile({ item, run: this.run, other: this.other, state, to, onfail, onload });
  }

  /** The state with the score that captions show. */
  #seen() {
    const sort = (this.state.sort ?? "").replace(/_(other|change)$/, "");
    const names = this.answer.scores.map(({ name }) => name);
    const measured = [this.state.sort, sort, this.state.score].find((name) => names.includes(name));
    const title = this.answer.scores.find(({ name }) => name === measured)?.title;
    return { ...this.state, measured, title };
  }

  /** Boxes in the proportions of the first photo, within reason. */
  #shape(image) {
    if (this.shaped) return;
    this.shaped = true;
    const ratio = Math.min(1.6, Math.max(0.7, image.naturalWidth / image.naturalHeight));
    restyle(this.grid, { "--shape": ratio.toFixed(3) });
  }

  #notes(other) {
    const notes = [];
    if (this.run.problem) notes.push(h("p", { class: "notice" }, this.run.problem));
    if (!this.split.predicted) notes.push(lacking("This run", this.split));
    const theirs = other?.splits.find(({ name }) => name === this.split.name);
    if (theirs && !theirs.predicted) notes.push(lacking("B", theirs));
    this.notes.replaceChildren(...notes);
    this.toldOf = null;
  }

  /** Of many maps that fail alike, one line. */
  #failed(message, layer) {
    if (this.toldOf) return;
    this.toldOf = message;
    this.notes.append(
      h("p", { class: "notice refused", role: "alert" }, `No ${layer}: `, ...marked(message)),
    );
  }

  #none() {
    const reset = this.filters.bar.querySelector(".reset");
    return nothing(
      "No image passes these filters.",
      h("p", {}, h("a", { href: reset.getAttribute("href") }, "Show all images")),
    );
  }

  #pager(pager, last) {
    if (last === 1) return void pager.replaceChildren();
    const to = (page) => href({ ...this.state, page: page === 1 ? "" : page, at: "" });
    const step = (text, page, name) =>
      page < 1 || page > last
        ? h("span", { class: "off", "aria-hidden": "true" }, text)
        : h("a", { href: to(page), "aria-label": name }, text);
    const input = h("input", {
      type: "number",
      min: "1",
      max: String(last),
      value: String(this.page),
      "aria-label": "Page",
      onchange: () => this.#open(Number(input.value), last),
    });
    pager.replaceChildren(
      step("«", this.page > 1 ? 1 : 0, "First page"),
      step("‹ Back", this.page - 1, "Page back"),
      h("span", {}, input, ` of\u00a0${count(last)}`),
      step("Next ›", this.page + 1, "Next page"),
      step("»", this.page < last ? last : last + 1, "Last page"),
    );
  }

  #open(page, last) {
    change({ page: Math.min(Math.max(1, Math.round(page) || 1), last), at: "" });
  }

  /** Over the end of a page; the focus goes along. */
  #turn(by) {
    const last = Math.ceil(this.answer.matched / PER_PAGE);
    if (this.page + by < 1 || this.page + by > last) return;
    this.turned = by;
    change({ page: this.page + by === 1 ? "" : this.page + by, at: "" });
  }

  #focus(focused) {
    const own = this.answer.items.findIndex(
      (_, place) => String(this.answer.offset + place) === this.state.at,
    );
    const place = own >= 0 ? own : this.turned === -1 ? this.tiles.length - 1 : 0;
    this.keys.start(place);
    if (this.turned) say(`Page ${this.page}`);
    if (own >= 0 || focused) this.keys.focus(this.tiles[place]?.link);
    this.turned = 0;
  }

  #clear() {
    this.tiles.forEach((tile) => tile.close());
    this.tiles = [];
    this.grid.replaceChildren();
  }

  close() {
    this.stop?.abort();
    this.#clear();
  }
}

/** Of a split that was not evaluated: how it is. */
const lacking = (what, { name, evaluate }) =>
  h(
    "div",
    { class: "notice" },
    h("p", {}, `${what} has no predictions of ${name} yet. To make them:`),
    command(evaluate),
  );

/** Other runs of the same task, those of the same study first. */
function alike(overview, run) {
  const own = overview.runs.find(({ id }) => id === run.id);
  const rest = overview.runs.filter(
    (row) =>
      row.kind === "run" && row.id !== run.id && row.task === run.task && row.state !== "new",
  );
  const near = (row) => (own?.study && row.study === own.study ? 0 : 1);
  return rest
    .sort((a, b) => near(a) - near(b))
    .map((row) => ({ id: row.id, title: row.study && near(row) ? row.id : row.name }));
}
