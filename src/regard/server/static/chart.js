// Lines over epochs, drawn as SVG: labelled axes, one line for train and one for val.

import { h, s } from "./elements.js";
import { count, number } from "./words.js";

const WIDTH = 420;
const HEIGHT = 220;
const MARGIN = { right: 14, top: 10, bottom: 36 };
/** Left of the lines: at least so much, and for longer numbers so much a sign. */
const LEFT = 52;
const SIGN = 7;

/** Up to which share of a power of ten its tick is which multiple. */
const STEPS = [
  [1.5, 1],
  [3.5, 2],
  [7.5, 5],
  [Infinity, 10],
];

/** Round places between two values. */
function ticks(low, high, wanted = 5) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const [, factor] = STEPS.find(([most]) => rough / power < most);
  const step = factor * power;
  const first = Math.ceil(low / step - 1e-9);
  const many = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: many }, (_, place) =>
    Number(((first + place) * step).toPrecision(12)),
  );
}

/**
 * A figure. `lines` are [{name, tone, dash, points: [[x, y]]}]; `title` is also the axis's words.
 */
export function chart({ title, lines, across = "Epoch" }) {
  const points = lines.flatMap((line) => line.points);
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [low, high] = room(Math.min(...ys), Math.max(...ys));
  const beside = ticks(low, high, 4).map((value) => [value, tickText(value)]);
  const start = Math.max(LEFT, 12 + SIGN * Math.max(...beside.map(([, text]) => text.length)));
  const x = (value) =>
    start + ((value - left) / (right - left || 1)) * (WIDTH - start - MARGIN.right);
  const y = (value) =>
    HEIGHT - MARGIN.bottom - ((value - low) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const drawing = s(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": spoken(title, lines) },
    beside.map(([value, text]) => [
      s("line", {
        class: "grid",
        x1: start,
        x2: WIDTH - MARGIN.right,
        y1: y(value),
        y2: y(value),
      }),
      s("text", { x: start - 8, y: y(value) + 4, "text-anchor": "end" }, text),
    ]),
    ticks(left, right, 6)
      .filter(Number.isInteger)
      .map((value) =>
        s(
          "text",
          { x: x(value), y: HEIGHT - MARGIN.bottom + 16, "text-anchor": "middle" },
          tickText(value),
        ),
      ),
    s(
      "text",
      { x: (start + WIDTH - MARGIN.right) / 2, y: HEIGHT - 4, "text-anchor": "middle" },
      across,
    ),
    lines.map(({ tone, points: own }) =>
      drawn(
        own.map(([a, b]) => [x(a), y(b)]),
        tone,
      ),
    ),
  );
  return h("figure", { class: "chart" }, h("figcaption", {}, title), drawing, legend(lines));
}

/** Some room above and below; a value that never changes lies in the middle. */
function room(low, high) {
  const extra = 0.05 * (high - low) || Math.abs(low) * 0.1 || 0.5;
  return [low >= 0 ? Math.max(0, low - extra) : low - extra, high + extra];
}

/** As in the legend: a whole number in groups, others with the digits that they need. */
function tickText(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential().replace("-", "−");
  return (Number.isInteger(value) ? count(value) : String(value)).replace("-", "−");
}

function drawn(points, tone) {
  const line = s("polyline", {
    class: `line ${tone}`,
    points: points.map((point) => point.join(",")).join(" "),
  });
  const [x, y] = points.at(-1);
  return [line, s("circle", { class: `dot ${tone}`, cx: x, cy: y, r: 3 })];
}

const legend = (lines) =>
  h(
    "ul",
    { class: "legend" },
    lines.map(({ name, tone, points }) =>
      h("li", { class: tone }, `${name} `, h("b", {}, number(points.at(-1)[1]))),
    ),
  );

const spoken = (title, lines) =>
  `${title} by epoch: ${lines.map(({ name, points }) => `${name} ${number(points.at(-1)[1])}`).join(", ")}`;
