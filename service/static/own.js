/** The reader's own translation, scored word by word by the model (forced decoding). */

import * as api from "./api.js";
import { byId, element } from "./element.js";
import { rove, Marks, interact } from "./light.js";
import { explain } from "./message.js";
import { percent } from "./question.js";
import { strings } from "./strings.js";
import { judge } from "./trust.js";

const PAUSE = 600; // milliseconds without typing that mean "score this"

export class Own {
  #marks = new Marks();
  #timer = 0;
  #running = null;
  #at = null; // { result, index }

  constructor(light, page) {
    Object.assign(this, { light, page });
    this.field = byId("own-text");
    this.words = byId("own-words");
    light.join(this);
    interact(this.words, light);
    this.field.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#score(), PAUSE);
    });
    byId("own-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#score();
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.#score();
    });
    byId("own-take").addEventListener("click", () => {
      this.field.value = this.#at.result.sentences[this.#at.index].text;
      this.field.focus();
      this.#score();
    });
  }

  paint(sentence, glow, pinned) {
    this.#marks.paint(sentence, glow, pinned);
  }

  close() {
    clearTimeout(this.#timer);
    this.#running?.abort();
    this.#clear("");
  }

  open(result, index) {
    const same = this.#at && this.#at.index === index && this.#at.result.sourceOf(index) === result.sourceOf(index);
    this.#at = { result, index };
    this.field.lang = this.page.body().target;
    byId("own-source").textContent = result.sourceOf(index);
    byId("own-source").lang = this.page.body().source;
    if (!same) this.field.value = "";
    this.page.beside(null);
    this.#score();
  }

  #clear(message, kind = "muted") {
    this.#marks.clear();
    this.words.replaceChildren();
    byId("own-verdict").className = kind;
    byId("own-verdict").textContent = message;
  }

  async #score() {
    clearTimeout(this.#timer);
    this.#running?.abort();
    const { result, index } = this.#at;
    const translation = this.field.value.trim();
    if (!translation) {
      this.#clear(strings().own_hint);
      this.page.beside(null);
      return;
    }
    this.#running = new AbortController();
    const origin = { text: result.sourceOf(index), translation };
    try {
      const answer = await api.score({ ...this.page.body(), ...origin }, this.#running.signal);
      const sentence = result.place(index, asSentence(answer.hypothesis, result.sentences[index]), { origin });
      this.page.beside(sentence);
      this.#show(sentence, result.sentences[index]);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      if (!(problem instanceof api.Problem)) throw problem;
      this.#clear(explain(problem), "error");
    }
  }

  #show(sentence, models) {
    const table = strings();
    this.#marks.clear();
    const words = sentence.target.flatMap((token, t) => {
      const probability = sentence.probability(t);
      if (probability === null) return [];
      const name = token.special ? table.end_of_sentence : sentence.names.target[t];
      const word = element("span", { className: "word", textContent: name, dir: "auto" });
      judge(word, sentence, t);
      if (!token.special) this.#marks.add(word, this.light.beside, "target", t);
      const share = element("span", { className: "share", textContent: percent(probability) });
      const item = element("li", { className: token.special ? "is-special" : "" }, word, share);
      item.style.setProperty("--share", probability.toFixed(3));
      return [item];
    });
    this.words.replaceChildren(...words);
    rove(this.words);
    const number = (value) => (Number.isFinite(value) ? value.toFixed(2) : "–");
    byId("own-verdict").className = "";
    byId("own-verdict").textContent = table.own_verdict(number(sentence.perplexity), number(models.perplexity));
  }
}

/** A scored pair in the shape of a translated sentence. */
function asSentence(hypothesis, { sourceSpan }) {
  const length = sourceSpan[1] - sourceSpan[0];
  return { source_span: [0, length], target_span: [0, 0], flags: [], flag_spans: [], hypotheses: [hypothesis] };
}
