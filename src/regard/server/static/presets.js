// What is worth a look first, a click away: other arms beside this one, and orders that tell something.

import { href } from "./address.js";
import { h } from "./elements.js";
import { segments } from "./looks.js";

const PARTNERS = 4;

/** The runs of the same study and seed under other arms. */
function partners(overview, run) {
  const own = overview.runs.find(({ id }) => id === run.id);
  if (!own?.study || own.arm === null) return [];
  return overview.runs
    .filter(
      (row) =>
        row.study === own.study &&
        row.arm !== own.arm &&
        row.seed === own.seed &&
        row.fold === own.fold &&
        row.state !== "new",
    )
    .slice(0, PARTNERS);
}

/** Orders and filters with a name; those of scores only where there are any. */
function views(state, scored, named) {
  if (state.other)
    return [
      named && ["A wrong, B right", { outcome: "gained" }],
      named && ["A right, B wrong", { outcome: "lost" }],
      !named && ["better with B", { sort: "mean_iou_change", order: "desc" }],
      !named && ["worse with B", { sort: "mean_iou_change" }],
      scored && ["gaze further into the region with B", { sort: "energy_change", order: "desc" }],
      scored && ["further out of it", { sort: "energy_change" }],
    ];
  return [
    named ? ["wrong answers", { right: "wrong" }] : ["least mean IoU", { sort: "mean_iou" }],
    scored && ["gaze least in the region", { sort: "energy" }],
    scored && ["most in it", { sort: "energy", order: "desc" }],
  ];
}

const OWN = ["right", "outcome", "sort", "order"];
const EMPTY = Object.fromEntries([...OWN, "page", "at"].map((key) => [key, ""]));

/** A line of links: `update(state, scores)` shows those that make sense, scores being of the split. */
export function presets(run, split, overview) {
  const answered = run.splits.find(({ name }) => name === split)?.predicted;
  const beside = partners(overview, run);
  const element = h("nav", { class: "presets", "aria-label": "What to look at first" });
  const link = (text, to, on) =>
    h("a", { href: href(to), "aria-current": on ? "true" : null }, text);

  const update = (state, scores) => {
    const scored = scores.some(({ name }) => name === "energy");
    const rows = [];
    if (beside.length && !state.other)
      rows.push([
        "Side by side with",
        beside.map(({ id, name }) => link(name, { ...state, other: id, page: "", at: "" })),
      ]);
    if (answered) {
      const links = views(state, scored, !segments(run)).filter(Boolean);
      const is = (set) => OWN.every((key) => (state[key] || "") === (set[key] ?? ""));
      rows.push([
        "Look first at",
        links.map(([text, set]) => link(text, { ...state, ...EMPTY, ...set }, is(set))),
      ]);
    }
    element.hidden = !rows.length;
    element.replaceChildren(
      ...rows.map(([text, links]) => h("p", {}, h("span", {}, `${text}: `), links)),
    );
  };
  return { element, update };
}
