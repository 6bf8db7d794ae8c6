// The gallery's keys: one image has the focus, arrows move it, over the ends of a page too.

/**
 * Arrow keys over links that lie in rows.
 *
 * `links()` are in order; `beyond(-1 | 1, by)` is called where a key leads over an end.
 */
export function roving(place, links, beyond) {
  const focus = (link) => {
    links().forEach((other) => (other.tabIndex = other === link ? 0 : -1));
    link?.focus();
  };
  place.addEventListener("focusin", ({ target }) => {
    const link = target.closest("a");
    if (link) links().forEach((other) => (other.tabIndex = other === link ? 0 : -1));
  });
  place.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const all = links();
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    if (event.key === "PageDown" || event.key === "PageUp") {
      event.preventDefault();
      return void beyond(event.key === "PageDown" ? 1 : -1);
    }
    const to = target(event.key, at, all);
    if (to === null) return;
    event.preventDefault();
    if (to >= 0 && to < all.length) focus(all[to]);
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") beyond(to < 0 ? -1 : 1);
  });
  return {
    focus,
    start: (at) => links().forEach((link, place_) => (link.tabIndex = place_ === at ? 0 : -1)),
  };
}

function target(key, at, all) {
  const wide = columns(all);
  const moves = {
    ArrowLeft: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at - wide,
    ArrowDown: at + wide,
    Home: 0,
    End: all.length - 1,
  };
  if (!(key in moves)) return null;
  const last = all.length - 1;
  const below = Math.floor(at / wide) < Math.floor(last / wide);
  return key === "ArrowDown" && moves[key] > last && below ? last : moves[key];
}

/** How many lie in the first row. */
function columns(all) {
  const top = all[0].getBoundingClientRect().top;
  const next = all.findIndex((link) => link.getBoundingClientRect().top > top + 2);
  return next < 0 ? all.length : next;
}
