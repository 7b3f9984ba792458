/** The lower half of the page: one sentence at a time, looked at in several ways over one figure. */

import { byId } from "./element.js";
import { Candidates } from "./candidates.js";
import { Compare } from "./compare.js";
import { Figure } from "./figure.js";
import { Own } from "./own.js";
import { strings } from "./strings.js";
import { Takeaway } from "./takeaway.js";

export class Workbench {
  #tab = "attention";
  picked = 0;

  /**
   * @param {import("./light.js").Light} light
   * @param {{body: () => object, pick: (index: number) => void, use: (index: number, sentence: object) => void,
   *   limits: () => object}} page
   */
  constructor(light, page) {
    Object.assign(this, { light, page, result: null });
    this.figure = new Figure(light, (index) => index < light.beside && page.pick(index));
    const beside = (sentence) => this.#subject(sentence);
    this.panes = {
      attention: { open: () => this.#subject(null), close() {} },
      candidates: new Candidates({ ...page, beside }),
      own: new Own(light, { ...page, beside }),
      compare: new Compare({ ...page, beside }),
    };
    this.takeaway = new Takeaway(() => this.#present());
    byId("previous").addEventListener("click", () => page.pick(this.picked - 1));
    byId("next").addEventListener("click", () => page.pick(this.picked + 1));
    this.tabs = [...document.querySelectorAll("[role=tab]")];
    for (const tab of this.tabs) {
      tab.addEventListener("click", () => this.open(tab.dataset.tab));
      tab.addEventListener("keydown", (event) => this.#walk(event));
    }
  }

  show(result) {
    this.result = result;
    byId("attention").hidden = !result.sentences.some((sentence) => sentence.linked);
    byId("download-note").textContent = "";
  }

  hide() {
    byId("attention").hidden = true;
    for (const pane of Object.values(this.panes)) pane.close();
    this.result = null;
  }

  /** Makes a sentence the one that is looked at. */
  pick(index) {
    this.picked = index;
    const total = this.result.sentences.length;
    byId("pager").hidden = total < 2;
    byId("pager-text").textContent = strings().sentence_of(index + 1, total);
    byId("previous").disabled = index === 0;
    byId("next").disabled = index === total - 1;
    this.open(this.#tab);
  }

  open(name) {
    if (name !== this.#tab) this.panes[this.#tab].close();
    this.#tab = name;
    for (const tab of this.tabs) {
      const chosen = tab.dataset.tab === name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      const pane = byId(tab.getAttribute("aria-controls"));
      if (pane !== byId("figure")) pane.hidden = !chosen;
    }
    if (this.result) this.panes[name].open(this.result, this.picked);
  }

  /** Other models that translate in this direction: without one there is nothing to compare. */
  offerComparison(models) {
    this.panes.compare.models = models;
    const tab = this.tabs.find(({ dataset }) => dataset.tab === "compare");
    tab.hidden = models.length === 0;
    if (tab.hidden && this.#tab === "compare") this.open("attention");
  }

  /** What the figure draws: the sentence itself (null), or another one beside it. */
  #subject(sentence) {
    const own = this.result.sentences[this.picked];
    if (sentence) this.light.setBeside(sentence);
    const index = sentence ? this.light.beside : this.picked;
    this.figure.show(sentence ?? own, index, this.page.body());
  }

  /** The figure now shown, as `POST /v1/heatmap` wants it, and the model it is by. */
  #present() {
    const { sentence } = this.figure;
    const whole = { text: this.result.source, sentence: this.picked };
    const body = { ...(sentence.origin ?? whole), ...this.page.body(), ...modelOf(sentence.origin), show: sentence.shows };
    return { body, model: sentence.model ?? this.page.model() };
  }

  #walk(event) {
    const shown = this.tabs.filter((tab) => !tab.hidden);
    const at = shown.indexOf(event.currentTarget);
    const forward = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!forward) return;
    const next = shown.at((at + forward) % shown.length);
    this.open(next.dataset.tab);
    next.focus();
    event.preventDefault();
  }
}

const modelOf = (origin) => (origin?.model ? { model: origin.model, version: origin.version } : {});
