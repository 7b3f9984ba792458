/** What is being translated and what came of it: requests, the result, and what the reader changed in it. */

import * as api from "./api.js";
import { Result } from "./result.js";

/** Problems that only attention has: the same text translates without it. */
const ATTENTION_ONLY = new Set(["attention_too_large", "no_attention"]);

export class Session {
  #running = null; // AbortController of the request under way
  #first = []; // the model's own sentences, by number, where the reader changed them
  result = null;
  answer = null; // model and timing of the result
  mostCells = Infinity; // weights the server sends in one answer
  request = null; // { source, target, granularity } of the result

  get busy() {
    return this.#running !== null;
  }

  cancel() {
    this.#running?.abort();
    this.#running = null;
  }

  forget() {
    this.cancel();
    this.result = null;
    this.answer = null;
    this.#first = [];
  }

  /**
   * Translates a text; `on` hears the events of the stream, null asks for the answer at once.
   *
   * @returns {Promise<{missing: string | null} | null>} null when another request has taken its place; `missing` is
   *   why there is no attention
   */
  async translate(text, request, on) {
    return this.#alone(async (signal) => {
      const { answer, missing } = await this.#ask({ ...request, texts: [text] }, signal, on);
      this.result = Result.of(text, answer.results[0]);
      this.answer = answer;
      this.request = request;
      this.#first = [];
      return { missing };
    });
  }

  /** Translates one sentence again, from a beginning the reader wants. */
  async redo(index, prefix) {
    return this.#alone(async (signal) => {
      const origin = { text: this.result.sourceOf(index), target_prefix: prefix };
      const { text, ...options } = origin;
      const body = { ...this.request, ...options, texts: [text], return: api.PARTS };
      const answer = await api.translate(body, signal);
      const [given] = answer.results[0].sentences;
      this.#replace(index, this.result.place(index, given, { origin }));
      return { missing: null };
    });
  }

  /** Puts another candidate in the place of a sentence. */
  use(index, sentence) {
    this.#replace(index, sentence);
  }

  undo(index) {
    this.result = this.result.with(index, this.#first[index]);
    delete this.#first[index];
  }

  /** How many words of a sentence are not the model's own first choice; null when none was changed. */
  change(index) {
    if (!this.#first[index]) return null;
    return { index, count: this.result.sentences[index].changed.size };
  }

  #replace(index, sentence) {
    this.#first[index] ??= this.result.sentences[index];
    this.result = this.result.with(index, sentence, this.#first[index]);
  }

  async #alone(work) {
    this.cancel();
    const controller = new AbortController();
    this.#running = controller;
    try {
      return await work(controller.signal);
    } catch (problem) {
      if (problem.name === "AbortError") return null;
      throw problem;
    } finally {
      if (this.#running === controller) this.#running = null;
    }
  }

  /** With attention if there is any and it is not too large to send; else without, and `missing` says why. */
  async #ask(body, signal, on) {
    const start = (event) => {
      // Known at the start, this need not be learned at the end.
      if (cells(event.sentences) > this.mostCells) throw new api.Problem({ code: "attention_too_large" });
      on.start(event);
    };
    const ask = (asked, heard) => (on ? api.stream(asked, signal, heard) : api.translate(asked, signal));
    try {
      return { answer: await ask({ ...body, return: api.PARTS }, { ...on, start }), missing: null };
    } catch (problem) {
      if (!ATTENTION_ONLY.has(problem.code)) throw problem;
      return { answer: await ask(body, on), missing: problem.code };
    }
  }
}

/** About how many weights the attention of these sentences has: translations are about as long as their sources. */
const cells = (sentences) =>
  sentences.reduce((sum, { source_tokens: { length } }) => sum + length * length, 0);
