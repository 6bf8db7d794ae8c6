// Probabilities as bars; a click on one asks for the map of its class.

import { button, h, restyle } from "./elements.js";
import { labelled, percent } from "./words.js";

const FEW = 8;

/**
 * A list of bars of [{class, value}]. `labels` are the true classes, `target` the class whose map is
 * shown, `colours` by class the colours of a mask's legend.
 */
export function bars(
  probabilities,
  { labels = [], target = null, pick, colours = null, name = "Probabilities" },
) {
  const list = h("ol", { class: "bars", "aria-label": name });
  const row = ({ class: class_, value }) => {
    const filled = restyle(h("i", { "aria-hidden": "true" }), {
      width: `${100 * Math.min(1, Math.max(0, value ?? 0))}%`,
    });
    const swatch = colours?.[class_]
      ? restyle(h("i", { class: "swatch", "aria-hidden": "true" }), { background: colours[class_] })
      : null;
    const parts = [
      h(
        "span",
        { class: "name" },
        swatch,
        labelled(class_),
        labels.includes(class_) && h("small", {}, "label"),
      ),
      h("span", { class: "n" }, percent(value)),
      h("span", { class: "bar-of" }, filled),
    ];
    return h(
      "li",
      {},
      pick
        ? h(
            "button",
            {
              type: "button",
              "aria-pressed": String(class_ === target),
              title: `Show the map of ${labelled(class_)}`,
              onclick: () => pick(class_),
            },
            parts,
          )
        : h("div", {}, parts),
    );
  };
  const show = (all) => {
    const shown = all
      ? probabilities
      : probabilities.filter(
          (one, place) => place < FEW || labels.includes(one.class) || one.class === target,
        );
    list.replaceChildren(...shown.map(row));
    more.hidden = shown.length === probabilities.length;
  };
  const more = button(`All ${probabilities.length} classes`, () => show(true), { class: "quiet" });
  show(false);
  return h("div", {}, list, more);
}
