// The whole state of the page is in its address: `#/VIEW?key=value`.

/** The state in an address; all values are texts. */
export function read(hash = location.hash) {
  const [, view = "overview", query = ""] = /^#\/([a-z]*)\??(.*)$/.exec(hash) ?? [];
  return { view: view || "overview", ...Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a state. What is empty is left out. */
export function href({ view, ...rest }) {
  const kept = Object.entries(rest).filter(
    ([, value]) => value !== "" && value !== null && value !== undefined,
  );
  const query = new URLSearchParams(kept.map(([key, value]) => [key, String(value)])).toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

const listeners = new Set();
const tell = () => listeners.forEach((listener) => listener(read()));

/** Call a listener with each new state, the present one first. */
export function follow(listener) {
  if (!listeners.size) addEventListener("popstate", tell);
  listeners.add(listener);
  listener(read());
}

/** Go to a state, as a step that can be taken back. */
export function go(state) {
  const next = href(state);
  if (next === href(read())) return;
  history.pushState(null, "", next);
  tell();
}

/** Change the state without a step of its own: a slider's many values. */
export function amend(changes, { quiet = false } = {}) {
  history.replaceState(null, "", href({ ...read(), ...changes }));
  if (!quiet) tell();
}

/** Go on from the present state. */
export const change = (changes) => go({ ...read(), ...changes });
