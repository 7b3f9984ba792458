/** One translated sentence as the views want it: tokens, weights and where it stands in both texts. */

import { CodePointText } from "./text.js";

/** Weights below this light nothing: what is left over when attention looks elsewhere. */
export const FAINT = 0.05;

export class Sentence {
  constructor(sourceText, answer) {
    const best = answer.hypotheses[0];
    this.sourceSpan = answer.source_span;
    this.targetSpan = answer.target_span;
    this.flags = answer.flags ?? [];
    this.confidence = best?.confidence ?? null;
    this.source = best?.source_tokens ?? [];
    this.target = best?.target_tokens ?? [];
    this.weights = best?.attention?.data ?? null; // (T, S)
    const targetText = new CodePointText(best?.text ?? "");
    this.names = {
      source: this.source.map((token) => visible(token, sourceText)),
      target: this.target.map((token) => visible(token, targetText)),
    };
  }

  get linked() {
    return Boolean(this.weights?.length);
  }

  /** Links worth drawing, as [source, target, weight], between tokens a reader can see. */
  links(least = FAINT) {
    const found = [];
    this.weights?.forEach((row, t) => {
      if (this.target[t].special) return;
      row.forEach((weight, s) => {
        if (weight >= least && !this.source[s].special) found.push([s, t, weight]);
      });
    });
    return found;
  }

  /**
   * What a spot lights: weights for both sides (index -> weight) and the tokens it stands on.
   *
   * @param {{row: number | null, column: number | null}} spot a word of one side, or a cell (both)
   */
  glow({ row, column }) {
    const source = new Map();
    const target = new Map();
    if (row !== null && column !== null) {
      source.set(column, this.weights[row][column]);
    } else if (row !== null) {
      this.weights[row].forEach((weight, s) => weight >= FAINT && source.set(s, weight));
    } else {
      this.weights.forEach((weights, t) => weights[column] >= FAINT && target.set(t, weights[column]));
    }
    return { source, target, row, column };
  }

  /** The token of the other side most linked to this one, or null. */
  partner(side, token) {
    let best = null;
    let most = FAINT;
    const consider = (index, weight, special) => {
      if (!special && weight > most) [best, most] = [index, weight];
    };
    if (side === "target") this.weights?.[token].forEach((w, s) => consider(s, w, this.source[s].special));
    else this.weights?.forEach((row, t) => consider(t, row[token], this.target[t].special));
    return best;
  }
}

/** What to call a token: its own stretch of the text, without the white space a subword may carry. */
function visible(token, text) {
  const slice = token.span ? text.slice(...token.span).trim() : "";
  return slice || token.text;
}
