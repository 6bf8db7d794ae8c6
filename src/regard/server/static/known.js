// Answers that several views need.

import { get } from "./api.js";

let overview = null;

export const known = {
  /** The overview as it was last seen. */
  async overview(signal, { fresh = false } = {}) {
    if (fresh || !overview) overview = await get("overview", {}, signal);
    return overview;
  },

  /** A run as it is now: one that is done may be evaluated, or trained again. */
  run: (id, signal) => get("run", { run: id }, signal),
};
