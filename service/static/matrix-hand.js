/** Pointer and keyboard on a matrix: walk the cells, pin one, select a part to see it alone. */

const STILL = 5; // pixels a pointer may move and still mean a click

const clamp = (value, length) => Math.max(0, Math.min(length - 1, value));

export class MatrixHand {
  #cursor = null; // [row, column] in the picture
  #anchor = null; // the other corner of what the keyboard selects
  #drag = null;

  constructor(matrix) {
    this.matrix = matrix;
    const { container } = matrix;
    container.addEventListener("keydown", (event) => this.#key(event));
    container.addEventListener("focusin", () => {
      if (container.matches(":focus-visible")) this.#point(this.#cursor ?? [0, 0], { scroll: false });
    });
  }

  reset() {
    this.#cursor = null;
    this.#anchor = null;
    this.#drag = null;
  }

  /** The three parts of a fresh drawing. */
  hold({ cells, heads, sides }) {
    const { light, onPick } = this.matrix;
    // A cell is found by its coordinates: ten thousand of them need no listener and no title each.
    cells.addEventListener("pointerover", (event) => event.stopPropagation());
    cells.addEventListener("pointermove", (event) => {
      if (!this.#drag) light.set("hover", this.#spotAt(event));
    });
    cells.addEventListener("pointerleave", () => light.set("hover", null));
    cells.addEventListener("click", (event) => {
      event.stopPropagation();
      const spot = this.#spotAt(event);
      if (!spot) return;
      onPick(spot.sentence);
      light.toggle(spot);
    });
    this.#draggable(cells, ["row", "column"], heads);
    this.#draggable(heads, ["column"], heads);
    this.#draggable(sides, ["row"], heads);
  }

  #place(event) {
    const { cells, layout } = this.matrix;
    const box = cells.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / layout.size);
    const column = Math.floor((event.clientX - box.left) / layout.size);
    return { row, column, inside: row >= 0 && column >= 0 && row < layout.rows.length && column < layout.columns.length };
  }

  #spotAt(event) {
    const { row, column, inside } = this.#place(event);
    return inside ? this.matrix.spot(row, column) : null;
  }

  /** Drawing a rectangle over cells, or a line along labels, shows that part alone. */
  #draggable(part, axes, heads) {
    part.addEventListener("pointerdown", (event) => {
      // A finger on cells or rows scrolls; along the labels of the columns it selects.
      if (event.button !== 0 || (event.pointerType === "touch" && part !== heads)) return;
      this.#drag = null;
      const start = { x: event.clientX, y: event.clientY, ...this.#place(event) };
      const move = (next) => {
        if (!this.#drag && Math.hypot(next.clientX - start.x, next.clientY - start.y) < STILL) return;
        if (!this.#drag) part.setPointerCapture(event.pointerId);
        this.#drag = { start, end: this.#place(next), axes };
        this.#select();
      };
      const end = (last) => {
        part.removeEventListener("pointermove", move);
        part.removeEventListener("pointerup", end);
        part.removeEventListener("pointercancel", end);
        if (!this.#drag) return;
        const range = this.#range();
        this.#drag = null;
        if (last.type === "pointercancel") {
          this.#hide();
          return;
        }
        // The click that ends a drag is not a click on a cell.
        const swallow = (click) => click.stopPropagation();
        addEventListener("click", swallow, { capture: true });
        setTimeout(() => {
          removeEventListener("click", swallow, { capture: true });
          this.#crop(range);
        });
      };
      part.addEventListener("pointermove", move);
      part.addEventListener("pointerup", end);
      part.addEventListener("pointercancel", end);
    });
  }

  /** Half-open ranges of rows and columns that are selected, by pointer or else by keyboard. */
  #range() {
    const { rows, columns } = this.matrix.layout;
    const corner = ([row, column]) => ({ row, column });
    const { start, end, axes } = this.#drag ?? {
      start: corner(this.#anchor),
      end: corner(this.#cursor),
      axes: ["row", "column"],
    };
    const along = (axis, length) => {
      if (!axes.includes(axis)) return [0, length];
      const [from, to] = [clamp(start[axis], length), clamp(end[axis], length)].sort((a, b) => a - b);
      return [from, to + 1];
    };
    return { rows: along("row", rows.length), columns: along("column", columns.length) };
  }

  #select() {
    const { rows, columns } = this.#range();
    const { size } = this.matrix.layout;
    const { selection } = this.matrix;
    selection.setAttribute("x", columns[0] * size);
    selection.setAttribute("y", rows[0] * size);
    selection.setAttribute("width", (columns[1] - columns[0]) * size);
    selection.setAttribute("height", (rows[1] - rows[0]) * size);
    selection.setAttribute("visibility", "visible");
  }

  #hide() {
    this.matrix.selection.setAttribute("visibility", "hidden");
  }

  #crop({ rows, columns }) {
    const { layout, options } = this.matrix;
    const tokens = (all, [from, to]) => [all[from].token, all[to - 1].token + 1];
    const [row, column] = [tokens(layout.rows, rows), tokens(layout.columns, columns)];
    this.reset();
    this.matrix.crop(options.transposed ? { source: row, target: column } : { target: row, source: column });
  }

  #key(event) {
    if (event.target !== this.matrix.container || event.altKey || event.metaKey) return;
    const { layout, light, options } = this.matrix;
    if (!layout) return;
    const [row, column] = this.#cursor ?? [0, 0];
    const lastRow = layout.rows.length - 1;
    const lastColumn = layout.columns.length - 1;
    const moves = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [event.ctrlKey ? 0 : row, 0],
      End: [event.ctrlKey ? lastRow : row, lastColumn],
    };
    if (moves[event.key]) {
      if (event.shiftKey) this.#anchor ??= [row, column];
      else this.#anchor = null;
      const [down, right] = moves[event.key];
      this.#point([clamp(down, lastRow + 1), clamp(right, lastColumn + 1)]);
    } else if (event.key === "Enter" || event.key === " ") {
      if (this.#anchor) this.#crop(this.#range());
      else light.toggle(this.matrix.spot(row, column));
    } else if (event.key === "Escape" && (this.#anchor || options.crop)) {
      this.reset();
      this.#hide();
      if (options.crop) this.matrix.crop(null);
    } else return;
    event.preventDefault();
  }

  #point(cursor, { scroll = true } = {}) {
    const { layout, light, frame } = this.matrix;
    if (!layout || layout.rows.length === 0 || layout.columns.length === 0) return;
    this.#cursor = [clamp(cursor[0], layout.rows.length), clamp(cursor[1], layout.columns.length)];
    light.set("focus", this.matrix.spot(...this.#cursor));
    if (this.#anchor) this.#select();
    else this.#hide();
    if (scroll) frame.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
