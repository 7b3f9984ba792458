/** One translated sentence as the views want it: tokens, weights, probabilities, flags and where it stands. */

import { wanted } from "./shown.js";
import { CodePointText } from "./text.js";

/** Attention below this lights nothing: what is left over when the model looks elsewhere. */
const FAINT = 0.05;
/** Ribbons are drawn until this much of a word's attention is told. */
const TOLD = 0.75;

/**
 * @typedef {{text: string, span: [number, number] | null, special?: boolean, logprob?: number}} Token
 * @typedef {{flag: string, side: "source" | "target", span: [number, number]}} FlagSpan
 * @typedef {{sentence: number, row: number | null, column: number | null}} Spot a word of one side, or a cell (both)
 * @typedef {{text: string, target_prefix?: string, translation?: string, model?: string, version?: number}} Origin
 *   what `POST /v1/heatmap` needs to draw this sentence, when that is not what the whole text gives on its own
 */
export class Sentence {
  /**
   * @param {CodePointText} whole the text it is a sentence of
   * @param {object} answer the API's SentenceAnswer
   * @param {{offset?: number, origin?: Origin | null, candidate?: number}} how `offset` is added to source spans (the
   *   sentence was sent alone); `candidate` is the place in the n-best list
   */
  constructor(whole, answer, { offset = 0, origin = null, candidate = 0 } = {}) {
    const best = answer.hypotheses[candidate];
    const shift = (span) => span && [span[0] + offset, span[1] + offset];
    this.origin = origin;
    this.sourceSpan = shift(answer.source_span);
    this.targetSpan = answer.target_span;
    this.flags = answer.flags ?? [];
    /** @type {FlagSpan[]} */
    this.flagSpans = (answer.flag_spans ?? []).map((flag) =>
      flag.side === "source" ? { ...flag, span: shift(flag.span) } : flag,
    );
    this.confidence = best?.confidence ?? null;
    this.score = best?.score ?? null;
    this.perplexity = best?.perplexity ?? null;
    this.targetText = new CodePointText(best?.text ?? "");
    /** @type {Token[]} */
    this.source = (best?.source_tokens ?? []).map((token) => ({ ...token, span: shift(token.span) }));
    /** @type {Token[]} */
    this.target = best?.target_tokens ?? [];
    this.attention = best?.attention?.data ?? null; // (T, S)
    this.agreement = best?.alignment_by === "aligner" ? this.#matrix(best.alignment) : null; // (T, S)
    this.changed = new Set(); // places of target tokens that an earlier translation did not have
    this.names = {
      source: this.source.map((token) => visible(token, whole)),
      target: this.target.map((token) => visible(token, this.targetText)),
    };
  }

  /** The links of the model's aligner as a matrix, zero where there is none. */
  #matrix(links) {
    const matrix = this.target.map(() => new Array(this.source.length).fill(0));
    for (const [s, t, weight] of links) matrix[t][s] = weight;
    return matrix;
  }

  /** What every view shows of it: the two say different things, so that no two views may differ. */
  get shows() {
    return this.agreement && wanted() === "links" ? "links" : "attention";
  }

  /** Of what is shown, (T, S). */
  get weights() {
    return this.shows === "links" ? this.agreement : this.attention;
  }

  /** Weights below this light nothing; a link counts whatever its weight. */
  get least() {
    return this.shows === "links" ? Number.MIN_VALUE : FAINT;
  }

  get linked() {
    return Boolean(this.weights?.length);
  }

  get text() {
    return this.targetText.text;
  }

  /** Probability of a target token, or null. */
  probability(row) {
    const { logprob } = this.target[row];
    return Number.isFinite(logprob) ? Math.exp(logprob) : null;
  }

  /** What stands before a target token: the prefix that leads to it. */
  before(row) {
    const { span } = this.target[row];
    return span ? this.targetText.slice(0, span[0]) : this.text;
  }

  /** Links worth drawing, as [source, target, weight]: all, or the largest of each word until TOLD of its attention. */
  links() {
    const found = [];
    const enough = this.shows === "links" ? Infinity : TOLD;
    this.weights?.forEach((row, t) => {
      if (this.target[t].special) return;
      let told = 0;
      for (const [weight, s] of row.map((w, i) => [w, i]).sort((a, b) => b[0] - a[0])) {
        if (told >= enough || weight < this.least) break;
        told += weight;
        if (!this.source[s].special) found.push([s, t, weight]);
      }
    });
    return found;
  }

  /** What a spot lights: weights for both sides (index -> weight) and the tokens it stands on. */
  glow({ row, column }) {
    const source = new Map();
    const target = new Map();
    if (row !== null && column !== null) {
      source.set(column, this.weights[row][column]);
    } else if (row !== null) {
      this.weights[row].forEach((weight, s) => weight >= this.least && source.set(s, weight));
    } else {
      this.weights.forEach((weights, t) => weights[column] >= this.least && target.set(t, weights[column]));
    }
    return { source, target, row, column };
  }

  /** The token of the other side most linked to this one, or null. */
  partner(side, token) {
    let best = null;
    let most = this.least;
    const consider = (index, weight, special) => {
      if (!special && weight > most) [best, most] = [index, weight];
    };
    if (side === "target") {
      const looks = (matrix) => matrix?.[token].forEach((w, s) => consider(s, w, this.source[s].special));
      looks(this.weights);
      if (best === null) looks(this.attention); // a word without a link stands where the model looked
    } else this.weights?.forEach((row, t) => consider(t, row[token], this.target[t].special));
    return best;
  }
}

/** What to call a token: its own stretch of the text, without the white space a subword may carry. */
function visible(token, text) {
  const slice = token.span ? text.slice(...token.span).trim() : "";
  return slice || token.text;
}
