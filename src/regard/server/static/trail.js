// The trail at the top: folder, run, split, image.

import { href } from "./address.js";
import { h } from "./elements.js";
import { looksOf, segments, takesOwn } from "./looks.js";

/** Which split is looked at first: test, or the first that was evaluated. */
export function firstSplit(run) {
  const names = run.splits.map(({ name }) => name);
  const predicted = run.splits.filter((split) => split.predicted).map(({ name }) => name);
  return ["test", "val"].find((name) => predicted.includes(name)) ?? predicted[0] ?? names.at(-1);
}

/** Where a view was refused. */
export function lost() {
  document
    .getElementById("trail")
    .replaceChildren(h("li", {}, h("a", { href: href({ view: "overview" }) }, "Runs")));
  document.title = "Regard";
}

export function trail(state, overview, run) {
  const steps = [["Runs", { view: "overview" }]];
  if (run) {
    const looks = looksOf(state);
    steps.push([run.name, { view: "run", run: run.id }]);
    if (state.view === "own") steps.push(["Your own image", state]);
    else if (state.view !== "run") {
      steps.push([
        state.split,
        { view: "gallery", run: run.id, split: state.split, other: state.other, ...looks },
      ]);
      if (state.view !== "gallery") steps.push(["Image", { ...state, view: "image" }]);
      if (state.view === "correct")
        steps.push([segments(run) ? "Correct the mask" : "Correct the region", state]);
    }
  }
  const last = steps.length - 1;
  document
    .getElementById("trail")
    .replaceChildren(
      ...steps.map(([name, to], place) =>
        h(
          "li",
          {},
          h("a", { href: href(to), "aria-current": place === last ? "page" : null }, name),
        ),
      ),
    );
  const own = document.getElementById("own");
  const done = overview.runs.filter((row) => row.kind === "run" && row.state === "done");
  const asked = [run, ...done].find((one) => one && takesOwn(one))?.id;
  own.hidden = asked === undefined || state.view === "own";
  own.href = href({ view: "own", run: asked });
  document.title = [...steps.map(([name]) => name)]
    .slice(1)
    .reverse()
    .concat(overview.name, "Regard")
    .join(" · ");
}
