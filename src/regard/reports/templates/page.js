"use strict";
for (const gallery of document.querySelectorAll(".gallery")) {
  const show = () => {
    const opacity = gallery.querySelector(".opacity");
    if (opacity !== null) gallery.style.setProperty("--map", opacity.value / 100);
    const outlines = gallery.querySelector(".outlines");
    gallery.classList.toggle("bare", outlines !== null && !outlines.checked);
  };
  gallery.addEventListener("input", show);
  show();
}

// A picture enlarged: closed by Escape, a click, or its button; focus goes back to where it was.
const large = document.getElementById("large");
let opener = null;
document.addEventListener("click", (event) => {
  const stack = event.target.closest(".gallery .stack");
  if (stack) {
    const copy = stack.cloneNode(true);
    copy.title = document.body.dataset.close;
    const [width, height] = copy.style.aspectRatio.split("/").map(Number);
    copy.style.width = `min(94vw, ${(82 * width) / height}vh)`;
    const gallery = stack.closest(".gallery");
    large.style.setProperty("--map", gallery.style.getPropertyValue("--map"));
    large.classList.toggle("bare", gallery.classList.contains("bare"));
    large.querySelector("div").replaceChildren(copy);
    opener = stack;
    large.showModal();
  } else if (large.open && event.target.closest("dialog")) {
    large.close();
  }
});
large.addEventListener("close", () => {
  large.querySelector("div").replaceChildren();
  opener?.focus();
});

// Tables are sorted by a button in each head: upward, downward, and as they were.
const point = document.documentElement.lang === "fr" ? "," : ".";
const thousands = document.documentElement.lang === "fr" ? /[\u202f\u00a0 ](?=\d)/g : /,(?=\d{3})/g;
const powers = { k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15 };
const numberOf = (text) => {
  const plain = text.replace(/[−‑]/g, "-").replace(thousands, "").replace(point, ".");
  if (/^[+-]?∞/.test(plain)) return plain.startsWith("-") ? -Infinity : Infinity;
  const found = plain.match(/^(<)?\s*([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)[\s\u00a0]*([kMGTP])?/);
  if (!found) return null;
  return Number(found[2]) * (powers[found[3]] ?? 1) * (found[1] ? 0.999 : 1);
};
const said = (cell) => {
  const copy = cell.cloneNode(true);
  for (const part of copy.querySelectorAll("small, .sign, .unseen, .whisker")) part.remove();
  return copy.textContent.trim();
};
const valueOf = (cell, numeric) => {
  const text = said(cell);
  const dot = cell.querySelector(".whisker:not(.pale) .dot");
  if (text === "" && dot) return Number.parseFloat(dot.style.left);
  if (text === "" || text === "–") return null;
  return numeric ? numberOf(text) : text;
};
const compared = (one, other) =>
  typeof one === "number" ? one - other : one.localeCompare(other, document.documentElement.lang, { numeric: true });
for (const table of document.querySelectorAll("table.sorted")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  if (rows.length < 2) continue;
  const heads = [...table.tHead.rows[0].cells];
  const sort = (place) => {
    const head = heads[place];
    const next = { none: "ascending", ascending: "descending", descending: "none" }[head.ariaSort];
    for (const one of heads) if (one.ariaSort) one.ariaSort = "none";
    head.ariaSort = next;
    if (next === "none") return body.replaceChildren(...rows);
    const numeric = head.classList.contains("n") || rows.every((row) => said(row.cells[place]) === "");
    const valued = rows.map((row) => [row, valueOf(row.cells[place], numeric)]);
    const known = valued.filter(([, value]) => value !== null);
    const way = next === "ascending" ? 1 : -1;
    known.sort((one, other) => way * compared(one[1], other[1]));
    const missing = valued.filter(([, value]) => value === null);
    body.replaceChildren(...[...known, ...missing].map(([row]) => row));
  };
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    if (head.querySelector("a") === null && head.textContent.trim() !== "") {
      button.replaceChildren(...head.childNodes);
    } else {
      const name = head.textContent.trim() || table.getAttribute("aria-label");
      button.setAttribute("aria-label", document.body.dataset.sort.replace("{column}", name));
    }
    head.append(button);
    head.ariaSort = "none";
    button.addEventListener("click", () => sort(place));
  });
}
