/** The n-best list of a sentence: every candidate with its score, and a small picture of where it differs. */

import * as api from "./api.js";
import { differing } from "./diff.js";
import { byId, element, svg } from "./element.js";
import { explain } from "./message.js";
import { percent } from "./question.js";
import { strings } from "./strings.js";

const MOST = 5;
const PICTURE = { width: 160, height: 10 };

/** The words of a text, those in `different` marked. */
export function marked(sentence, different) {
  const parts = [];
  let at = 0;
  sentence.target.forEach((token, index) => {
    if (!token.span) return;
    const [from, to] = token.span;
    if (from > at) parts.push(sentence.targetText.slice(at, from));
    const word = sentence.targetText.slice(from, to);
    parts.push(different.has(index) ? element("mark", { textContent: word }) : word);
    at = Math.max(at, to);
  });
  parts.push(sentence.targetText.slice(at, sentence.targetText.length));
  return parts;
}

/** A bar for each word, as long as the word; dark where it is not as in the first candidate. */
function picture(sentence, different, longest) {
  const scale = PICTURE.width / Math.max(1, longest);
  const drawn = svg("svg", { class: "strip-picture", ...PICTURE, "aria-hidden": true });
  sentence.target.forEach((token, index) => {
    if (!token.span) return;
    const [from, to] = token.span;
    const kind = different.has(index) ? "is-different" : "is-same";
    const width = Math.max(1, (to - from) * scale - 1);
    drawn.append(svg("rect", { class: kind, x: from * scale, y: 0, width, height: PICTURE.height, rx: 2 }));
  });
  return drawn;
}

export class Candidates {
  #running = null;
  #asked = ""; // what the list shown answers

  constructor(page) {
    this.page = page;
    this.list = byId("candidate-list");
  }

  close() {
    this.#running?.abort();
    this.#asked = "";
    this.list.replaceChildren();
  }

  async open(result, index) {
    this.page.beside(null);
    const { max_n_best: most = MOST } = this.page.limits();
    const text = result.sourceOf(index);
    const body = { ...this.page.body(), texts: [text], n_best: Math.min(MOST, most), beam_size: MOST };
    const key = JSON.stringify([body, result.sentences[index].text]);
    if (key === this.#asked) return;
    this.close();
    this.#asked = key;
    this.#running = new AbortController();
    this.list.replaceChildren(element("li", { className: "muted", textContent: strings().asking }));
    try {
      const answer = await api.translate({ ...body, return: api.PARTS }, this.#running.signal);
      const [given] = answer.results[0].sentences;
      const sentences = given.hypotheses.map((hypothesis, candidate) => {
        const origin = { text, translation: hypothesis.text };
        return result.place(index, given, { candidate, origin });
      });
      this.#show(sentences, result, index);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      if (!(problem instanceof api.Problem)) throw problem;
      this.#asked = "";
      this.list.replaceChildren(element("li", { className: "error", textContent: explain(problem) }));
    }
  }

  #show(sentences, result, index) {
    const longest = Math.max(...sentences.map(({ targetText }) => targetText.length));
    const present = sentences.findIndex(({ text }) => text === result.sentences[index].text);
    this.list.replaceChildren(
      ...sentences.map((sentence, place) => {
        const different = place === 0 ? new Set() : differing(sentences[0].names.target, sentence.names.target);
        return this.#row(sentence, place, { different, longest, index, present: place === present });
      }),
    );
  }

  #row(sentence, place, { different, longest, index, present }) {
    const table = strings();
    const radio = element("input", { type: "radio", name: "candidate", checked: present });
    radio.addEventListener("change", () => this.page.beside(sentence));
    const text = element("span", { className: "candidate-text", dir: "auto", lang: this.page.body().target, translate: false });
    text.append(...marked(sentence, different));
    const told = [table.score(sentence.score?.toFixed(2) ?? "–")];
    if (Number.isFinite(sentence.confidence)) told.push(table.confidence(percent(sentence.confidence)));
    const label = element(
      "label",
      {},
      radio,
      text,
      picture(sentence, different, longest),
      element("span", { className: "muted", textContent: told.join(" · ") }),
    );
    const use = element("button", { type: "button", className: "quiet", disabled: present });
    use.textContent = present ? table.in_use : table.use;
    if (!present) use.setAttribute("aria-label", table.use_candidate(place + 1));
    use.addEventListener("click", () => this.page.use(index, sentence));
    return element("li", {}, label, use);
  }
}
