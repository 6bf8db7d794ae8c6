// Of a segmenter: the map of a pixel that is clicked, and the mask that was predicted.

import { change, read } from "./address.js";
import { field, h } from "./elements.js";

/** The chosen pixel as [x, y] in 0 to 1, or null. */
export function pixelOf(state) {
  const [x, y] = (state.pixel ?? "").split(",").map(Number);
  return Number.isFinite(x) && Number.isFinite(y) && state.pixel ? [x, y] : null;
}

const choose = (x, y) =>
  change({
    pixel: [x, y].map((value) => Math.min(0.9999, Math.max(0, value)).toFixed(4)).join(","),
  });

/** Clicks on a stack, and the mark where the pixel is. */
export function pixelPicker(stack) {
  const mark = h("span", { class: "pixel", hidden: true, "aria-hidden": "true" });
  stack.element.append(mark);
  stack.element.classList.add("pick");
  stack.element.addEventListener("click", (event) => {
    const frame = stack.element.getBoundingClientRect();
    choose((event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height);
  });
  return (state) => {
    const pixel = pixelOf(state);
    mark.hidden = !pixel;
    if (pixel) {
      mark.style.setProperty("left", `${100 * pixel[0]}%`);
      mark.style.setProperty("top", `${100 * pixel[1]}%`);
    }
  };
}

/** The same by keyboard, and whether the predicted mask is shown. */
export function pixelBar() {
  const numbers = ["across", "down"].map(() =>
    h("input", { type: "number", min: "0", max: "100", step: "any" }),
  );
  numbers.forEach((input) =>
    input.addEventListener("change", () =>
      choose(...numbers.map((one) => Number(one.value || 50) / 100)),
    ),
  );
  const mask = h("input", {
    type: "checkbox",
    onchange: () => change({ mask: mask.checked ? "1" : "" }),
  });
  const clear = h(
    "button",
    { type: "button", onclick: () => change({ pixel: "" }) },
    "Map of the class again",
  );
  const said = h("p", { class: "quiet", role: "status" });
  const bar = h(
    "div",
    { class: "bar looks", role: "group", "aria-label": "Pixel and mask" },
    field("Pixel, % across", numbers[0]),
    field("% down", numbers[1]),
    clear,
    h("label", { class: "check" }, mask, "Predicted mask"),
    said,
  );
  const update = (state) => {
    const pixel = pixelOf(state);
    numbers.forEach((input, place) => (input.value = pixel ? (100 * pixel[place]).toFixed(1) : ""));
    clear.hidden = !pixel;
    mask.checked = state.mask === "1";
    if (!pixel) said.textContent = "Click into the photo for the map of one pixel.";
  };
  return {
    bar,
    update,
    hear: (name) => read().pixel && (said.textContent = `This pixel is taken for ${name}.`),
  };
}
