// Answers that several views need, asked for once.

import { get } from "./api.js";

const runs = new Map();
let overview = null;

export const known = {
  /** The overview as it was last seen. */
  async overview(signal, { fresh = false } = {}) {
    if (fresh || !overview) overview = await get("overview", {}, signal);
    return overview;
  },

  /** A run; one that is not done is asked for each time. */
  async run(id, signal) {
    if (!runs.has(id)) {
      const run = await get("run", { run: id }, signal);
      const state = overview?.runs.find((row) => row.id === id)?.state;
      if (state !== "done") return run;
      runs.set(id, run);
    }
    return runs.get(id);
  },
};
