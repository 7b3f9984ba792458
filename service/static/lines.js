/** The ribbon view: a sentence over its translation, and ribbons for what each word looked at most. */

import { element, svg } from "./element.js";
import { Marks, interact, rove } from "./light.js";
import { strings } from "./strings.js";

const HEIGHT = 80; // of the band the ribbons cross, in CSS pixels
const WIDEST = 22; // a ribbon of weight 1
const SIZES = ["display", "reading", "lead", "body"]; // names of the type scale

export class Lines {
  #marks = new Marks();
  #ribbons = [];

  constructor(container, light, onPick) {
    this.container = container;
    light.join(this);
    interact(container, light, {
      onPick: ({ sentence }) => onPick(sentence),
      across: (mark) => this.#across(mark),
    });
    let width = 0;
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width === width) return;
      width = contentRect.width;
      this.#fit();
    }).observe(container);
    document.fonts.ready.then(() => this.#fit());
    container.addEventListener("scroll", () => this.#fade(), { passive: true });
  }

  show(sentence, index, { source, target }) {
    this.sentence = sentence;
    this.index = index;
    this.#marks.clear();
    const table = strings();
    this.rows = {
      source: this.#line("source", table.linked_source, source),
      target: this.#line("target", table.linked_target, target),
    };
    this.band = svg("svg", { class: "ribbons", "aria-hidden": "true", height: HEIGHT });
    this.track = element("div", { className: "track" }, this.rows.source, this.band, this.rows.target);
    this.container.replaceChildren(this.track);
    this.container.scrollLeft = 0;
    rove(this.container);
    this.#fit();
  }

  paint(index, glow, pinned) {
    this.#marks.paint(index, glow, pinned);
    for (const button of this.container.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.classList.contains("is-pinned")));
    }
    const here = glow && index === this.index ? glow : null;
    if (here) this.#reveal();
    this.band?.classList.toggle("is-hushed", Boolean(here));
    for (const { path, s, t } of this.#ribbons) {
      const lit = here && (here.row === null || here.row === t) && (here.column === null || here.column === s);
      path.classList.toggle("is-lit", Boolean(lit));
    }
  }

  #line(side, label, lang) {
    const line = element("div", { className: "line", lang, dir: "auto" });
    line.setAttribute("role", "group");
    line.setAttribute("aria-label", label);
    let end = null;
    this.sentence[side].forEach((token, index) => {
      if (token.special) return;
      const word = element("button", {
        type: "button",
        className: "word",
        textContent: this.sentence.names[side][index],
      });
      // Pieces of one word, or Han characters, stand close together; the rest is spread.
      if (end !== null && token.span?.[0] === end) word.classList.add("is-joined");
      end = token.span?.[1] ?? null;
      word.setAttribute("aria-pressed", "false");
      this.#marks.add(word, this.index, side, index);
      line.append(word);
    });
    return line;
  }

  #across({ dataset: { side, token } }) {
    const other = side === "source" ? "target" : "source";
    const partner = this.sentence.partner(side, Number(token));
    return partner === null ? null : this.#marks.find(this.index, other, partner);
  }

  /** Brings the lit word into view when it was lit from elsewhere on the page. */
  #reveal() {
    const { container } = this;
    const word = container.querySelector(".is-self");
    if (!word || container.matches(":hover") || container.contains(document.activeElement)) return;
    const frame = container.getBoundingClientRect();
    const box = word.getBoundingClientRect();
    if (box.left >= frame.left && box.right <= frame.right) return;
    container.scrollLeft += box.left + box.width / 2 - frame.left - frame.width / 2;
  }

  /** The largest type in which the sentence fits beside nothing else; the smallest scrolls. */
  #fit() {
    if (!this.track?.isConnected || this.container.clientWidth === 0) return;
    const style = getComputedStyle(this.container);
    const room =
      this.container.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
    const width = () => Math.max(...["source", "target"].map((side) => this.rows[side].offsetWidth));
    for (const size of SIZES) {
      this.track.dataset.size = size;
      if (width() <= room) break;
    }
    this.#draw();
    this.#fade();
  }

  /** Shows that there is more to either side. */
  #fade() {
    const { scrollLeft, scrollWidth, clientWidth, classList } = this.container;
    const hidden = scrollWidth - clientWidth;
    classList.toggle("has-more-left", Math.abs(scrollLeft) > 1);
    classList.toggle("has-more-right", hidden - Math.abs(scrollLeft) > 1);
  }

  #draw() {
    const frame = this.track.getBoundingClientRect();
    const middles = { source: new Map(), target: new Map() };
    for (const side of ["source", "target"]) {
      for (const word of this.rows[side].children) {
        const box = word.getBoundingClientRect();
        middles[side].set(Number(word.dataset.token), [box.left - frame.left + box.width / 2, box.width]);
      }
    }
    this.#ribbons = this.sentence.links().map(([s, t, weight]) => {
      const [top, topWidth] = middles.source.get(s);
      const [bottom, bottomWidth] = middles.target.get(t);
      const middle = HEIGHT / 2;
      const path = svg("path", {
        class: "ribbon",
        d: `M${top},0 C${top},${middle} ${bottom},${middle} ${bottom},${HEIGHT}`,
        "stroke-width": (Math.min(WIDEST, topWidth, bottomWidth) * weight).toFixed(2),
        "stroke-opacity": (0.2 + 0.45 * weight).toFixed(3),
      });
      return { path, s, t };
    });
    this.band.replaceChildren(...this.#ribbons.map(({ path }) => path));
  }
}
