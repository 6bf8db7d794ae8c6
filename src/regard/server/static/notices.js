// What a view says of itself: that it is loading, that there is nothing, that it was refused.

import { useToken } from "./api.js";
import { button, field, h, say } from "./elements.js";

/** A line with a bar that moves, shown only if it takes a while. */
export const loading = (text) =>
  h("p", { class: "loading" }, h("i", { class: "spin", "aria-hidden": "true" }), text);

/** A refusal's one line; where a token is wanted, a place for it. */
export function refused(error, again) {
  const line = h("p", { class: "notice refused", role: "alert" }, marked(error.message));
  if (error.status === 401) return h("div", {}, line, tokenForm(again));
  return again ? h("div", {}, line, button("Try again", again)) : line;
}

function tokenForm(again) {
  const input = h("input", {
    type: "password",
    autocomplete: "current-password",
    required: true,
    size: "32",
  });
  const submit = (event) => {
    event.preventDefault();
    useToken(input.value);
    again?.();
  };
  return h(
    "form",
    { class: "row", onsubmit: submit },
    field("Token", input),
    h("button", { class: "main" }, "Open"),
  );
}

/** Nothing to see, and what to do about it. */
export const nothing = (text, ...more) =>
  h("div", { class: "nothing" }, h("p", {}, ...marked(text)), ...more);

/** Text with what stands in backticks as code. */
export function marked(text) {
  return text
    .split("`")
    .map((part, place) => (place % 2 ? h("code", {}, part) : part))
    .filter((part) => part !== "");
}

/** A command with a button that copies it. */
export function command(text) {
  const copy = button("Copy", async () => {
    const done = await navigator.clipboard?.writeText(text).then(
      () => true,
      () => false,
    );
    copy.textContent = done ? "Copied" : "Press Ctrl-C";
    if (!done) getSelection().selectAllChildren(code);
    say(copy.textContent);
  });
  const code = h("code", { tabindex: "0" }, text);
  return h("div", { class: "command" }, code, copy);
}

/** A question over the page: a promise of whether the answer was `yes`. */
export function agreed(question, yes, no) {
  return new Promise((resolve) => {
    const end = (answer) => {
      dialog.close();
      dialog.remove();
      // At once, and not when the dialog tells that it was closed: by then another step may be asked for.
      resolve(answer);
    };
    const dialog = h(
      "dialog",
      { "aria-label": question, oncancel: () => end(false) },
      h("p", {}, question),
      h(
        "p",
        { class: "row" },
        button(no, () => end(false), { class: "main", autofocus: true }),
        button(yes, () => end(true)),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Whether an error only says that nobody waits any more. */
export const dropped = (error) => error.name === "AbortError";
