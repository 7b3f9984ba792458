/**
 * Text by code points. The API counts Unicode code points, JavaScript counts UTF-16 units; this is
 * the only place where one becomes the other.
 */

const ASTRAL = /[\u{10000}-\u{10ffff}]/u;

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** A word among others that run the other way: it must not turn its neighbours round (UAX 9). */
export const isolated = (word) => (RIGHT_TO_LEFT.test(word) ? `\u2068${word}\u2069` : word);

export class CodePointText {
  #units = null; // UTF-16 offset of every code point and of the end; null when both counts agree

  constructor(text) {
    this.text = text;
    this.length = text.length;
    if (!ASTRAL.test(text)) return;
    const units = [];
    let offset = 0;
    for (const character of text) {
      units.push(offset);
      offset += character.length;
    }
    units.push(offset);
    this.#units = units;
    this.length = units.length - 1;
  }

  /** UTF-16 offset of a code-point offset; offsets past the end mean the end. */
  unit(offset) {
    return this.#units ? this.#units[Math.min(offset, this.length)] : Math.min(offset, this.length);
  }

  /** Code-point offset of a UTF-16 offset. */
  point(unit) {
    if (!this.#units) return Math.min(unit, this.length);
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#units[middle] <= unit) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  slice(start, end) {
    return this.text.slice(this.unit(start), this.unit(end));
  }
}

export const codePointLength = (text) => new CodePointText(text).length;

/**
 * Cuts a text at the spans of its tokens: `[{text, token, span}]`, token null between them, `span` where
 * it stands in the text. Spans that overlap an earlier one (two pieces of one character) are cut or left
 * out, so no text repeats.
 *
 * @param {CodePointText} text
 * @param {{span: [number, number] | null}[]} tokens
 * @param {[number, number]} range the part of the text wanted
 * @param {number} shift added to every span
 */
export function cut(text, tokens, [start, end], shift = 0) {
  const placed = tokens
    .map((token, index) => ({ span: token.span, index }))
    .filter(({ span }) => span && span[1] > span[0])
    .sort((a, b) => a.span[0] - b.span[0] || a.index - b.index);
  const parts = [];
  const part = (from, to, token) => ({ text: text.slice(from, to), token, span: [from, to] });
  let at = start;
  for (const { span, index } of placed) {
    const from = Math.max(span[0] + shift, at);
    const to = Math.min(span[1] + shift, end);
    if (to <= from) continue;
    if (from > at) parts.push(part(at, from, null));
    parts.push(part(from, to, index));
    at = to;
  }
  if (at < end) parts.push(part(at, end, null));
  return parts;
}
