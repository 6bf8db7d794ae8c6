// Elements without markup: whatever is shown goes in as text.

const SVG = "http://www.w3.org/2000/svg";

/** An element; `on*` are listeners, `style` goes through the CSSOM, the rest are attributes. */
export function h(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** The same for a drawing. */
export function s(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

function fill(element, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") restyle(element, value);
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(
    ...children
      .flat(Infinity)
      .filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** Set styles, custom properties too. */
export function restyle(element, styles) {
  for (const [key, value] of Object.entries(styles)) element.style.setProperty(key, value);
  return element;
}

let numbers = 0;

/** A label above a control. */
export function field(label, control, more = {}) {
  control.id ||= `f${++numbers}`;
  return h(
    "div",
    { ...more, class: `field ${more.class ?? ""}` },
    h("label", { for: control.id }, label),
    control,
  );
}

/** A select of [value, text] pairs, or of {group, options} of which none can be chosen. */
export function select(options, value, onchange) {
  const made = h("select", { onchange: () => onchange(made.value) });
  refill(made, options, value);
  return made;
}

/** Other options in a select, only if they differ: an open list stays open. */
export function refill(made, options, value) {
  const now = JSON.stringify(options);
  if (made.options_ !== now) {
    made.options_ = now;
    made.replaceChildren(...options.map(option));
  }
  made.value = value;
}

function option(one) {
  if (Array.isArray(one)) return h("option", { value: one[0] }, one[1]);
  const shown = one.options.map((text) => h("option", { disabled: true }, text));
  return h("optgroup", { label: one.group }, shown);
}

/** A button with text. */
export function button(text, onclick, more = {}) {
  return h("button", { type: "button", ...more, onclick }, text);
}

/** Draw a part of the page anew; what has the focus in it keeps it, by its name. */
export function redraw(place, draw) {
  const name = (element) => element.getAttribute("aria-label") || element.textContent || element.id;
  const had = place.contains(document.activeElement) ? name(document.activeElement) : null;
  draw();
  if (had !== null)
    [...place.querySelectorAll("a, button, input, select")]
      .find((element) => name(element) === had)
      ?.focus();
}

/** Say something to those who listen rather than look. */
export function say(text) {
  document.getElementById("said").textContent = text;
}
