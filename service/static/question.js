/** A word put in question: how sure the model was, what else it might have said, and the sentence begun otherwise. */

import * as api from "./api.js";
import { announce, byId, element } from "./element.js";
import { explain } from "./message.js";
import { strings } from "./strings.js";
import { isolated } from "./text.js";

const OFFERED = 6;

export class Question {
  #asked = null; // { index, row }
  #running = null; // AbortController
  #changed = null; // { index, count } of the change that can be undone

  /**
   * @param {import("./light.js").Light} light
   * @param {{result: () => import("./result.js").Result | null, body: () => object, redo: (index: number, prefix: string)
   *   => Promise<void>, undo: (index: number) => void}} page
   */
  constructor(light, page) {
    Object.assign(this, { light, page });
    light.join(this);
    byId("beginning").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#redo(byId("beginning-text").value);
    });
    byId("undo").addEventListener("click", () => page.undo(this.#changed.index));
  }

  paint(index, glow, pinned) {
    const result = this.page.result();
    const row = pinned && glow.column === null && index < this.light.beside ? glow.row : null;
    const token = row === null ? null : result?.sentences[index]?.target[row];
    if (!token?.span) this.close();
    else if (this.#asked?.index !== index || this.#asked?.row !== row) this.#open(index, row);
  }

  close() {
    this.#running?.abort();
    this.#asked = null;
    byId("question").hidden = true;
  }

  /** Says that a sentence is no longer the model's own; null when none is. */
  tellChange(change) {
    this.#changed = change;
    byId("change").hidden = !change;
    if (change) byId("change-text").textContent = strings().changed(change.count);
  }

  async #open(index, row) {
    this.#running?.abort();
    this.#running = new AbortController();
    this.#asked = { index, row };
    const { signal } = this.#running;
    const table = strings();
    const result = this.page.result();
    const sentence = result.sentences[index];
    const prefix = sentence.before(row);
    const probability = sentence.probability(row);
    byId("sureness").textContent =
      probability === null ? "" : table.sure(isolated(sentence.names.target[row]), percent(probability));
    byId("beginning-text").value = prefix;
    byId("beginning-text").lang = this.page.body().target;
    const choices = byId("choices");
    choices.replaceChildren(element("span", { className: "muted", textContent: table.asking }));
    byId("question").hidden = false;
    try {
      const { source, target } = this.page.body();
      const text = result.sourceOf(index);
      const { alternatives } = await api.alternatives({ text, source, target, target_prefix: prefix, count: OFFERED }, signal);
      const own = sentence.names.target[row];
      choices.replaceChildren(...alternatives.map((choice) => this.#choice(choice, choice.text === own)));
      if (alternatives.length === 0) choices.replaceChildren(element("span", { className: "muted", textContent: table.no_choice }));
      const others = alternatives.filter((choice) => choice.text !== own).map((choice) => choice.text || table.end_of_sentence);
      announce(`${byId("sureness").textContent} ${others.join(", ") || table.no_choice}`);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      if (!(problem instanceof api.Problem)) throw problem;
      choices.replaceChildren(element("span", { className: "error", textContent: explain(problem) }));
    }
  }

  #choice({ text, probability, prefix }, own) {
    const button = element(
      "button",
      { type: "button", className: "choice", disabled: own || text === "" },
      element("bdi", { textContent: text || strings().end_of_sentence, translate: false }),
      element("span", { className: "share", textContent: percent(probability) }),
    );
    button.style.setProperty("--share", probability.toFixed(3));
    button.classList.toggle("is-own", own);
    button.addEventListener("click", () => this.#redo(prefix));
    return button;
  }

  async #redo(prefix) {
    const { index } = this.#asked;
    const inside = byId("question").contains(document.activeElement);
    await this.page.redo(index, prefix);
    // The button that was pressed is gone: the keyboard goes on at what changed.
    const output = byId("output");
    if (inside) (output.querySelector(".is-changed") ?? output.querySelector(".word"))?.focus({ preventScroll: true });
  }
}

export const percent = (share) => {
  if (share >= 0.995 && share < 1) return ">99 %";
  return share < 0.01 ? "<1 %" : `${Math.round(share * 100)} %`;
};
