// A region as it is drawn: boxes and strokes in order, each of which can be taken back.

const FINE = 1024;
const MOST = 2048;
const TINT = "#ff4f8b";

/** Steps of {kind: "box", box, label} | {kind: "stroke", erase, size, points} | {kind: "mask", image}. */
export class Drawing {
  constructor(width, height, onchange) {
    Object.assign(this, { width, height, onchange });
    Object.assign(this, { past: [], steps: [], kept: [], future: [] });
    const long = Math.max(width, height);
    this.scale = Math.min(MOST, Math.max(FINE, long)) / long;
    this.canvas = canvas(Math.round(width * this.scale), Math.round(height * this.scale));
  }

  get boxes() {
    return this.steps.filter(({ kind }) => kind === "box");
  }

  /** Whether it takes a mask to say what boxes cannot. */
  get painted() {
    return this.steps.some(({ kind }) => kind !== "box");
  }

  /** What the pointer begins at a place. */
  begin({ tool, size, label }, place) {
    return tool === "box"
      ? { kind: "box", from: place, box: [...place, ...place], label }
      : { kind: "stroke", erase: tool === "eraser", size, points: [place] };
  }

  /** What was begun and not added is nowhere yet. */
  cancel() {}

  /** All of it in one tint, and what is being drawn. */
  show(context, live) {
    const { canvas: sheet } = context;
    context.drawImage(this.canvas, 0, 0);
    if (live) this.paint(context, live);
    context.save();
    context.globalCompositeOperation = "source-in";
    context.globalAlpha = 0.42;
    context.fillStyle = TINT;
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.restore();
    for (const { box } of [...this.boxes, ...(live?.kind === "box" ? [live] : [])])
      frame(context, box, this.scale, TINT);
  }

  /** Whether what is drawn is other than what was there at first, or was saved since. */
  get unsaved() {
    const { kept, steps } = this;
    return steps !== kept && Boolean(kept === null || kept.length || steps.length);
  }

  /** What is drawn now, to be told as saved. */
  get now() {
    return this.steps;
  }

  /** Begin with what is there; that cannot be taken back. */
  start(steps) {
    Object.assign(this, { past: [], steps, kept: steps, future: [] });
    this.changed();
  }

  /** Other steps; the present ones can be had back. */
  set(steps) {
    this.past.push(this.steps);
    Object.assign(this, { steps, future: [] });
    this.changed();
  }

  add(step) {
    this.set([...this.steps, step]);
  }

  replace(step, other) {
    this.set(this.steps.map((one) => (one === step ? other : one)));
  }

  remove(step) {
    this.set(this.steps.filter((one) => one !== step));
  }

  undo() {
    if (!this.past.length) return;
    this.future.push(this.steps);
    this.steps = this.past.pop();
    this.changed();
  }

  redo() {
    if (!this.future.length) return;
    this.past.push(this.steps);
    this.steps = this.future.pop();
    this.changed();
  }

  changed() {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.steps.forEach((step) => this.paint(context, step));
    this.onchange();
  }

  /** One step, white on what is there. */
  paint(context, step) {
    const { scale } = this;
    context.save();
    if (step.kind === "mask")
      context.drawImage(step.image, 0, 0, this.canvas.width, this.canvas.height);
    else if (step.kind === "box") {
      const [left, top, right, bottom] = step.box.map((edge) => edge * scale);
      context.fillStyle = "#fff";
      context.fillRect(left, top, right - left, bottom - top);
    } else {
      context.globalCompositeOperation = step.erase ? "destination-out" : "source-over";
      Object.assign(context, {
        strokeStyle: "#fff",
        lineWidth: step.size * scale,
        lineCap: "round",
        lineJoin: "round",
      });
      context.beginPath();
      step.points.forEach(([x, y]) => context.lineTo(x * scale, y * scale));
      if (step.points.length === 1)
        context.lineTo(step.points[0][0] * scale + 0.01, step.points[0][1] * scale);
      context.stroke();
    }
    context.restore();
  }

  /** The region as the server takes it: boxes, with a class each if they have one, or a mask. */
  answer(labelled) {
    if (!this.painted)
      return {
        boxes: this.boxes.map(({ box }) => box.map((edge) => Math.round(edge * 100) / 100)),
        box_labels: labelled ? this.boxes.map(({ label }) => label) : null,
        mask: null,
      };
    const whole = canvas(this.canvas.width, this.canvas.height);
    const context = whole.getContext("2d");
    context.fillRect(0, 0, whole.width, whole.height);
    context.drawImage(this.canvas, 0, 0);
    return { boxes: null, mask: whole.toDataURL("image/png") };
  }
}

/** The edges of a box, to be seen on any photo. */
export function frame(context, box, scale, colour) {
  const line = Math.max(2, context.canvas.width / 360);
  const [left, top, right, bottom] = box.map((edge) => edge * scale);
  for (const [strokeStyle, lineWidth] of [
    ["rgb(0 0 0 / 0.6)", 2 * line],
    [colour, line],
  ]) {
    Object.assign(context, { strokeStyle, lineWidth });
    context.strokeRect(left, top, right - left, bottom - top);
  }
}

export function canvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

/** A mask from a data URL: what is bright becomes white, the rest clear. */
export async function maskStep(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const own = canvas(image.naturalWidth, image.naturalHeight);
  const context = own.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, own.width, own.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const inside = pixels.data[at] > 127 && pixels.data[at + 3] > 127;
    pixels.data.set([255, 255, 255, inside ? 255 : 0], at);
  }
  context.putImageData(pixels, 0, 0);
  return { kind: "mask", image: own };
}
