/** How far a translation can be trusted: doubtful words tinted, warnings with the words they are about. */

import { byId, element } from "./element.js";
import { strings } from "./strings.js";

/** What a translated word carries beside its link: how sure the model was, and whether it is new. */
export function judge(word, sentence, token) {
  const probability = sentence.probability(token);
  if (probability !== null) word.style.setProperty("--doubt", (1 - probability).toFixed(3));
  word.classList.toggle("is-doubtful", probability !== null && probability < 0.5);
  word.classList.toggle("is-changed", sentence.changed.has(token));
}

/** The list of warnings of all sentences, each quoting the words it is about. */
export function showFlags(result, onPick) {
  const table = strings();
  const items = (result?.sentences ?? []).flatMap((sentence, index) => {
    const placed = sentence.flagSpans.map((flag) => ({ name: flag.flag, quote: quote(result, sentence, flag) }));
    const whole = sentence.flags
      .filter((name) => !placed.some((flag) => flag.name === name))
      .map((name) => ({ name, quote: null }));
    return [...placed, ...whole].map((flag) => ({ ...flag, index }));
  });
  byId("flags").replaceChildren(
    ...items.map(({ name, quote: words, index }) => {
      const item = element("li", {});
      item.dataset.flag = name;
      if (words) item.append(element("q", { textContent: words, dir: "auto", translate: false }), " ");
      item.append(table.flags[name] ?? name);
      if (result.sentences.length > 1) {
        const go = element("button", { type: "button", className: "quiet", textContent: table.sentence_number(index + 1) });
        go.addEventListener("click", () => onPick(index));
        item.append(" ", go);
      }
      return item;
    }),
  );
}

function quote(result, sentence, { side, span }) {
  return (side === "source" ? result.whole : sentence.targetText).slice(...span).trim();
}

const SCORES = { links: ["aligner, alone"], attention: ["attention, alone", "alone"] }; // "alone" on older cards

/**
 * The model's measured alignment error rate in per cent, for what is shown if the card has it, else for the other;
 * `of` says whose it is. Null where nothing was measured.
 */
export function alignmentError(card, shows) {
  for (const of of [shows, ...Object.keys(SCORES)]) {
    for (const scores of Object.values(card?.alignment ?? {})) {
      const rate = SCORES[of].map((name) => scores?.[name]?.aer).find(Number.isFinite);
      if (rate !== undefined) return { rate, of };
    }
  }
  return null;
}
