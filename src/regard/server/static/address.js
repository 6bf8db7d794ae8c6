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
/** The address that the page shows. */
let here = null;

function tell() {
  here = href(read());
  listeners.forEach((listener) => listener(read()));
}

/** Call a listener with each new state, the present one first. */
export function follow(listener) {
  if (!listeners.size) addEventListener("popstate", stepped);
  listeners.add(listener);
  here = href(read());
  listener(read());
}

/** Back, forward, a link, or an address that was typed. */
function stepped() {
  const next = read();
  if (held(next)) history.pushState(null, "", here);
  else tell();
}

/** Go to a state, as a step that can be taken back. */
export function go(state) {
  const next = href(state);
  if (next === href(read()) || held(state)) return;
  history.pushState(null, "", next);
  tell();
}

/** Change the state without a step of its own: a slider's many values. */
export function amend(changes, { quiet = false } = {}) {
  history.replaceState(null, "", href({ ...read(), ...changes }));
  if (quiet) here = href(read());
  else tell();
}

/** Go on from the present state. */
export const change = (changes) => go({ ...read(), ...changes });

let guard = null;

/**
 * Until the signal says stop: a step to a state that `minds(state)` is taken only once `agreed()`, a
 * promise, is true.
 */
export function mind(minds, agreed, signal) {
  const own = (guard = { minds, agreed, signal, asking: false });
  signal.addEventListener("abort", () => guard === own && (guard = null));
  document.addEventListener(
    "click",
    (event) => {
      const link = event.target.closest('a[href^="#/"]');
      const aside = event.button || event.ctrlKey || event.metaKey || event.shiftKey;
      if (link && !aside && held(read(link.hash))) event.preventDefault();
    },
    { signal },
  );
}

/** Whether a step has to wait; it is taken where that is agreed to. */
function held(state) {
  const own = guard;
  if (!own?.minds(state)) return false;
  if (own.asking) return true;
  own.asking = true;
  own.agreed().then((yes) => {
    own.asking = false;
    if (!yes) return;
    guard = null;
    go(state);
    // The view may go on with another state.
    if (!own.signal.aborted) guard ??= own;
  });
  return true;
}
