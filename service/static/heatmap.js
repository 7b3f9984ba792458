/**
 * The matrix as a picture: rows are translated words, columns source words, scale fixed 0 to 1.
 * Colours come from the stylesheet by class; only `fill-opacity` carries the weight. A real table
 * with the same numbers stands behind it for those who do not see it.
 */

import { element, svg } from "./element.js";
import { Marks, interact, spotOf } from "./light.js";
import { strings } from "./strings.js";

const GAP = 10; // between labels and cells
const LARGEST = 52;
const COMFORTABLE = 26; // a matrix taller than this allows may grow beyond TALLEST
const TALLEST = 640;
const SMALLEST = 16;
const ROOM_FOR_NUMBERS = 34;
const LONGEST_LABEL = 20;
// Where black on a cell gives way to white (light) or white to black (dark), by equal contrast.
const DEEP = { light: 0.68, dark: 0.5 };

const shorten = (text) => {
  const characters = [...text];
  return characters.length > LONGEST_LABEL ? `${characters.slice(0, LONGEST_LABEL - 1).join("")}…` : text;
};

export class Heatmap {
  #marks = new Marks();
  #cells = [];
  #cursor = null;
  #frame = null; // around the lit row, column or cell
  #place = null; // where the cells are, in the picture's units

  constructor(container, table, light, onPick) {
    Object.assign(this, { container, table, light });
    light.join(this);
    interact(container, light, { onPick: ({ sentence }) => onPick(sentence) });
    container.addEventListener("keydown", (event) => this.#walk(event));
    container.addEventListener("focusin", () => {
      if (container.matches(":focus-visible")) this.#point(this.#cursor ?? [0, 0]);
    });
    let width = 0;
    new ResizeObserver(([{ contentRect }]) => {
      if (Math.abs(contentRect.width - width) < 1) return;
      width = contentRect.width;
      this.#draw();
    }).observe(container.parentElement);
  }

  show(sentence, index, languages) {
    Object.assign(this, { sentence, index, languages });
    this.#cursor = null;
    const [rows, columns] = [sentence.target.length, sentence.source.length];
    this.container.setAttribute("aria-label", strings().heatmap_label(rows, columns));
    this.#tabulate();
    this.#draw();
  }

  paint(index, glow, pinned) {
    this.#marks.paint(index, glow, pinned);
    const here = glow && index === this.index ? glow : null;
    this.#frame?.remove();
    if (!here || !this.#place) return;
    const { left, top, size } = this.#place;
    const [rows, columns] = [this.sentence.target.length, this.sentence.source.length];
    this.#frame = svg("rect", {
      class: "frame",
      x: left + (here.column ?? 0) * size,
      y: top + (here.row ?? 0) * size,
      width: here.column === null ? columns * size : size,
      height: here.row === null ? rows * size : size,
      rx: 3,
    });
    this.picture.append(this.#frame);
  }

  #name(side, index) {
    return this.sentence[side][index].special ? strings().end_of_sentence : this.sentence.names[side][index];
  }

  #tabulate() {
    const { sentence } = this;
    const head = element("tr", {}, element("td"));
    sentence.source.forEach((_, s) =>
      head.append(element("th", { scope: "col", textContent: this.#name("source", s) })),
    );
    const body = sentence.weights.map((row, t) =>
      element(
        "tr",
        {},
        element("th", { scope: "row", textContent: this.#name("target", t) }),
        ...row.map((weight) => element("td", { textContent: weight.toFixed(2) })),
      ),
    );
    this.table.replaceChildren(
      element("caption", { textContent: strings().table_caption }),
      element("thead", {}, head),
      element("tbody", {}, ...body),
    );
  }

  #draw() {
    if (!this.sentence?.linked || this.container.parentElement.clientWidth === 0) return;
    const { sentence, index } = this;
    const font = getComputedStyle(this.container);
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = `${font.fontSize} ${font.fontFamily}`;
    const label = (side, i) => shorten(sentence[side][i].special ? sentence[side][i].text : sentence.names[side][i]);
    const widest = (side) => Math.max(...sentence[side].map((_, i) => pen.measureText(label(side, i)).width));

    const columns = sentence.source.length;
    const left = Math.ceil(widest("target")) + GAP;
    const inWidth = (this.#room() - left - 2) / columns;
    const inHeight = Math.max(COMFORTABLE, TALLEST / sentence.target.length);
    const size = Math.floor(Math.max(SMALLEST, Math.min(LARGEST, inHeight, inWidth)));
    const turned = widest("source") > size - 4;
    const lean = turned ? Math.ceil(widest("source") * Math.SQRT1_2) : 0;
    const top = (turned ? lean + 14 : 18) + GAP;
    const width = left + columns * size + Math.max(lean, 2);
    const height = top + sentence.target.length * size + 2;

    this.#marks.clear();
    const picture = svg("svg", { class: "matrix", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": true });
    sentence.source.forEach((token, s) => {
      const x = left + (s + 0.5) * size;
      const y = top - GAP;
      const place = turned
        ? { "text-anchor": "start", transform: `translate(${x + 4} ${y}) rotate(-45)` }
        : { "text-anchor": "middle", x, y };
      picture.append(this.#label("source", s, label("source", s), token, place));
    });
    this.#cells = sentence.weights.map((row, t) => {
      const y = top + t * size;
      const place = { "text-anchor": "end", x: left - GAP, y: y + size / 2, "dominant-baseline": "central" };
      picture.append(this.#label("target", t, label("target", t), sentence.target[t], place));
      return row.map((weight, s) => {
        const cell = this.#cell(t, s, weight, left + s * size, y, size);
        Object.assign(cell.dataset, { sentence: index, row: t, column: s });
        picture.append(cell);
        return cell;
      });
    });
    this.picture = picture;
    this.#place = { left, top, size };
    this.container.replaceChildren(picture);
    this.light.repaint();
  }

  /** The width the picture may have: its container shrinks to it, so what is around it is asked. */
  #room() {
    const around = this.container.parentElement;
    const style = getComputedStyle(around);
    return around.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
  }

  #label(side, index, text, token, place) {
    const mark = svg("text", { class: token.special ? "label is-special" : "label", ...place });
    mark.textContent = text;
    mark.append(svg("title", {}, this.#name(side, index)));
    this.#marks.add(mark, this.index, side, index);
    return mark;
  }

  #cell(t, s, weight, x, y, size) {
    const special = this.sentence.target[t].special || this.sentence.source[s].special;
    const cell = svg("g", { class: special ? "cell is-special" : "cell" });
    const box = { x: x + 1, y: y + 1, width: size - 2, height: size - 2, rx: 2 };
    cell.append(
      svg("rect", { class: "ground", ...box }),
      svg("rect", { class: "ink", ...box, "fill-opacity": weight.toFixed(4) }),
    );
    if (size >= ROOM_FOR_NUMBERS && weight >= 0.005) {
      const place = { x: x + size / 2, y: y + size / 2, "text-anchor": "middle", "dominant-baseline": "central" };
      const number = svg("text", { class: "number", ...place }, weight.toFixed(2));
      number.classList.toggle("is-deep-light", weight >= DEEP.light);
      number.classList.toggle("is-deep-dark", weight >= DEEP.dark);
      cell.append(number);
    }
    const told = strings().cell(this.#name("target", t), this.#name("source", s), weight.toFixed(2));
    cell.append(svg("title", {}, told));
    return cell;
  }

  #walk(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key === "Enter" || event.key === " ") {
      if (this.#cursor) this.light.toggle(spotOf(this.#cells[this.#cursor[0]][this.#cursor[1]]));
    } else if (moves[event.key]) {
      const [row, column] = this.#cursor ?? [0, 0];
      const [down, right] = moves[event.key];
      const clamp = (value, length) => Math.max(0, Math.min(length - 1, value));
      this.#point([clamp(row + down, this.#cells.length), clamp(column + right, this.#cells[0].length)]);
    } else {
      return;
    }
    event.preventDefault();
  }

  #point(cursor) {
    this.#cursor = cursor;
    const cell = this.#cells[cursor[0]]?.[cursor[1]];
    if (!cell) return;
    this.light.set("focus", spotOf(cell));
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
