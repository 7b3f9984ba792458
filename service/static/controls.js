/** The small controls around the two texts: count, tint, examples, groups of choices. */

import { byId, element } from "./element.js";
import { examples } from "./examples.js";
import { preference, remember } from "./memory.js";
import { strings } from "./strings.js";
import { codePointLength } from "./text.js";

/** Says how long a text is, and how long it may be. */
export function count(text, limit) {
  const length = codePointLength(text);
  const counter = byId("count");
  counter.hidden = limit === Infinity;
  if (counter.hidden) return;
  counter.textContent = strings().count(length, limit);
  counter.setAttribute("aria-label", strings().count_spoken(length, limit));
  counter.classList.toggle("is-over", length > limit);
  byId("clear").hidden = length === 0;
}

/** A group of radio buttons: checks the one with `value`, tells of another. */
export function choose(name, value, onChange) {
  for (const radio of document.querySelectorAll(`[name=${name}]`)) {
    radio.checked = radio.value === value;
    radio.addEventListener("change", () => onChange(radio.value));
  }
}

/** The button that tints doubtful words. */
export function tinting(container) {
  const tint = (on) => {
    container.classList.toggle("is-tinted", on);
    byId("tint").setAttribute("aria-pressed", String(on));
    byId("tint-note").hidden = !on;
    remember("tint", on ? "yes" : "no");
  };
  byId("tint").addEventListener("click", () => tint(!container.classList.contains("is-tinted")));
  tint(preference("tint") === "yes");
}

/** A few sentences to begin with, in the language of the source. */
export function offerExamples(language, onChoose) {
  const made = (examples[language] ?? []).map((text) => {
    const button = element("button", { type: "button", className: "example", textContent: text, dir: "auto" });
    button.addEventListener("click", () => onChoose(text));
    return button;
  });
  byId("examples").replaceChildren(...made);
}
