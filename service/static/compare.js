/** The same sentence by another model, beside the first; what differs is marked. */

import * as api from "./api.js";
import { marked } from "./candidates.js";
import { differing } from "./diff.js";
import { byId, element } from "./element.js";
import { explain } from "./message.js";
import { percent } from "./question.js";
import { strings } from "./strings.js";

export class Compare {
  #running = null;
  #at = null;
  #models = []; // { name, version } of those that are not the one in use

  constructor(page) {
    this.page = page;
    this.columns = byId("compare-columns");
    this.select = byId("compare-model");
    this.select.addEventListener("change", () => this.#ask());
  }

  set models(models) {
    this.#models = models;
    this.select.replaceChildren(
      ...models.map(({ name, version }, index) =>
        element("option", { value: String(index), textContent: strings().made_by(name, version) }),
      ),
    );
  }

  close() {
    this.#running?.abort();
    this.columns.replaceChildren();
  }

  open(result, index) {
    this.#at = { result, index };
    this.page.beside(null);
    this.#ask();
  }

  async #ask() {
    this.#running?.abort();
    this.#running = new AbortController();
    const other = this.#models[Number(this.select.value)];
    const { result, index } = this.#at;
    if (!other) return;
    const origin = { text: result.sourceOf(index), model: other.name, version: other.version };
    const body = { ...this.page.body(), texts: [origin.text], model: other.name, version: other.version };
    try {
      const answer = await api.translate({ ...body, return: api.PARTS }, this.#running.signal);
      const theirs = result.place(index, whole(answer.results[0]), { origin });
      theirs.model = answer.model;
      const ours = result.sentences[index];
      ours.model = this.page.model();
      this.columns.replaceChildren(this.#column(ours, theirs, true), this.#column(theirs, ours, false));
    } catch (problem) {
      if (problem.name === "AbortError") return;
      if (!(problem instanceof api.Problem)) throw problem;
      this.columns.replaceChildren(element("p", { className: "error", textContent: explain(problem) }));
    }
  }

  #column(sentence, other, ours) {
    const table = strings();
    const { name, version } = sentence.model;
    const radio = element("input", { type: "radio", name: "compared", checked: ours });
    radio.addEventListener("change", () => this.page.beside(ours ? null : sentence));
    const text = element("p", { className: "compared-text", dir: "auto", lang: this.page.body().target, translate: false });
    text.append(...marked(sentence, differing(other.names.target, sentence.names.target)));
    const told = [];
    if (Number.isFinite(sentence.confidence)) told.push(table.confidence(percent(sentence.confidence)));
    if (Number.isFinite(sentence.perplexity)) told.push(table.perplexity(sentence.perplexity.toFixed(2)));
    return element(
      "div",
      { className: "compared" },
      element("label", {}, radio, element("span", { textContent: table.made_by(name, version) })),
      text,
      element("p", { className: "muted", textContent: told.join(" · ") }),
    );
  }
}

/** The one sentence of an answer; another model may cut the text elsewhere, so the first stands for all. */
const whole = ({ sentences }) => sentences[0];
