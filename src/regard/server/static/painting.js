// The mask of a segmenter as it is painted: the class of each pixel, exactly, without soft edges.

import { canvas, frame } from "./drawing.js";

/** What a mask holds where nobody says what is there. */
export const VOID = 255;
// Bytes of former masks that are kept to go back to.
const KEPT = 96 * 2 ** 20;

export class Painting {
  /** `ids` are the classes of a mask's pixels, `colours` those of the classes as `#rrggbb`. */
  constructor(width, height, colours, onchange) {
    Object.assign(this, { width, height, onchange, past: [], future: [], scale: 1, brushed: true });
    this.canvas = canvas(width, height);
    this.colours = colours.map((text) => Number.parseInt(text.slice(1), 16));
    this.boxes = [];
  }

  /** Begin with a mask; `own` is that of the run, which the eraser gives back. */
  start(ids, own) {
    Object.assign(this, { ids, own, kept: ids.slice(), past: [], future: [], before: null });
    this.#draw();
    this.onchange();
  }

  /** How many pixels are other than in the run's mask. */
  get changed() {
    return differing(this.ids, this.own);
  }

  /** Whether the mask is other than it was at first, or was saved since. */
  get unsaved() {
    if (!this.ids) return false;
    return this.kept === null || differing(this.ids, this.kept) > 0;
  }

  /** The mask as it is now, to be told as saved. */
  get now() {
    return this.ids.slice();
  }

  at([x, y]) {
    const column = Math.min(this.width - 1, Math.floor(x));
    return this.ids[Math.min(this.height - 1, Math.floor(y)) * this.width + column];
  }

  begin({ tool, size, class_, pick }, place) {
    if (tool === "pick") {
      pick(this.at(place));
      return null;
    }
    this.before = this.ids.slice();
    if (tool === "box") return { kind: "box", class_, from: place, box: [...place, ...place] };
    return { kind: "stroke", class_: tool === "eraser" ? null : class_, size, points: [place] };
  }

  /** What was begun is not wanted. */
  cancel() {
    if (this.before) this.ids = this.before;
    this.before = null;
    this.#draw();
  }

  /** A stroke or a box that is finished. */
  add(step) {
    this.#paint(step);
    this.past.push(this.before);
    while (this.past.length > Math.max(8, KEPT / this.ids.length)) this.past.shift();
    Object.assign(this, { before: null, future: [] });
    this.onchange();
  }

  /** The run's mask again. */
  reset() {
    if (this.before) return;
    this.past.push(this.ids);
    Object.assign(this, { ids: this.own.slice(), future: [] });
    this.#draw();
    this.onchange();
  }

  undo() {
    this.#step(this.past, this.future);
  }

  redo() {
    this.#step(this.future, this.past);
  }

  #step(from, to) {
    // A stroke that is being painted is on top of all steps.
    if (this.before || !from.length) return;
    to.push(this.ids);
    this.ids = from.pop();
    this.#draw();
    this.onchange();
  }

  show(context, live) {
    if (live?.kind === "stroke") this.#paint(live);
    context.drawImage(this.canvas, 0, 0);
    if (live?.kind === "box") frame(context, live.box, 1, "#fff");
  }

  #paint(step) {
    if (step.kind === "box") this.#fill(step.box, step.class_);
    else this.#stroke(step);
  }

  /** Pixels whose centres lie within the box. */
  #fill([left, top, right, bottom], class_) {
    for (let y = Math.ceil(top - 0.5); y < bottom - 0.5; y++) this.#row(y, left, right, class_);
    this.#draw();
  }

  /** Pixels whose centres lie within half the brush's size of its way; what is done is not done again. */
  #stroke(step) {
    const { points, size, class_ } = step;
    step.done ??= 0;
    for (; step.done < points.length; step.done++) {
      const [x, y] = points[step.done];
      const [a, b] = points[Math.max(0, step.done - 1)];
      const parts = Math.max(1, Math.ceil(Math.hypot(x - a, y - b) / Math.max(0.5, size / 8)));
      for (let part = 1; part <= parts; part++) {
        const share = part / parts;
        this.#disc(a + (x - a) * share, b + (y - b) * share, size / 2, class_);
      }
    }
    this.#draw();
  }

  #disc(x, y, radius, class_) {
    // However small the brush is, it paints the pixel that it is on.
    this.#row(Math.floor(y), Math.floor(x), Math.floor(x) + 1, class_);
    for (let row = Math.ceil(y - radius - 0.5); row + 0.5 <= y + radius; row++) {
      const half = Math.sqrt(radius ** 2 - (row + 0.5 - y) ** 2);
      this.#row(row, x - half, x + half, class_);
    }
  }

  #row(y, left, right, class_) {
    if (y < 0 || y >= this.height) return;
    const from = y * this.width + Math.max(0, Math.ceil(left - 0.5));
    const to = y * this.width + Math.min(this.width, Math.ceil(right - 0.5));
    if (class_ !== null) this.ids.fill(class_, from, Math.max(from, to));
    else if (to > from) this.ids.set(this.own.subarray(from, to), from);
  }

  /** The classes in their colours; where nothing is said the photo shows. */
  #draw() {
    const context = this.canvas.getContext("2d");
    const shown = context.createImageData(this.width, this.height);
    const { data } = shown;
    for (let at = 0; at < this.ids.length; at++) {
      const colour = this.colours[this.ids[at]];
      if (colour === undefined) continue;
      data[4 * at] = colour >> 16;
      data[4 * at + 1] = (colour >> 8) & 255;
      data[4 * at + 2] = colour & 255;
      data[4 * at + 3] = 255;
    }
    context.putImageData(shown, 0, 0);
  }

  /** As a grey PNG, whose levels are the classes. */
  answer() {
    const whole = canvas(this.width, this.height);
    const context = whole.getContext("2d");
    const grey = context.createImageData(this.width, this.height);
    this.ids.forEach((id, at) => grey.data.set([id, id, id, 255], 4 * at));
    context.putImageData(grey, 0, 0);
    return { classes: whole.toDataURL("image/png") };
  }
}

function differing(ids, others) {
  let count = 0;
  for (let at = 0; at < ids.length; at++) count += ids[at] !== others[at];
  return count;
}

/** The classes of a grey PNG's pixels. */
export async function idsIn(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const sheet = canvas(bitmap.width, bitmap.height);
  const context = sheet.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, sheet.width, sheet.height);
  return Uint8Array.from({ length: data.length / 4 }, (_, at) => data[4 * at]);
}
