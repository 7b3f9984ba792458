/** The lower half of the page: one sentence at a time, its ribbons, its matrix and its figure as a file. */

import { figure } from "./api.js";
import { announce, byId, element } from "./element.js";
import { Heatmap } from "./heatmap.js";
import { Lines } from "./lines.js";
import { explain } from "./message.js";
import { FAINT } from "./sentence.js";
import { strings } from "./strings.js";

const touch = matchMedia("(hover: none)");
const MOST_LINKS = 8; // told in words; the matrix has them all

export class Attention {
  #request = null;
  picked = 0;

  constructor(light, onPick) {
    Object.assign(this, { light, onPick });
    this.lines = new Lines(byId("lines"), light, onPick);
    this.heatmap = new Heatmap(byId("heatmap"), byId("numbers"), light, onPick);
    light.join(this);
    byId("previous").addEventListener("click", () => onPick(this.picked - 1));
    byId("next").addEventListener("click", () => onPick(this.picked + 1));
    for (const button of document.querySelectorAll("[data-format]")) {
      button.addEventListener("click", () => this.#download(button));
    }
  }

  /** `request` is what `POST /v1/heatmap` needs beside the number of the sentence. */
  show(sentences, request) {
    this.sentences = sentences;
    this.#request = request;
    const shown = sentences.some((sentence) => sentence.linked);
    byId("attention").hidden = !shown;
    byId("download-note").textContent = "";
  }

  hide() {
    byId("attention").hidden = true;
    this.#request = null;
  }

  pick(index) {
    this.picked = index;
    const sentence = this.sentences[index];
    const total = this.sentences.length;
    const table = strings();
    byId("pager").hidden = total < 2;
    byId("pager-text").textContent = table.sentence_of(index + 1, total);
    byId("previous").disabled = index === 0;
    byId("next").disabled = index === total - 1;
    byId("flags").replaceChildren(
      ...sentence.flags.map((flag) => element("li", { textContent: table.flags[flag] ?? flag })),
    );
    const confidence = byId("confidence");
    confidence.hidden = sentence.confidence === null;
    if (sentence.confidence !== null) confidence.textContent = table.confidence(Math.round(sentence.confidence * 100));
    if (!sentence.linked || !this.#request) return;
    this.lines.show(sentence, index, this.#request);
    this.heatmap.show(sentence, index, this.#request);
    this.paint();
  }

  /** The line that says in words what the light says. */
  paint() {
    const readout = byId("readout");
    const spot = this.light.active;
    readout.classList.toggle("is-hint", !spot);
    readout.textContent = spot ? this.#tell(spot) : strings()[touch.matches ? "hint_touch" : "hint_pointer"];
  }

  #tell({ sentence: index, row, column }) {
    const table = strings();
    const sentence = this.light.sentences[index];
    const name = (side, i) => (sentence[side][i].special ? table.end_of_sentence : sentence.names[side][i]);
    if (row !== null && column !== null) {
      return table.cell(name("target", row), name("source", column), sentence.weights[row][column].toFixed(2));
    }
    const [side, other, token] = row !== null ? ["target", "source", row] : ["source", "target", column];
    const weights = row !== null ? sentence.weights[row] : sentence.weights.map((each) => each[column]);
    const links = weights
      .map((weight, i) => ({ weight, i }))
      .filter(({ weight }) => weight >= FAINT)
      .sort((a, b) => b.weight - a.weight)
      .slice(0, MOST_LINKS)
      .map(({ weight, i }) => `${name(other, i)} ${weight.toFixed(2)}`);
    if (links.length === 0) return table.nothing_linked(name(side, token));
    const say = side === "target" ? table.from_target : table.from_source;
    return say(name(side, token), links.join(table.list_separator));
  }

  async #download(button) {
    const { format } = button.dataset;
    const note = byId("download-note");
    note.textContent = "";
    button.disabled = true;
    try {
      const body = { ...this.#request, sentence: this.picked };
      const { blob, name } = await figure(format, body);
      const address = URL.createObjectURL(blob);
      const fallback = `attention-${body.source}-${body.target}.${format}`;
      const anchor = element("a", { href: address, download: name ?? fallback });
      anchor.click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
      announce(strings().downloaded(anchor.download));
    } catch (problem) {
      note.textContent = `${strings().figure_failed} ${explain(problem)}`;
    } finally {
      button.disabled = false;
    }
  }
}
