/**
 * Which word is lit, and in every view at once.
 *
 * A spot is `{sentence, row, column}`: a translated word (row), a source word (column) or a cell
 * of the matrix (both). What is pinned stays lit; else what the pointer is on; else what has the
 * keyboard's focus.
 */

const same = (a, b) => a === b || (a && b && a.sentence === b.sentence && a.row === b.row && a.column === b.column);

export class Light {
  #spots = { pin: null, hover: null, focus: null };
  #views = [];
  #shown = null;
  sentences = [];

  /** Number of the sentence that is looked at beside the text: another candidate, the reader's own. */
  beside = 0;

  /** `view.paint(sentenceIndex, glow, pinned)` is called with glow null to put a sentence's light out. */
  join(view) {
    this.#views.push(view);
  }

  get active() {
    return this.#spots.pin ?? this.#spots.hover ?? this.#spots.focus;
  }

  get pinned() {
    return this.#spots.pin;
  }

  set(kind, spot) {
    if (spot && !this.sentences[spot.sentence]?.linked) spot = null;
    if (same(this.#spots[kind], spot)) return;
    this.#spots[kind] = spot;
    this.repaint();
  }

  /** Pins a spot; the pinned one again lets go of it. */
  toggle(spot) {
    this.set("pin", same(this.#spots.pin, spot) ? null : spot);
  }

  /** New sentences: every light goes out. */
  reset(sentences) {
    this.#spots = { pin: null, hover: null, focus: null };
    this.repaint();
    this.sentences = [...sentences];
    this.beside = sentences.length;
  }

  /** Another sentence to look at beside the text. */
  setBeside(sentence) {
    if (this.active?.sentence === this.beside) {
      this.#spots = { pin: null, hover: null, focus: null };
      this.repaint();
    }
    this.sentences[this.beside] = sentence;
  }

  repaint() {
    const spot = this.active;
    const glow = spot && this.sentences[spot.sentence].glow(spot);
    for (const view of this.#views) {
      if (this.#shown !== null && this.#shown !== spot?.sentence) view.paint(this.#shown, null, false);
      if (spot) view.paint(spot.sentence, glow, same(spot, this.#spots.pin));
    }
    this.#shown = spot?.sentence ?? null;
  }
}

/** Elements that stand for tokens, painted by class and by the custom property `--weight`. */
export class Marks {
  #bySentence = new Map();
  #glowing = new Set();

  add(element, sentence, side, token) {
    Object.assign(element.dataset, { sentence, side, token });
    if (!this.#bySentence.has(sentence)) this.#bySentence.set(sentence, []);
    this.#bySentence.get(sentence).push(element);
  }

  clear() {
    this.#bySentence.clear();
    this.#glowing.clear();
  }

  find(sentence, side, token) {
    return (this.#bySentence.get(sentence) ?? []).find(
      ({ dataset }) => dataset.side === side && Number(dataset.token) === token,
    );
  }

  paint(sentence, glow, pinned) {
    for (const element of this.#glowing) {
      element.classList.remove("is-self", "is-lit", "is-pinned");
      element.style.removeProperty("--weight");
    }
    this.#glowing.clear();
    if (!glow) return;
    for (const element of this.#bySentence.get(sentence) ?? []) {
      const { side } = element.dataset;
      const token = Number(element.dataset.token);
      const self = token === (side === "target" ? glow.row : glow.column) && !glow[side].has(token);
      const weight = glow[side].get(token);
      if (!self && weight === undefined) continue;
      element.classList.add(self ? "is-self" : "is-lit");
      if (self && pinned) element.classList.add("is-pinned");
      if (!self) element.style.setProperty("--weight", weight.toFixed(4));
      this.#glowing.add(element);
    }
  }
}

/** The spot an element marked by `Marks` stands for. */
export function spotOf(element) {
  const mark = element?.closest?.("[data-sentence]");
  if (!mark) return null;
  const { sentence, side, token } = mark.dataset;
  const index = Number(token);
  return {
    sentence: Number(sentence),
    row: side === "target" ? index : null,
    column: side === "source" ? index : null,
  };
}

/**
 * Lets pointer and keyboard light the marks inside `container`.
 *
 * One mark at a time is a tab stop; arrow keys walk along the marks of its side, `across(mark)`
 * says where up and down lead.
 */
export function interact(container, light, { onPick = () => {}, across = () => null } = {}) {
  container.addEventListener("pointerover", (event) => light.set("hover", spotOf(event.target)));
  container.addEventListener("pointerleave", () => light.set("hover", null));
  container.addEventListener("click", (event) => {
    const spot = spotOf(event.target);
    if (!spot) return;
    if (String(getSelection()) !== "" && event.detail > 0) return; // the reader selects text
    event.stopPropagation();
    onPick(spot);
    light.toggle(spot);
  });
  container.addEventListener("focusin", (event) => {
    if (event.target.matches(":focus-visible")) light.set("focus", spotOf(event.target));
    rove(container, event.target);
  });
  container.addEventListener("focusout", () => light.set("focus", null));
  container.addEventListener("keydown", (event) => {
    const mark = event.target.closest("[data-token]");
    if (!mark || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      if (mark.tagName === "BUTTON") return; // the browser clicks it
      mark.click();
    } else {
      const next = step(container, mark, event.key, across);
      if (!next) return;
      next.focus();
    }
    event.preventDefault();
  });
}

function step(container, mark, key, across) {
  const marks = [...container.querySelectorAll(`[data-token][data-side="${mark.dataset.side}"]`)];
  const at = marks.indexOf(mark);
  const forward = getComputedStyle(mark).direction === "rtl" ? -1 : 1;
  if (key === "ArrowRight") return marks[at + forward];
  if (key === "ArrowLeft") return marks[at - forward];
  if (key === "Home") return marks[0];
  if (key === "End") return marks.at(-1);
  if (key === "ArrowUp" || key === "ArrowDown") return across(mark);
  return null;
}

/** Makes `mark` (or the first mark of each side) the only tab stop among the marks of its side. */
export function rove(container, mark = null) {
  for (const side of ["source", "target"]) {
    if (mark && mark.dataset?.side !== side) continue;
    const marks = container.querySelectorAll(`[data-token][data-side="${side}"]`);
    marks.forEach((each, index) => {
      each.tabIndex = (mark ? each === mark : index === 0) ? 0 : -1;
    });
  }
}
