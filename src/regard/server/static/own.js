// An image of one's own: dropped, pasted or chosen; what the net says and where it looks.

import { change, go } from "./address.js";
import { post } from "./api.js";
import { bars } from "./bars.js";
import { field, h, redraw, restyle, say, select } from "./elements.js";
import { dress, looksBar, segments, takesOwn } from "./looks.js";
import { dropped, loading, nothing, refused } from "./notices.js";
import { Stack } from "./stack.js";
import { bytes, labelled } from "./words.js";

const TYPES = "image/jpeg,image/png,image/webp,image/bmp,image/tiff,image/gif";

export const ownView = (opened) => new OwnView(opened);

class OwnView {
  constructor({ main, state, run, overview, signal }) {
    Object.assign(this, { main, run, overview, signal, file: null });
    this.looks = looksBar(run, { own: true });
    this.input = h("input", {
      type: "file",
      accept: TYPES,
      class: "unseen",
      id: "own-file",
      onchange: () => this.#take(this.input.files[0]),
    });
    const limit = overview.limits?.upload_bytes;
    this.zone = h(
      "div",
      { class: "zone" },
      this.input,
      h("label", { for: "own-file", class: "main" }, "Choose an image"),
      h("p", {}, "or drop one anywhere on this page, or paste one."),
      h(
        "p",
        { class: "quiet" },
        `It goes to this server alone and is not stored.${limit ? ` At most ${bytes(limit)}.` : ""}`,
      ),
    );
    this.result = h("div", { class: "result" });
    main.append(
      h("h1", {}, "Your own image"),
      h("div", { class: "bar row" }, this.#runs(state)),
      takesOwn(run)
        ? this.zone
        : nothing("This run looks at several views of a sample, and a photo alone is one of them."),
      this.result,
    );
    if (!takesOwn(run)) return;
    this.#listen(main, signal);
    this.update(state);
  }

  #runs(state) {
    const rows = this.overview.runs.filter(
      (row) => row.kind === "run" && row.state !== "new" && (takesOwn(row) || row.id === state.run),
    );
    return field(
      "Run",
      select(
        rows.map(({ id, name, study }) => [id, study ? id : name]),
        state.run ?? ".",
        (run) => {
          carried = this.file;
          go({ view: "own", run, opacity: state.opacity });
        },
      ),
    );
  }

  #listen(main, signal) {
    const over = (event) => {
      event.preventDefault();
      this.zone.classList.toggle("over", event.type === "dragover");
    };
    document.addEventListener("dragover", over, { signal });
    document.addEventListener("dragleave", over, { signal });
    document.addEventListener(
      "drop",
      (event) => {
        over(event);
        this.#take(event.dataTransfer.files[0]);
      },
      { signal },
    );
    document.addEventListener("paste", (event) => this.#take(event.clipboardData.files[0]), {
      signal,
    });
  }

  #take(file) {
    if (!file) return;
    this.input.value = "";
    const most = this.overview.limits?.upload_bytes;
    if (most && file.size > most) {
      this.result.replaceChildren(
        refused(
          new Error(
            `An image of at most ${bytes(most)} was expected, ${file.name} has ${bytes(file.size)}: send a smaller copy`,
          ),
        ),
      );
      return;
    }
    this.file = file;
    if (this.state.target) change({ target: "" });
    else this.#ask();
  }

  update(state) {
    if (!takesOwn(this.run)) return;
    const asked = JSON.stringify([state.method, state.target]);
    this.state = state;
    this.looks.update(state);
    dress(this.main, state);
    if (carried) [this.file, carried] = [carried, null];
    if (this.file && asked !== this.asked) this.#ask();
    this.asked = asked;
  }

  async #ask() {
    const { file, state, run } = this;
    this.stop?.abort();
    this.stop = new AbortController();
    const signal = AbortSignal.any([this.signal, this.stop.signal]);
    const wait = setTimeout(() => this.result.prepend(loading("Asking the net …")), 200);
    try {
      const target = state.target || (segments(run) ? run.classes[0] : "predicted");
      const answer = await post(
        "upload",
        { run: run.id, method: state.method || run.method, target },
        file,
        signal,
      );
      clearTimeout(wait);
      this.#show(file, answer);
    } catch (error) {
      clearTimeout(wait);
      if (dropped(error)) return;
      if (file.name) error.message = error.message.replace(/^the image\b/, () => file.name);
      this.result.replaceChildren(refused(error, () => this.#ask()));
    }
  }

  #show(file, answer) {
    const stack = new Stack({ alt: `${file.name}, under its map` });
    restyle(stack.element, {
      "aspect-ratio": `${answer.width} / ${answer.height}`,
      "--ratio": answer.width / answer.height,
    });
    stack.put("picture", answer.picture);
    if (answer.map) stack.put("map", answer.map, { zero: answer.peak === 0 });
    const first = answer.predicted ?? answer.probabilities[0]?.class;
    const pick = (name) => change({ target: name === this.state.target ? "" : name });
    const rows = bars(answer.probabilities, {
      target: this.state.target || answer.target || first,
      pick,
    });
    redraw(this.result, () =>
      this.result.replaceChildren(
        h("h2", { class: "of-file" }, file.name || "Pasted image"),
        this.looks.bar,
        h(
          "div",
          { class: "bench" },
          h("div", { class: "photos" }, h("figure", {}, stack.element)),
          h(
            "div",
            { class: "aside" },
            h(
              "section",
              {},
              h("h2", {}, "Prediction"),
              segments(this.run) &&
                h("p", { class: "quiet" }, "Shares of the pixels that are taken for each class."),
              rows,
              h(
                "p",
                { class: "quiet" },
                `${answer.width} × ${answer.height} pixels, ${answer.seconds.toFixed(2)} s. Nothing was stored.`,
              ),
            ),
          ),
        ),
      ),
    );
    say(`${file.name}: ${labelled(first)}`);
  }
}

/** The image goes along when another run is asked. */
let carried = null;
