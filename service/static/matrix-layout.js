/** Where everything of a matrix stands: which tokens, how large the cells, how much room the labels take. */

export const GAP = 8; // between labels and cells
const LARGEST = 48; // cells, in CSS pixels
const COMFORTABLE = 26; // cells at 100 %
const TALLEST = 660; // cells of a short sentence's matrix, in CSS pixels
const LEGIBLE = 9; // the least distance between two labels; slanted ones need more
const LONGEST_LABEL = 20; // characters
export const ROOM_FOR_NUMBERS = 34;

const FITS = 15; // cells that need to be smaller to fit are better shown at 100 %

const shorten = (text) => {
  const characters = [...text];
  return characters.length > LONGEST_LABEL ? `${characters.slice(0, LONGEST_LABEL - 1).join("")}…` : text;
};

/**
 * @typedef {{side: "source" | "target", token: number, special: boolean, label: string}} Place a row or a column
 * @typedef {{rows: Place[], columns: Place[], zoom: "fit" | "full", size: number, left: number, top: number, lean: number,
 *   turned: boolean, font: number, every: number}} Layout lengths in CSS pixels; `every` n-th label is written
 */

/** The tokens of one side that are shown. */
export function places(sentence, side, { endMark, crop }) {
  const [from, to] = crop?.[side] ?? [0, sentence[side].length];
  return sentence[side]
    .map((token, index) => ({
      side,
      token: index,
      special: Boolean(token.special),
      label: shorten(token.special ? token.text : sentence.names[side][index]),
    }))
    .filter(({ token, special }) => token >= from && token < to && (endMark || !special));
}

/**
 * @param {import("./sentence.js").Sentence} sentence
 * @param {{transposed: boolean, endMark: boolean, zoom: "fit" | "full" | null, crop: object | null}} options
 * @param {{width: number, height: number}} room
 * @param {(text: string) => number} measure width of a label at 13 pixels
 * @returns {Layout}
 */
export function layOut(sentence, options, room, measure) {
  const source = places(sentence, "source", options);
  const target = places(sentence, "target", options);
  const [rows, columns] = options.transposed ? [source, target] : [target, source];
  const widest = (all) => Math.max(0, ...all.map(({ label }) => measure(label)));
  const shape = (size) => {
    const turned = widest(columns) * (Math.max(8, Math.min(13, size)) / 13) > size - 4;
    const font = Math.max(8, Math.min(13, turned ? size * Math.SQRT1_2 : size));
    const scale = font / 13;
    const left = Math.ceil(Math.min(widest(rows) * scale, room.width * 0.4)) + GAP;
    const lean = turned ? Math.ceil(widest(columns) * scale * Math.SQRT1_2) : 0;
    const top = (turned ? lean + font : font + 6) + GAP;
    return { size, font, left, turned, lean, top, every: Math.max(1, Math.ceil((turned ? LEGIBLE * Math.SQRT2 : LEGIBLE) / size)) };
  };
  const fit = (guess) => {
    const { left, lean } = shape(guess);
    return (room.width - left - lean - 2) / Math.max(1, columns.length);
  };
  const high = Math.min(TALLEST, room.height - shape(COMFORTABLE).top);
  const tall = Math.max(COMFORTABLE, high / Math.max(1, rows.length));
  const fitted = Math.min(LARGEST, tall, fit(fit(COMFORTABLE)));
  // Pixels are whole while a cell has enough of them; below, a cell may be a fraction.
  const whole = fitted >= 8 ? Math.floor(fitted) : Math.max(2, Math.floor(fitted * 4) / 4);
  const zoom = options.zoom ?? (whole < FITS ? "full" : "fit");
  return { rows, columns, zoom, ...shape(zoom === "fit" ? whole : Math.max(COMFORTABLE, whole)) };
}
