// The photo with the drawing over it: mouse, pen, touch and keys.

import { h, restyle } from "./elements.js";
import { canvas } from "./drawing.js";
import { fitting, Stack } from "./stack.js";

const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];
export class Easel {
  /**
   * `drawing` is drawn on by `tools`, read at each stroke; `keys` are [key, name, what it does] of
   * keys, which `onkey(name)` hears of; `outlined`: whether the run's region is; `onmove(place)` hears
   * where the pointer is.
   */
  constructor({ image, of, drawing, tools, keys, onkey, onfail, outlined = false, onmove }) {
    Object.assign(this, { image, drawing, tools, onkey, onmove, zoomed: 0, live: null });
    this.keys = Object.fromEntries(keys.map(([key, name]) => [key, name]));
    this.at = null;
    this.stack = new Stack({ alt: image.name, onfail });
    this.stack.want("picture", {
      ...of,
      width: fitting(Math.min(1024, Math.max(480, image.width))),
    });
    if (outlined) this.stack.want("region", { ...of, width: fitting(720) });
    this.sheet = canvas(drawing.canvas.width, drawing.canvas.height);
    this.brush = h("span", { class: "brush", hidden: true, "aria-hidden": "true" });
    this.paper = h("div", { class: "paper" }, this.stack.element, this.sheet, this.brush);
    this.element = h(
      "div",
      {
        class: "easel",
        tabindex: "0",
        role: "application",
        "aria-label": `Drawing on ${image.name}. ${told(keys)}`,
      },
      this.paper,
    );
    restyle(this.stack.element, { "aspect-ratio": `${image.width} / ${image.height}` });
    restyle(this.paper, { "--ratio": image.width / image.height });
    this.#listen();
    this.zoom(0);
  }

  #listen() {
    const { sheet } = this;
    sheet.addEventListener("pointerdown", (event) => this.#down(event));
    sheet.addEventListener("pointermove", (event) => this.#move(event));
    sheet.addEventListener("pointerup", () => this.#up());
    sheet.addEventListener("pointercancel", () => this.#stop());
    sheet.addEventListener("pointerleave", () => (this.brush.hidden = true));
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey) return;
        event.preventDefault();
        this.zoom(event.deltaY < 0 ? 1 : -1, event);
      },
      { passive: false },
    );
  }

  /** A place in pixels of the photo. */
  #place(event) {
    const frame = this.sheet.getBoundingClientRect();
    const { width, height } = this.image;
    const within = (value, most) => Math.min(most, Math.max(0, value));
    return [
      within(((event.clientX - frame.left) / frame.width) * width, width),
      within(((event.clientY - frame.top) / frame.height) * height, height),
    ];
  }

  #down(event) {
    if (event.button !== 0 || this.live) return;
    event.preventDefault();
    this.element.focus({ preventScroll: true });
    this.sheet.setPointerCapture(event.pointerId);
    this.live = this.drawing.begin(this.tools, this.#place(event));
    this.draw();
  }

  #move(event) {
    this.#cursor(event);
    if (!this.live) return;
    const place = this.#place(event);
    if (this.live.kind === "box") this.live.box = around(this.live.from, place);
    else this.live.points.push(...event.getCoalescedEvents().map((one) => this.#place(one)), place);
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  #up() {
    const step = this.live;
    this.live = null;
    if (!step) return;
    if (step.kind === "stroke") this.drawing.add(step);
    else if (step.box[2] - step.box[0] >= 1 && step.box[3] - step.box[1] >= 1)
      this.drawing.add({ ...step, from: null });
    else this.#drop();
  }

  #drop() {
    this.drawing.cancel();
    this.draw();
  }

  #stop() {
    this.live = null;
    this.#drop();
  }

  #cursor(event) {
    const { tool } = this.tools;
    this.at = this.#place(event);
    this.onmove?.(this.at);
    this.#ring(tool === "box" || tool === "pick" || event.pointerType === "touch");
  }

  /** The brush's size where it is. */
  #ring(hidden) {
    const frame = this.sheet.getBoundingClientRect();
    const scale = frame.width / this.image.width;
    this.brush.hidden = hidden;
    restyle(this.brush, {
      left: `${this.at[0] * scale}px`,
      top: `${this.at[1] * scale}px`,
      width: `${this.tools.size * scale}px`,
      height: `${this.tools.size * scale}px`,
    });
  }

  #key(event) {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || this.live) return;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (moves[key]) this.#arrow(moves[key], event.shiftKey);
    else if (key === " " && this.drawing.brushed) this.#dab([this.#here()]);
    else if (key === "+" || key === "=") this.zoom(1);
    else if (key === "-") this.zoom(-1);
    else if (this.keys[key]) this.onkey(this.keys[key]);
    else return;
    event.preventDefault();
  }

  #arrow(by, shift) {
    if (this.drawing.brushed) this.#walk(by, shift);
    else this.#nudge(by, shift);
  }

  #here() {
    const { width, height } = this.image;
    return (this.at ??= [width / 2, height / 2]);
  }

  /** The brush by keys: arrows move it by half its size, with Shift it paints on its way. */
  #walk([across, down], paints) {
    const from = this.#here();
    const step = Math.max(1, this.tools.size / 2);
    const { width, height } = this.image;
    const within = (value, most) => Math.min(most - 0.5, Math.max(0.5, value));
    this.at = [within(from[0] + across * step, width), within(from[1] + down * step, height)];
    this.onmove?.(this.at);
    this.#ring(false);
    if (paints) this.#dab([from, this.at]);
  }

  #dab(points) {
    const step = this.drawing.begin(this.tools, points[0]);
    if (step?.kind === "stroke") this.drawing.add({ ...step, points });
    this.#ring(false);
  }

  /** The last box goes along, or its far corner alone, by a hundredth of the photo. */
  #nudge([across, down], corner) {
    const last = this.drawing.boxes.at(-1);
    if (!last) return;
    const { width, height } = this.image;
    const step = Math.max(1, Math.round(Math.max(width, height) / 100));
    const [left, top, right, bottom] = last.box;
    const [dx, dy] = [across * step, down * step];
    const box = corner
      ? [
          left,
          top,
          Math.min(width, Math.max(left + 1, right + dx)),
          Math.min(height, Math.max(top + 1, bottom + dy)),
        ]
      : moved(last.box, dx, dy, width, height);
    this.drawing.replace(last, { ...last, box });
  }

  /** One step in or out, the place under the pointer staying where it is; 0 is the whole photo. */
  zoom(by, event) {
    const before = ZOOMS[this.zoomed];
    this.zoomed = by === 0 ? 0 : Math.min(ZOOMS.length - 1, Math.max(0, this.zoomed + by));
    const grown = ZOOMS[this.zoomed] / before;
    const frame = this.element.getBoundingClientRect();
    const [x, y] = event
      ? [event.clientX - frame.left, event.clientY - frame.top]
      : [frame.width / 2, frame.height / 2];
    const [left, top] = [
      (this.element.scrollLeft + x) * grown - x,
      (this.element.scrollTop + y) * grown - y,
    ];
    restyle(this.paper, { "--zoom": ZOOMS[this.zoomed] });
    this.element.scrollTo(left, top);
  }

  draw() {
    const context = this.sheet.getContext("2d");
    context.clearRect(0, 0, this.sheet.width, this.sheet.height);
    this.drawing.show(context, this.live);
  }

  close() {
    this.stack.close();
  }
}

const around = ([x, y], [a, b]) => [Math.min(x, a), Math.min(y, b), Math.max(x, a), Math.max(y, b)];

function moved([left, top, right, bottom], dx, dy, width, height) {
  const x = Math.min(width - right, Math.max(-left, dx));
  const y = Math.min(height - bottom, Math.max(-top, dy));
  return [left + x, top + y, right + x, bottom + y];
}

/** The keys in a line. */
function told(keys) {
  const own = keys.filter(([, , what]) => what).map(([key, , what]) => `${key} ${what}`);
  return `Keys: ${own.join(", ")}, + and − zoom, Ctrl-Z takes back.`;
}
