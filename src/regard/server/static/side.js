// What is known of an image, in tables: its region, the scores of its maps, its background.

import { get } from "./api.js";
import { button, h } from "./elements.js";
import { methodName, scoresShown } from "./looks.js";
import { dropped, loading, refused } from "./notices.js";
import { labelled, number, percent, plural, titled, worded } from "./words.js";

export function regionWords(region) {
  if (!region.present) return "No region: nobody has said yet where the evidence is.";
  const kinds = [];
  if (region.mask) kinds.push("a mask");
  if (region.boxes.length) kinds.push(plural(region.boxes.length, "box", "boxes"));
  const also = [
    region.avoid && "an area to avoid",
    region.ignore && "an area that counts neither way",
  ].filter(Boolean);
  return `${kinds.join(" and ") || "Empty"}${also.length ? `, with ${also.join(" and ")}` : ""}.`.replace(
    /^./,
    (letter) => letter.toUpperCase(),
  );
}

/** What the scores are of, and the table; null where there are none. */
export function gaze(run, state, image, second) {
  const { scores, of } = scoresShown(run, state, image);
  // B is told of the class that A shows, so that a row is of one class.
  const asked = of ? { ...state, target: of } : state;
  const other = second && !second.refused ? scoresShown(run, asked, second).scores : undefined;
  const table = scoreTable(run, scores, other);
  if (!table) return null;
  const single = run.task === "classification";
  const words = single
    ? "Scores of the map of the labelled class."
    : of
      ? `Scores of the map of ${labelled(of)}.`
      : "Means over the image's own classes, of which the one that is shown is none.";
  return [h("p", { class: "quiet" }, words), table];
}

/** Scores of the image, a row a score and a column a method; with B's beside A's. */
function scoreTable(run, scores, other) {
  const methods = Object.keys(scores);
  const names = [...new Set(methods.flatMap((method) => Object.keys(scores[method])))];
  if (!names.length) return null;
  const columns = methods.flatMap((method) => [
    { title: methodName(run, method), letter: other ? "A" : "", values: scores[method] },
    ...(other
      ? [{ title: methodName(run, method), letter: "B", values: other[method] ?? {} }]
      : []),
  ]);
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores of the map" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Score"),
          columns.map(({ title, letter }) =>
            h("th", { scope: "col", class: "n" }, letter && h("b", {}, `${letter} `), title),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        names.map((name) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, titled(name)),
            columns.map(({ values }) => h("td", { class: "n" }, number(values[name]))),
          ),
        ),
      ),
    ),
  );
}

/** The check of the background, made when it is asked for. */
export function backgroundCheck(of, region, signal) {
  const place = h("div");
  if (!region.present) {
    place.append(h("p", { class: "quiet" }, "It needs a region, which this image lacks."));
    return place;
  }
  const ask = async () => {
    place.replaceChildren(loading("Exchanging the background …"));
    try {
      place.replaceChildren(backgrounds(await get("background", of, signal)));
    } catch (error) {
      if (!dropped(error)) place.replaceChildren(refused(error, ask));
    }
  };
  place.append(
    h(
      "p",
      { class: "quiet" },
      "Does the answer stay when everything outside the region is another background?",
    ),
    button("Exchange the background", ask),
  );
  return place;
}

function backgrounds(answer) {
  const { probability, predicted, swapped, label } = answer;
  const row = (how, value, class_) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, how),
      h("td", { class: "n" }, percent(value)),
      h("td", {}, class_ === undefined ? "" : labelled(class_)),
    );
  return h(
    "table",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Background"),
        h(
          "th",
          { scope: "col", class: "n" },
          label === undefined ? "Probability" : `P(${labelled(label)})`,
        ),
        h("th", { scope: "col" }, "Predicted"),
      ),
    ),
    h(
      "tbody",
      {},
      row("its own", probability, predicted),
      swapped.map((one) => row(worded(one.how), one.probability, one.predicted)),
    ),
  );
}
