// Numbers and times in words, the same on every view.

const DASH = "–";

export const count = (number) => number.toLocaleString("en").replaceAll(",", "\u2009");

export const plural = (number, one, many = `${one}s`) =>
  `${count(number)}\u00a0${number === 1 ? one : many}`;

/** A share as a percentage; between 99.95 and 100 it does not claim to be all. */
export function percent(value, digits = 1) {
  if (value === null || value === undefined) return DASH;
  const shown = (100 * value).toFixed(digits);
  const whole = value < 1 && Number(shown) === 100;
  return `${whole ? `>${(100 - 10 ** -digits).toFixed(digits)}` : shown}\u00a0%`;
}

/** A score, with as many digits as it takes to tell values apart. */
export function number(value) {
  if (value === null || value === undefined) return DASH;
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) >= 10) return count(value);
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toExponential(1).replace("-", "−");
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 3).replace("-", "−");
}

export const signed = (value) =>
  value === null || value === undefined ? DASH : `${value > 0 ? "+" : ""}${number(value)}`;

/** How long ago, for an ISO time. */
export function ago(time, now = Date.now()) {
  if (!time) return DASH;
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (!Number.isFinite(seconds)) return DASH;
  if (seconds < 90) return "just now";
  const steps = [
    [60, "min"],
    [3600, "h"],
    [86400, "d"],
  ];
  const [size, unit] = steps.findLast(([size]) => seconds >= size * 1.5) ?? steps[0];
  return `${Math.round(seconds / size)}\u00a0${unit} ago`;
}

export function bytes(size) {
  return size >= 2 ** 20
    ? `${Math.round(size / 2 ** 20)}\u00a0MB`
    : `${Math.max(1, Math.round(size / 2 ** 10))}\u00a0kB`;
}

/** The last part of an ID such as `studies/stamps/runs/plain-seed0`. */
export const short = (id) => (id === "." ? "this folder" : id.split("/").at(-1));

/** A class's name, of which the empty one is one too, or those of a set. */
export function labelled(name) {
  if (Array.isArray(name)) return name.map(labelled).join(", ") || "no label";
  return name === null || name === undefined ? "no label" : name === "" ? "(empty)" : String(name);
}

const NAMES = {
  f1: "F1",
  f1_macro: "F1, macro",
  iou: "IoU",
  mean_iou: "Mean IoU",
  roc_auc: "ROC AUC",
  ece: "ECE",
  magtr: "MAGTR",
  mangtr: "MANGTR",
  map: "mAP",
  max_box_acc: "MaxBoxAcc",
  pxap: "PxAP",
};

/** The name of a metric or a score. */
export const titled = (name) =>
  NAMES[name] ?? worded(name).replace(/^./, (letter) => letter.toUpperCase());

/** Words for a key of ours, such as `both_right`. */
export const worded = (key) => key.replaceAll("_", " ");
