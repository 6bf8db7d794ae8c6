// Which view is shown, and the trail that leads to it.

import { follow } from "./address.js";
import { correctView } from "./correct.js";
import { galleryView } from "./gallery.js";
import { imageView } from "./image.js";
import { dropped, loading, refused } from "./notices.js";
import { overviewView } from "./overview.js";
import { ownView } from "./own.js";
import { runView } from "./run.js";
import { known } from "./known.js";
import { lost, trail } from "./trail.js";

const VIEWS = {
  overview: overviewView,
  run: runView,
  gallery: galleryView,
  image: imageView,
  own: ownView,
  correct: correctView,
};

const main = document.getElementById("main");
let shown = null;

/** Keep the view where only its state changes; otherwise close it and open the next. */
async function show(state) {
  const view = VIEWS[state.view] ? state.view : "overview";
  const key = JSON.stringify([
    view,
    ...(view === "overview" ? [] : [state.run, view === "own" ? "" : state.split]),
  ]);
  if (shown?.key === key) return changed(state);
  const first = main.querySelector("h1") === null;
  shown?.stop.abort();
  shown?.view?.close?.();
  const opened = (shown = { key, state, stop: new AbortController(), view: null });
  const { signal } = opened.stop;
  main.setAttribute("aria-busy", "true");
  const wait = setTimeout(() => main.replaceChildren(loading("Reading the folder …")), 150);
  try {
    const overview = await known.overview(signal, { fresh: view === "overview" });
    const run = view === "overview" ? null : await known.run(state.run ?? ".", signal);
    clearTimeout(wait);
    if (shown !== opened) return;
    Object.assign(opened, { overview, run });
    trail(opened.state, overview, run);
    main.className = view;
    main.removeAttribute("aria-busy");
    main.replaceChildren();
    scrollTo(0, 0);
    if (!first) main.focus({ preventScroll: true });
    opened.view = VIEWS[view]({ main, state: opened.state, overview, run, signal });
  } catch (error) {
    clearTimeout(wait);
    if (dropped(error) || shown !== opened) return;
    shown = null;
    main.removeAttribute("aria-busy");
    lost();
    main.replaceChildren(refused(error, () => show(state)));
  }
}

/** Another state of the same view; one that is still opening begins with it. */
function changed(state) {
  shown.state = state;
  if (!shown.view) return;
  trail(state, shown.overview, shown.run);
  shown.view.update?.(state);
}

/** The content is no address of its own: its view would be lost. */
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
  main.scrollIntoView();
});

follow(show);
