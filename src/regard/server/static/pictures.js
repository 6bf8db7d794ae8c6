// Pictures come a few at a time; those that are out of sight give way.

import { picture, Refusal } from "./api.js";

const TOGETHER = { picture: 6, region: 4, map: 2, pixel: 2, prediction: 2 };
const PATIENCE = [400, 1000, 2500, 5000, 10000];
const waiting = [];
const running = {};

/** A promise of {url, headers}; whoever asked gives the URL back with `URL.revokeObjectURL`. */
export function load(name, parameters, signal) {
  return new Promise((resolve, reject) => {
    waiting.push({ name, parameters, signal, resolve, reject });
    next();
  });
}

function next() {
  for (let place = 0; place < waiting.length; place++) {
    const job = waiting[place];
    if (job.signal?.aborted) {
      waiting.splice(place--, 1);
      job.reject(stopped());
    } else if ((running[job.name] ?? 0) < (TOGETHER[job.name] ?? 2)) {
      waiting.splice(place--, 1);
      start(job);
    }
  }
}

async function start(job) {
  running[job.name] = (running[job.name] ?? 0) + 1;
  try {
    const { blob, headers } = await patiently(job);
    job.resolve({ url: URL.createObjectURL(blob), headers });
  } catch (error) {
    job.reject(error);
  } finally {
    running[job.name]--;
    next();
  }
}

/** Again after a while where the server has too much to do. */
async function patiently({ name, parameters, signal }) {
  for (let turn = 0; ; turn++) {
    try {
      return await picture(name, parameters, signal);
    } catch (error) {
      const busy = error instanceof Refusal && (error.status === 429 || error.status === 503);
      if (!busy || turn === PATIENCE.length) throw error;
      await pause(PATIENCE[turn], signal);
    }
  }
}

function pause(time, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, time);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(stopped());
    });
  });
}

const stopped = () => new DOMException("no longer wanted", "AbortError");
