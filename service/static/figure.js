/** The links or the attention of one sentence as ribbons and as a matrix, how they are shown, and how to read them. */

import { choose } from "./controls.js";
import { byId } from "./element.js";
import { Lines } from "./lines.js";
import { Matrix } from "./matrix.js";
import { preference, remember } from "./memory.js";
import { percent } from "./question.js";
import { onWanted, want, wanted } from "./shown.js";
import { stringsFor } from "./strings.js";

export class Figure {
  constructor(light, onPick) {
    this.lines = new Lines(byId("lines"), light, onPick);
    this.matrix = new Matrix(byId("matrix"), byId("numbers"), light, onPick);
    this.matrix.set({ transposed: preference("transposed") === "yes", endMark: preference("end_mark") !== "no" });
    this.matrix.onCrop = (crop) => {
      byId("uncrop").hidden = !crop;
    };
    choose("show", wanted(), (value) => {
      want(value);
      light.repaint(); // what is lit is lit by other weights now
    });
    onWanted(() => this.show(this.sentence, this.index, this.languages));
    this.#button("transpose", "transposed", () => !this.matrix.options.transposed);
    this.#button("end-mark", "end_mark", () => !this.matrix.options.endMark);
    byId("uncrop").addEventListener("click", () => {
      this.matrix.crop(null);
      this.matrix.container.focus();
    });
    for (const radio of document.querySelectorAll("[name=zoom]")) {
      radio.addEventListener("change", () => {
        this.matrix.set({ zoom: radio.value });
      });
    }
  }

  /** @param {number} index its number for the light */
  show(sentence, index, languages) {
    Object.assign(this, { sentence, index, languages });
    byId("figure").hidden = !sentence?.linked;
    if (!sentence?.linked) return;
    byId("showing").hidden = !sentence.agreement;
    this.lines.show(sentence, index, languages);
    this.matrix.show(sentence, index);
    const zoom = this.matrix.layout?.zoom ?? "fit";
    document.querySelector(`[name=zoom][value=${zoom}]`).checked = true;
    this.#describe();
  }

  #button(id, key, next) {
    const button = byId(id);
    const option = key === "transposed" ? "transposed" : "endMark";
    const press = () => button.setAttribute("aria-pressed", String(this.matrix.options[option]));
    press();
    button.addEventListener("click", () => {
      const value = next();
      this.matrix.set({ [option]: value });
      remember(key, value ? "yes" : "no");
      press();
      this.#describe();
    });
  }

  #describe() {
    const table = stringsFor(this.sentence?.shows);
    for (const note of document.querySelectorAll("[data-shown]")) note.textContent = table[note.dataset.shown];
    byId("end-mark").title = table.end_mark_note;
    byId("axes").textContent = table[this.matrix.options.transposed ? "axes_transposed" : "axes"];
    const { confidence, perplexity } = this.sentence ?? {};
    const told = [];
    if (Number.isFinite(confidence)) told.push(table.confidence(percent(confidence)));
    if (Number.isFinite(perplexity)) told.push(table.perplexity(perplexity.toFixed(2)));
    byId("confidence").textContent = told.join(" · ");
  }
}
