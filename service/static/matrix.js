/**
 * The matrix as a picture: rows are translated words, columns source words (or turned round), scale fixed
 * 0 to 1. Colours come from the stylesheet by class; only `fill-opacity` carries the weight. Labels stay put
 * while the cells scroll. A real table with the same numbers stands behind it for those who do not see it.
 */

import { element, svg } from "./element.js";
import { Marks, interact } from "./light.js";
import { GAP, ROOM_FOR_NUMBERS, layOut } from "./matrix-layout.js";
import { MatrixHand } from "./matrix-hand.js";
import { strings, stringsFor } from "./strings.js";

const SHADES = 255;
const WRITTEN = 0.005; // a number below this would read 0.00
// Where black on a cell gives way to white (light) or white to black (dark), by equal contrast.
const DEEP = { light: 0.68, dark: 0.5 };
const NOTE = 300; // pixels the note and the gap take beside the matrix,
const BESIDE = 760; // in a row that has at least so many
let patterns = 0;

export class Matrix {
  #marks = new Marks();
  #pattern = `ground-${(patterns += 1)}`;
  #measure;
  #drawnFor = 0; // the room there was
  #options = { transposed: false, endMark: true, zoom: null, crop: null };
  /** @type {import("./matrix-layout.js").Layout | null} */
  layout = null;

  /**
   * @param {HTMLElement} container scrolls, and is the one tab stop
   * @param {HTMLTableElement} table behind the picture
   */
  constructor(container, table, light, onPick) {
    Object.assign(this, { container, table, light, onPick, onCrop: () => {} });
    light.join(this);
    interact(container, light, { onPick: ({ sentence }) => onPick(sentence) });
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = `13px ${getComputedStyle(container).fontFamily}`;
    this.#measure = (text) => pen.measureText(text).width;
    this.hand = new MatrixHand(this);
    new ResizeObserver(() => this.#room() !== this.#drawnFor && this.#draw()).observe(container.closest(".picture"));
  }

  get options() {
    return this.#options;
  }

  set(options) {
    Object.assign(this.#options, options);
    this.#draw();
  }

  crop(crop) {
    this.set({ crop });
    this.onCrop(crop);
  }

  show(sentence, index) {
    if (sentence !== this.sentence) this.#options.crop = null;
    Object.assign(this, { sentence, index });
    this.hand.reset();
    this.#draw();
    this.onCrop(this.#options.crop);
    this.table.replaceChildren();
    // A table of thousands of cells may wait until the picture is there.
    const fill = () => sentence === this.sentence && this.#tabulate();
    if (window.requestIdleCallback) requestIdleCallback(fill, { timeout: 500 });
    else setTimeout(fill, 50);
  }

  /** What a token is called aloud. */
  name(side, token) {
    return this.sentence[side][token].special ? strings().end_of_sentence : this.sentence.names[side][token];
  }

  /** The spot of a cell, by its place in the picture. */
  spot(row, column) {
    const [a, b] = [this.layout.rows[row].token, this.layout.columns[column].token];
    const [t, s] = this.#options.transposed ? [b, a] : [a, b];
    return { sentence: this.index, row: t, column: s };
  }

  paint(index, glow, pinned) {
    this.#marks.paint(index, glow, pinned);
    if (!this.layout) return;
    const here = glow && index === this.index ? glow : null;
    const [row, column] = here ? [here.row, here.column] : [null, null];
    const find = (all, side, token) => all.findIndex((place) => place.side === side && place.token === token);
    const { rows, columns, size } = this.layout;
    const [rowSide, columnSide] = this.#options.transposed ? ["source", "target"] : ["target", "source"];
    const asked = { target: row, source: column };
    const down = asked[rowSide] === null ? null : find(rows, rowSide, asked[rowSide]);
    const right = asked[columnSide] === null ? null : find(columns, columnSide, asked[columnSide]);
    const seen = here && down !== -1 && right !== -1;
    this.frame.setAttribute("visibility", seen ? "visible" : "hidden");
    if (!seen) return;
    this.frame.setAttribute("x", String((right ?? 0) * size));
    this.frame.setAttribute("y", String((down ?? 0) * size));
    this.frame.setAttribute("width", String(right === null ? columns.length * size : size));
    this.frame.setAttribute("height", String(down === null ? rows.length * size : size));
  }

  /** The width it may have: the whole row, less the note where that stands beside it. */
  #room() {
    const row = this.container.closest(".picture").clientWidth;
    return row >= BESIDE ? row - NOTE : row;
  }

  #tabulate() {
    const { sentence } = this;
    const head = element("tr", {}, element("td"));
    sentence.source.forEach((_, s) => {
      head.append(element("th", { scope: "col", textContent: this.name("source", s) }));
    });
    const body = element("tbody");
    sentence.weights.forEach((row, t) => {
      const line = element("tr", {}, element("th", { scope: "row", textContent: this.name("target", t) }));
      for (const weight of row) line.append(element("td", { textContent: weight.toFixed(2) }));
      body.append(line);
    });
    const caption = element("caption", { textContent: stringsFor(sentence.shows).table_caption });
    this.table.replaceChildren(caption, element("thead", {}, head), body);
  }

  #draw() {
    const room = this.#room();
    if (!this.sentence?.linked || room === 0) return;
    performance.mark("matrix");
    this.#drawnFor = room;
    const highest = Number.parseFloat(getComputedStyle(this.container).maxHeight) || Infinity;
    const layout = layOut(this.sentence, this.#options, { width: room, height: highest - 4 }, this.#measure);
    this.layout = layout;
    const { rows, columns, size, left, top, lean } = layout;
    const width = columns.length * size;
    const height = rows.length * size;
    this.container.setAttribute("aria-label", stringsFor(this.sentence.shows).matrix_label(rows.length, columns.length));
    this.container.style.setProperty("scroll-padding", `${top}px 4px 4px ${left}px`);

    this.#marks.clear();
    const heads = svg("svg", { class: "heads", width: width + lean, height: top, "aria-hidden": true });
    columns.forEach((place, index) => heads.append(...this.#columnLabel(place, index, layout)));
    const sides = svg("svg", { class: "sides", width: left, height, "aria-hidden": true });
    rows.forEach((place, index) => sides.append(...this.#rowLabel(place, index, layout)));
    this.cells = svg("svg", { class: "cells", width: width + 1, height: height + 1, "aria-hidden": true });
    // Only numbers go into this markup, never text.
    this.cells.innerHTML = `${this.#ground(width, height, size)}<g>${this.#inks(layout)}</g>`;
    this.frame = svg("rect", { class: "frame", rx: 3, visibility: "hidden" });
    this.selection = svg("rect", { class: "selection", visibility: "hidden" });
    this.cells.append(this.frame, this.selection);

    const plane = element("div", { className: "plane" }, element("span", { className: "corner" }), heads, sides, this.cells);
    plane.style.setProperty("grid-template", `${top}px ${height + 1}px / ${left}px ${width + lean + 1}px`);
    this.container.replaceChildren(plane);
    this.hand.hold({ cells: this.cells, heads, sides });
    this.light.repaint();
    performance.measure("matrix", "matrix");
  }

  #ground(width, height, size) {
    const cell = square(0, 0, size);
    return (
      `<pattern id="${this.#pattern}" width="${size}" height="${size}" patternUnits="userSpaceOnUse">` +
      `<path class="ground" d="${cell}"/></pattern>` +
      `<rect width="${width}" height="${height}" fill="url(#${this.#pattern})"/>`
    );
  }

  /** One path for all cells of the same shade: ten thousand elements would be slow, 255 shades are all a screen has. */
  #inks({ rows, columns, size }) {
    const { weights } = this.sentence;
    const { transposed } = this.#options;
    const numbered = size >= ROOM_FOR_NUMBERS;
    const paths = { "": new Map(), " is-special": new Map() };
    const numbers = [];
    rows.forEach((down, row) => {
      columns.forEach((right, column) => {
        const weight = transposed ? weights[right.token][down.token] : weights[down.token][right.token];
        const shade = Math.round(Math.min(1, weight) * SHADES);
        if (shade === 0) return;
        const kind = down.special || right.special ? " is-special" : "";
        const cell = square(column * size, row * size, size);
        paths[kind].set(shade, (paths[kind].get(shade) ?? "") + cell);
        if (!numbered || weight < WRITTEN) return;
        const deep = `${weight >= DEEP.light ? " is-deep-light" : ""}${weight >= DEEP.dark ? " is-deep-dark" : ""}`;
        const place = `x="${(column + 0.5) * size}" y="${(row + 0.5) * size}"`;
        numbers.push(`<text class="number${kind}${deep}" ${place}>${weight.toFixed(2)}</text>`);
      });
    });
    const drawn = Object.entries(paths).flatMap(([kind, shades]) =>
      [...shades].map(([shade, d]) => `<path class="cell${kind}" fill-opacity="${(shade / SHADES).toFixed(4)}" d="${d}"/>`),
    );
    return drawn.join("") + numbers.join("");
  }

  #columnLabel(place, index, { size, top, turned, font, every }) {
    if (index % every) return [];
    const x = (index + 0.5) * size;
    const y = top - GAP;
    const where = turned
      ? { "text-anchor": "start", transform: `translate(${x + font * 0.3} ${y}) rotate(-45)` }
      : { "text-anchor": "middle", x, y };
    return [this.#label(place, font, where)];
  }

  #rowLabel(place, index, { size, left, font, every }) {
    if (index % every) return [];
    const where = { "text-anchor": "end", x: left - GAP, y: (index + 0.5) * size, "dominant-baseline": "central" };
    return [this.#label(place, font, where)];
  }

  #label({ side, token, special, label }, font, where) {
    const mark = svg("text", { class: special ? "label is-special" : "label", "font-size": font, ...where });
    mark.textContent = label;
    mark.append(svg("title", {}, this.name(side, token)));
    this.#marks.add(mark, this.index, side, token);
    return mark;
  }
}

/** A cell as part of a path, with its corner at (x, y) and a little air around it. */
function square(x, y, size) {
  const air = size >= 8 ? 1 : 0.25;
  const side = size - 2 * air;
  if (size < 16) return `M${x + air} ${y + air}h${side}v${side}h-${side}z`;
  const edge = side - 4; // corners are rounded by 2
  return (
    `M${x + air + 2} ${y + air}h${edge}q2 0 2 2v${edge}q0 2 -2 2h-${edge}q-2 0 -2 -2v-${edge}q0 -2 2 -2z`
  );
}
