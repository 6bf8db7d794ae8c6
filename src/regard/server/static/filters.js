// Which images of a split are shown, and in which order.

import { change, href, read } from "./address.js";
import { button, field, h, refill, select } from "./elements.js";
import { segments } from "./looks.js";
import { count, labelled, number, worded } from "./words.js";

export const PER_PAGE = 60;
const FILTERS = ["label", "predicted", "right", "outcome", "score", "low", "high", "region"];
const ORDERED = ["sort", "order"];

/** Of a state, what says which images are shown: kept from the gallery to an image and back. */
export const chosenOf = (state) =>
  Object.fromEntries(["other", ...FILTERS, ...ORDERED].map((key) => [key, state[key]]));

/** The gallery's question for the images from an offset on. */
export function question(state, offset, limit) {
  return {
    run: state.run,
    split: state.split,
    ...chosenOf(state),
    score: state.score,
    offset,
    limit,
  };
}

const RIGHT = [
  ["", "right or wrong"],
  ["right", "right"],
  ["wrong", "wrong"],
];
const REGION = [
  ["", "with or without"],
  ["present", "with a region"],
  ["missing", "region missing"],
];
const OUTCOME = [
  ["", "any"],
  ["gained", "A wrong, B right"],
  ["lost", "A right, B wrong"],
  ["both_right", "both right"],
  ["both_wrong", "both wrong"],
];

/** Another filter starts at the first page. */
const pick = (changes) => change({ page: "", at: "", ...changes });

export function filterBar(run, split, others) {
  // A segmenter answers for pixels: of an image nothing is right or wrong, nor of one class.
  const named = !segments(run);
  const answered = named && run.splits.find(({ name }) => name === split)?.predicted;
  const controls = {
    other: select(
      [["", "no other run"], ...others.map(({ id, title }) => [id, title])],
      "",
      (value) => pick({ other: value, outcome: "", ...unsorted(value) }),
    ),
    label: select([], "", (value) => pick({ label: value })),
    predicted: select([], "", (value) => pick({ predicted: value })),
    right: select(RIGHT, "", (value) => pick({ right: value })),
    outcome: select(OUTCOME, "", (value) => pick({ outcome: value })),
    region: select(REGION, "", (value) => pick({ region: value })),
    score: select([], "", (value) => pick({ score: value, low: "", high: "" })),
    sort: select([], "", (value) => pick({ sort: value })),
  };
  const low = h("input", { type: "number", step: "any", onchange: () => pick({ low: low.value }) });
  const high = h("input", {
    type: "number",
    step: "any",
    onchange: () => pick({ high: high.value }),
  });
  const order = button("", () => pick({ order: read().order === "desc" ? "" : "desc" }));
  const reset = h("a", { class: "reset" }, "Reset");
  const outcome = field("A and B", controls.outcome);
  const range = h(
    "div",
    { class: "range", role: "group", "aria-label": "Range of the score" },
    field("From", low),
    field("To", high),
  );
  const answers = [field("Predicted", controls.predicted), field("Answer", controls.right)];
  const folded = h("summary", {}, "Filter and sort");
  const bar = h(
    "details",
    { class: "bar fold filters", open: innerWidth > 640 },
    folded,
    h(
      "div",
      { class: "row" },
      named && field("Class", controls.label),
      answers,
      others.length > 0 && field("Side by side with", controls.other),
      outcome,
      named && field("Region", controls.region),
      field("Score", controls.score),
      range,
      h(
        "div",
        { class: "field" },
        h("label", { for: idOf(controls.sort, "sort-by") }, "Sort by"),
        h("span", { class: "joined" }, controls.sort, order),
      ),
      reset,
    ),
  );

  let facts = { labels: [], scores: [] };
  const update = (state) => {
    const labels = facts.labels.map(({ name, images }) => [
      name,
      `${labelled(name)} (${count(images)})`,
    ]);
    refill(
      controls.label,
      [["", "all classes"], ...withOwn(labels, state.label)],
      state.label ?? "",
    );
    refill(
      controls.predicted,
      [
        ["", "any class"],
        ...withOwn(
          run.classes.map((name) => [name, labelled(name)]),
          state.predicted,
        ),
      ],
      state.predicted ?? "",
    );
    refill(
      controls.score,
      [
        ["", "any"],
        ...withOwn(
          facts.scores.map(({ name, title }) => [name, title]),
          state.score,
        ),
      ],
      state.score ?? "",
    );
    refill(
      controls.sort,
      withOwn(sorts(facts.scores, state, answered), state.sort),
      state.sort ?? "",
    );
    for (const key of ["right", "outcome", "region", "other"])
      controls[key].value = state[key] ?? "";
    const score = facts.scores.find(({ name }) => name === state.score);
    for (const [input, key] of [
      [low, "low"],
      [high, "high"],
    ]) {
      input.placeholder = score ? number(score[key]) : "";
      if (input !== document.activeElement) input.value = state[key] ?? "";
    }
    range.hidden = !state.score;
    outcome.hidden = !named || !state.other;
    answers.forEach((element) => (element.hidden = !answered));
    order.textContent = state.order === "desc" ? "↓" : "↑";
    order.setAttribute("aria-label", state.order === "desc" ? "highest first" : "lowest first");
    order.title = order.getAttribute("aria-label");
    const active = FILTERS.filter((key) => state[key]).length;
    folded.textContent = active ? `Filter and sort (${active})` : "Filter and sort";
    reset.hidden = !active && !state.sort && !state.order;
    reset.href = href({
      ...state,
      ...Object.fromEntries([...FILTERS, ...ORDERED, "page", "at"].map((key) => [key, ""])),
    });
  };
  return { bar, update, learn: (answer) => (facts = answer) };
}

function idOf(element, id) {
  element.id = id;
  return id;
}

/** Without another run there is no order by its scores. */
const unsorted = (other) =>
  other || !/_(other|change)$/.test(read().sort ?? "") ? {} : { sort: "", order: "" };

/** What the address asks for is an option too, even if nothing has it. */
function withOwn(options, own) {
  return !own || options.some(([key]) => key === own) ? options : [...options, [own, worded(own)]];
}

function sorts(scores, state, answered) {
  const some = [["", "manifest's order"], ...(answered ? [["probability", "probability"]] : [])];
  for (const { name, title } of scores) {
    some.push([name, title]);
    if (state.other)
      some.push([`${name}_other`, `${title} of B`], [`${name}_change`, `change of ${title}`]);
  }
  return some;
}
