/** The interlinear view: the source in its own order, and under each word what was made of it. */

import { element } from "./element.js";
import { strings } from "./strings.js";
import { judge } from "./trust.js";

/** Target tokens under the source token each of them looked at most: Map from source to targets. */
export function glosses(sentence) {
  const under = new Map();
  sentence.target.forEach((token, t) => {
    const source = token.special ? null : sentence.partner("target", t);
    if (source === null) return;
    if (!under.has(source)) under.set(source, []);
    under.get(source).push(t);
  });
  return under;
}

/** Fills `container` with one line of glosses for each sentence. */
export function gloss(container, marks, result, { source: sourceLanguage, target: targetLanguage }) {
  const lines = result.sentences.map((sentence, index) => {
    const line = element("ul", { className: "sentence glosses", lang: sourceLanguage, dir: "auto" });
    line.dataset.within = index;
    line.setAttribute("aria-label", strings().interlinear);
    const under = glosses(sentence);
    let end = null;
    sentence.source.forEach((token, s) => {
      if (token.special) return;
      const word = element("span", { className: "word", textContent: sentence.names.source[s] });
      marks.add(word, index, "source", s);
      const below = element("span", { className: "below", lang: targetLanguage, dir: "auto" });
      below.append(...translations(sentence, under.get(s) ?? [], index, marks));
      const pair = element("li", { className: "gloss" }, word, below);
      pair.classList.toggle("is-joined", end !== null && token.span?.[0] === end);
      end = token.span?.[1] ?? null;
      line.append(pair);
    });
    return line;
  });
  container.replaceChildren(...lines);
}

/** The words of one gloss: side by side as in the translation, with a mark where others stand between. */
function translations(sentence, tokens, index, marks) {
  if (tokens.length === 0) return [element("span", { className: "nothing", textContent: "–" })];
  const parts = [];
  tokens.forEach((t, place) => {
    const before = tokens[place - 1];
    if (place > 0) {
      const touching = sentence.target[before].span?.[1] === sentence.target[t].span?.[0];
      parts.push(t === before + 1 ? (touching ? "" : " ") : " … ");
    }
    const word = element("span", { className: "word", textContent: sentence.names.target[t] });
    judge(word, sentence, t);
    marks.add(word, index, "target", t);
    parts.push(word);
  });
  return parts;
}
