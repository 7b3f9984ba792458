/** The translation while it is being written: each word as it is decided. */

import { element } from "./element.js";
import { CodePointText } from "./text.js";

export class Live {
  #sentences = []; // their places on the page, by number
  #begun = false;

  /** @param {HTMLElement} container the place of the translation; what it shows stays until there is a first word */
  constructor(container, source) {
    Object.assign(this, { container, source: new CodePointText(source) });
  }

  start({ sentences }) {
    this.parts = [];
    let at = 0;
    for (const { source_span: span } of sentences) {
      const holder = element("span", { className: "writing" });
      this.parts.push(this.source.slice(at, span[0]), holder);
      this.#sentences.push(holder);
      at = span[1];
    }
    this.parts.push(this.source.slice(at, this.source.length));
  }

  token({ sentence, added }) {
    if (!added) return;
    this.#begin();
    this.#sentences[sentence].append(element("span", { className: "fresh", textContent: added }));
  }

  sentence({ sentence, hypotheses }) {
    this.#begin();
    this.#sentences[sentence].textContent = hypotheses[0].text;
    this.#sentences[sentence].classList.add("is-done");
  }

  #begin() {
    if (this.#begun) return;
    this.#begun = true;
    this.container.classList.remove("is-empty", "is-stale", "is-gloss");
    this.container.replaceChildren(...this.parts);
  }
}
