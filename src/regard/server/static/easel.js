// The photo with the drawing over it: mouse, pen, touch and keys.

import { h, restyle } from "./elements.js";
import { canvas } from "./drawing.js";
import { fitting, Stack } from "./stack.js";

const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];
const TINT = "#ff4f8b";
const KEYS =
  "Keys: b box, p brush, e eraser, n new box, arrows move the last box, Shift with arrows its far corner, Delete takes it away, [ and ] change the brush, + and − zoom, Ctrl-Z takes back.";

export class Easel {
  /** `tools` is {tool, size}, read at each stroke; `onkey(name)` hears of keys that are not drawn. */
  constructor({ image, of, drawing, tools, onkey, onfail }) {
    Object.assign(this, { image, drawing, tools, onkey, zoomed: 0, live: null });
    this.stack = new Stack({ alt: image.name, onfail });
    this.stack.want("picture", {
      ...of,
      width: fitting(Math.min(1024, Math.max(480, image.width))),
    });
    if (image.region.present) this.stack.want("region", { ...of, width: fitting(720) });
    this.sheet = canvas(drawing.canvas.width, drawing.canvas.height);
    this.brush = h("span", { class: "brush", hidden: true, "aria-hidden": "true" });
    this.paper = h("div", { class: "paper" }, this.stack.element, this.sheet, this.brush);
    this.element = h(
      "div",
      {
        class: "easel",
        tabindex: "0",
        role: "application",
        "aria-label": `Drawing on ${image.name}. ${KEYS}`,
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
    if (event.button !== 0) return;
    event.preventDefault();
    this.element.focus({ preventScroll: true });
    this.sheet.setPointerCapture(event.pointerId);
    const place = this.#place(event);
    const { tool, size } = this.tools;
    this.live =
      tool === "box"
        ? { kind: "box", from: place, box: [...place, ...place] }
        : { kind: "stroke", erase: tool === "eraser", size, points: [place] };
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
      this.drawing.add({ kind: "box", box: step.box });
    else this.draw();
  }

  #stop() {
    this.live = null;
    this.draw();
  }

  /** The brush's size under the pointer. */
  #cursor(event) {
    const { tool, size } = this.tools;
    const frame = this.sheet.getBoundingClientRect();
    this.brush.hidden = tool === "box" || event.pointerType === "touch";
    const across = (size / this.image.width) * frame.width;
    restyle(this.brush, {
      left: `${event.clientX - frame.left}px`,
      top: `${event.clientY - frame.top}px`,
      width: `${across}px`,
      height: `${across}px`,
    });
  }

  #key(event) {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const names = {
      b: "box",
      p: "brush",
      e: "eraser",
      n: "new",
      Delete: "remove",
      Backspace: "remove",
      "[": "smaller",
      "]": "larger",
    };
    if (moves[key]) this.#nudge(moves[key], event.shiftKey);
    else if (key === "+" || key === "=") this.zoom(1);
    else if (key === "-") this.zoom(-1);
    else if (names[key]) this.onkey(names[key]);
    else return;
    event.preventDefault();
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
    this.drawing.replace(last, { kind: "box", box });
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
    const { sheet, drawing, live } = this;
    const context = sheet.getContext("2d");
    context.clearRect(0, 0, sheet.width, sheet.height);
    context.drawImage(drawing.canvas, 0, 0);
    if (live) drawing.paint(context, live);
    context.save();
    context.globalCompositeOperation = "source-in";
    context.globalAlpha = 0.42;
    context.fillStyle = TINT;
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.restore();
    const line = Math.max(2, sheet.width / 360);
    for (const { box } of [...drawing.boxes, ...(live?.kind === "box" ? [live] : [])]) {
      const [left, top, right, bottom] = box.map((edge) => edge * drawing.scale);
      for (const [colour, width] of [
        ["rgb(0 0 0 / 0.6)", 2 * line],
        [TINT, line],
      ]) {
        Object.assign(context, { strokeStyle: colour, lineWidth: width });
        context.strokeRect(left, top, right - left, bottom - top);
      }
    }
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
