/** A translated text: its sentences in order, and the text between them, kept when one sentence is made again. */

import { differing } from "./diff.js";
import { Sentence } from "./sentence.js";
import { CodePointText } from "./text.js";

export class Result {
  /**
   * @param {string} source the text as sent
   * @param {Sentence[]} sentences
   * @param {string[]} between the text before, between and after the sentences of the translation
   */
  constructor(source, sentences, between) {
    Object.assign(this, { source, sentences, between });
    this.whole = new CodePointText(source);
    this.text = between[0];
    let at = new CodePointText(between[0]).length;
    sentences.forEach((sentence, index) => {
      sentence.targetSpan = [at, at + sentence.targetText.length];
      this.text += sentence.text + between[index + 1];
      at = sentence.targetSpan[1] + new CodePointText(between[index + 1]).length;
    });
  }

  /** From the API's answer for one text. */
  static of(source, answer) {
    const whole = new CodePointText(source);
    const text = new CodePointText(answer.text);
    const between = [];
    let at = 0;
    for (const { target_span: span } of answer.sentences) {
      between.push(text.slice(at, span[0]));
      at = span[1];
    }
    between.push(text.slice(at, text.length));
    return new Result(source, answer.sentences.map((sentence) => new Sentence(whole, sentence)), between);
  }

  /** What is shown of it: links where any sentence has them. */
  get shows() {
    return this.sentences.some(({ shows }) => shows === "links") ? "links" : "attention";
  }

  /** The source of one sentence, as it is sent alone. */
  sourceOf(index) {
    return this.whole.slice(...this.sentences[index].sourceSpan);
  }

  /** One sentence of an answer to that sentence alone, in its place in the whole text. */
  place(index, answer, how = {}) {
    const offset = this.sentences[index].sourceSpan[0];
    return new Sentence(this.whole, answer, { ...how, offset });
  }

  /** The same text with another translation of one sentence; what differs from `original` is marked. */
  with(index, sentence, original = null) {
    if (original) sentence.changed = differing(original.names.target, sentence.names.target);
    return new Result(this.source, this.sentences.with(index, sentence), this.between);
  }
}
