// A photo with a map and a region's outline over it.

import { h } from "./elements.js";
import { dropped } from "./notices.js";
import { load } from "./pictures.js";

const ZERO = ["zero map", "The map is zero everywhere"];
const LAYERS = ["picture", "prediction", "map", "region"];

const seen = new IntersectionObserver(
  (entries) =>
    entries.forEach(({ target, isIntersecting }) => target.stack_?.visible(isIntersecting)),
  { rootMargin: "400px" },
);

export class Stack {
  /** `alt` says what the photo is; `onfail(message)` hears of a layer that was refused. */
  constructor({ alt = "", onfail = () => {}, onload = () => {} } = {}) {
    this.layers = {};
    this.note = h("span", { class: "flag", hidden: true });
    this.element = h("div", { class: "stack" }, this.note);
    this.element.stack_ = this;
    this.told = { onfail, onload };
    for (const layer of LAYERS) {
      const image = h("img", {
        class: layer,
        alt: layer === "picture" ? alt : "",
        hidden: true,
        draggable: "false",
      });
      this.layers[layer] = { image, wanted: null, shown: null, stop: null };
      this.element.insertBefore(image, this.note);
    }
    seen.observe(this.element);
  }

  /** Ask for a layer from a place of the API; null takes it away. */
  want(layer, parameters, { from = layer } = {}) {
    const state = this.layers[layer];
    const wanted = parameters && JSON.stringify([from, parameters]);
    if (wanted === state.wanted) return;
    state.stop?.abort();
    Object.assign(state, { wanted, stop: null, job: parameters && [from, parameters] });
    if (!parameters) this.#clear(layer);
    else if (this.inView) this.#start(layer);
  }

  /** A layer that is at hand already. */
  put(layer, url, { zero = false } = {}) {
    Object.assign(this.layers[layer], { wanted: url, shown: url });
    Object.assign(this.layers[layer].image, { src: url, hidden: false });
    if (zero) this.#flag(layer, ...ZERO);
  }

  visible(inView) {
    this.inView = inView;
    if (inView) LAYERS.forEach((layer) => this.#start(layer));
    else LAYERS.forEach((layer) => this.#pause(layer));
  }

  async #start(layer) {
    const state = this.layers[layer];
    if (!state.job || state.stop || state.shown === state.wanted) return;
    const wanted = state.wanted;
    const stop = (state.stop = new AbortController());
    this.element.classList.add("waiting");
    try {
      const { url, headers } = await load(...state.job, stop.signal);
      if (stop.signal.aborted) return void URL.revokeObjectURL(url);
      this.#free(layer);
      state.image.src = url;
      await state.image.decode();
      if (stop.signal.aborted) return;
      Object.assign(state, { shown: wanted, url });
      state.image.hidden = false;
      const zero = layer === "map" && headers.get("X-Regard-Peak") === "0";
      this.#flag(layer, ...(zero ? ZERO : [""]));
      this.told.onload(layer, { headers, image: state.image });
    } catch (error) {
      if (dropped(error) || stop.signal.aborted) return;
      this.#clear(layer);
      state.shown = wanted;
      this.#flag(layer, `no ${layer}`, error.message);
      this.told.onfail(error.message, layer);
    } finally {
      if (state.stop === stop) state.stop = null;
      const busy = LAYERS.some((name) => this.layers[name].stop);
      this.element.classList.toggle("waiting", busy);
    }
  }

  #pause(layer) {
    const state = this.layers[layer];
    state.stop?.abort();
    state.stop = null;
  }

  #flag(layer, text, title) {
    if (text) this.flagged = layer;
    else if (this.flagged !== layer) return;
    Object.assign(this.note, { textContent: text, title: text ? title : "", hidden: !text });
  }

  #clear(layer) {
    this.#free(layer);
    const state = this.layers[layer];
    state.shown = null;
    state.image.hidden = true;
    state.image.removeAttribute("src");
    if (this.flagged === layer) this.#flag(layer, "");
  }

  #free(layer) {
    const state = this.layers[layer];
    if (state.url) URL.revokeObjectURL(state.url);
    state.url = null;
  }

  close() {
    seen.unobserve(this.element);
    LAYERS.forEach((layer) => {
      this.#pause(layer);
      this.#free(layer);
    });
  }
}

/** How wide a picture is asked for: sharp on this screen, in steps that caches can share. */
export function fitting(width) {
  const wanted = width * Math.min(devicePixelRatio, 2);
  return [128, 192, 256, 384, 512, 768, 1024, 1536, 2048].find((step) => step >= wanted) ?? 2048;
}
