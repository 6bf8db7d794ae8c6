// The trail at the top: folder, run, split, image.

import { href } from "./address.js";
import { h } from "./elements.js";
import { looksOf } from "./looks.js";

/** Which split is looked at first: test, or the first that was evaluated. */
export function firstSplit(run) {
  const names = run.splits.map(({ name }) => name);
  const predicted = run.splits.filter((split) => split.predicted).map(({ name }) => name);
  return ["test", "val"].find((name) => predicted.includes(name)) ?? predicted[0] ?? names.at(-1);
}

export function trail(state, overview, run) {
  const steps = [["Runs", { view: "overview" }]];
  if (run) {
    const looks = looksOf(state);
    steps.push([run.name, { view: "run", run: run.id }]);
    if (state.view === "own") steps.push(["An image of your own", state]);
    else if (state.view !== "run") {
      steps.push([state.split, { view: "gallery", run: run.id, split: state.split, other: state.other, ...looks }]);
      if (state.view !== "gallery") steps.push(["Image", { ...state, view: "image" }]);
      if (state.view === "correct") steps.push(["Correct the region", state]);
    }
  }
  const last = steps.length - 1;
  document.getElementById("trail").replaceChildren(
    ...steps.map(([name, to], place) =>
      h("li", {}, h("a", { href: href(to), "aria-current": place === last ? "page" : null }, name)),
    ),
  );
  document.title = [...steps.map(([name]) => name)].slice(1).reverse().concat(overview.name, "Regard").join(" · ");
}
