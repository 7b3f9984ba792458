/** The line that says in words what the light says. */

import { byId } from "./element.js";
import { onWanted } from "./shown.js";
import { stringsFor } from "./strings.js";
import { isolated } from "./text.js";

const touch = matchMedia("(hover: none)");
const MOST_LINKS = 8; // told in words; the matrix has them all

export class Readout {
  constructor(light) {
    this.light = light;
    light.join(this);
    onWanted(() => this.paint());
    this.paint();
  }

  paint() {
    const line = byId("readout");
    const spot = this.light.active;
    const first = this.light.sentences.find((sentence) => sentence.linked);
    const hint = first ? stringsFor(first.shows)[touch.matches ? "hint_touch" : "hint_pointer"] : "";
    line.classList.toggle("is-hint", !spot);
    line.textContent = spot ? this.#tell(spot) : hint;
  }

  #tell({ sentence: index, row, column }) {
    const sentence = this.light.sentences[index];
    const table = stringsFor(sentence.shows);
    const name = (side, i) => (sentence[side][i].special ? table.end_of_sentence : isolated(sentence.names[side][i]));
    if (row !== null && column !== null) {
      return table.cell(name("target", row), name("source", column), sentence.weights[row][column].toFixed(2));
    }
    const [side, other, token] = row !== null ? ["target", "source", row] : ["source", "target", column];
    const weights = row !== null ? sentence.weights[row] : sentence.weights.map((each) => each[column]);
    const links = weights
      .map((weight, i) => ({ weight, i }))
      .filter(({ weight }) => weight >= sentence.least)
      .sort((a, b) => b.weight - a.weight)
      .slice(0, MOST_LINKS)
      .map(({ weight, i }) => `${name(other, i)} ${weight.toFixed(2)}`);
    if (links.length === 0) return table.nothing_linked(name(side, token));
    const say = side === "target" ? table.from_target : table.from_source;
    return say(name(side, token), links.join(table.list_separator));
  }
}
