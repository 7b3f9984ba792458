/**
 * The two texts with their words in place: the translation as linked text, and behind the text
 * field a layer of the same text, invisible but for the light on its words.
 */

import { element } from "./element.js";
import { gloss } from "./gloss.js";
import { Marks, interact, rove, spotOf } from "./light.js";
import { onWanted } from "./shown.js";
import { CodePointText, cut } from "./text.js";
import { judge } from "./trust.js";

/** The words of all sentences of a text, put into `container` between the text around them. */
function lay(container, marks, text, sentences, side) {
  const parts = [];
  let at = 0;
  sentences.forEach((sentence, index) => {
    const span = side === "source" ? sentence.sourceSpan : sentence.targetSpan;
    if (span[0] > at) parts.push(text.slice(at, span[0]));
    const holder = element("span", { className: "sentence" });
    holder.dataset.within = index;
    // A source span counts from the start of the text, a target span from its own sentence's.
    const shift = side === "source" ? 0 : span[0];
    const flagged = sentence.flagSpans
      .filter((flag) => flag.side === side)
      .map(({ span: [start, end] }) => [start + shift, end + shift]);
    for (const part of cut(text, sentence[side], span, shift)) {
      const warned = flagged.some(([start, end]) => part.span[0] < end && part.span[1] > start);
      if (part.token === null || !sentence.linked) {
        holder.append(warned ? element("span", { className: "is-flagged", textContent: part.text }) : part.text);
        continue;
      }
      const word = element("span", { className: "word", textContent: part.text });
      word.classList.toggle("is-flagged", warned);
      if (side === "target") {
        judge(word, sentence, part.token);
        word.role = "button"; // it opens what else could stand here
      }
      marks.add(word, index, side, part.token);
      holder.append(word);
    }
    parts.push(holder);
    at = Math.max(at, span[1]);
  });
  if (at < text.length) parts.push(text.slice(at, text.length));
  container.replaceChildren(...parts);
}

function pickIn(container, picked, total) {
  for (const holder of container.querySelectorAll(".sentence")) {
    holder.classList.toggle("is-picked", total > 1 && Number(holder.dataset.within) === picked);
  }
}

/** The translation, in one of three views. */
export class Output {
  #marks = new Marks();
  #laid = []; // what is shown, and how
  #picked = [];

  constructor(container, light, onPick) {
    this.container = container;
    light.join(this);
    interact(container, light, { onPick: ({ sentence }) => onPick(sentence) });
    container.addEventListener("click", (event) => {
      const holder = event.target.closest(".sentence");
      if (holder) onPick(Number(holder.dataset.within));
    });
    // Which words stand under which depends on what is shown. While a translation is being written, it is no gloss.
    onWanted(() => {
      if (!container.classList.contains("is-gloss")) return;
      this.show(...this.#laid);
      this.pick(...this.#picked);
    });
  }

  /** @param {"linked" | "gloss" | "plain"} view */
  show(result, view, languages) {
    this.#laid = [result, view, languages];
    this.#marks.clear();
    this.container.classList.toggle("is-gloss", view === "gloss");
    if (view === "plain") this.container.replaceChildren(result.text);
    else if (view === "gloss") gloss(this.container, this.#marks, result, languages);
    else lay(this.container, this.#marks, new CodePointText(result.text), result.sentences, "target");
    rove(this.container);
  }

  pick(index, total) {
    this.#picked = [index, total];
    pickIn(this.container, index, this.#laid[1] === "plain" ? 1 : total);
  }

  paint(sentence, glow, pinned) {
    this.#marks.paint(sentence, glow, pinned);
  }
}

/** The layer behind the text field. It lays its text out exactly as the field does. */
export class Mirror {
  #marks = new Marks();
  #boxes = null;

  constructor(container, field, light, onPick) {
    Object.assign(this, { container, field, light });
    light.join(this);
    field.addEventListener("pointermove", (event) => light.set("hover", this.#at(event.clientX, event.clientY)));
    field.addEventListener("pointerleave", () => light.set("hover", null));
    field.addEventListener("blur", () => light.set("focus", null));
    document.addEventListener("selectionchange", () => this.#followCaret(onPick));
    new ResizeObserver(() => this.#forget()).observe(container);
    addEventListener("scroll", () => this.#forget(), { passive: true, capture: true });
  }

  /** Plain text, while there is no translation of exactly this text. */
  plain(text) {
    this.#marks.clear();
    this.#forget();
    this.text = null;
    // The zero-width space gives a last empty line its height.
    this.container.replaceChildren(`${text}\u200b`);
  }

  show(result) {
    this.#marks.clear();
    this.#forget();
    this.text = result.whole;
    this.sentences = result.sentences;
    lay(this.container, this.#marks, this.text, result.sentences, "source");
    this.container.append("\u200b");
  }

  pick(index, total) {
    pickIn(this.container, index, total);
  }

  paint(sentence, glow, pinned) {
    this.#marks.paint(sentence, glow, pinned);
  }

  #forget() {
    this.#boxes = null;
  }

  /** The spot of the word under a point: the field lies above the layer and gets the events. */
  #at(x, y) {
    this.#boxes ??= [...this.container.querySelectorAll(".word")].flatMap((word) =>
      [...word.getClientRects()].map((box) => ({ word, box })),
    );
    const hit = this.#boxes.find(({ box }) => x >= box.left && x < box.right && y >= box.top && y < box.bottom);
    return hit ? spotOf(hit.word) : null;
  }

  #followCaret(onPick) {
    const { field, text } = this;
    if (document.activeElement !== field || !text || field.selectionStart !== field.selectionEnd) return;
    // The caret rests behind what was typed last: that is no choice of a word.
    if (field.selectionStart === field.value.length) {
      this.light.set("focus", null);
      return;
    }
    const point = text.point(field.selectionStart);
    const index = this.sentences.findIndex(({ sourceSpan: [start, end] }) => point >= start && point < end);
    if (index < 0) return;
    onPick(index);
    const token = this.sentences[index].source.findIndex(({ span }) => span && point >= span[0] && point < span[1]);
    this.light.set("focus", token < 0 ? null : { sentence: index, row: null, column: token });
  }
}
