/** The two language pickers and the button between them. */

import { byId, element } from "./element.js";
import { preference, remember } from "./memory.js";
import { languageName, strings } from "./strings.js";

export class Directions {
  #pairs = [];
  #models = [];
  #names = new Map();

  constructor(onChange, onSwap) {
    this.source = byId("source-language");
    this.target = byId("target-language");
    this.swapButton = byId("swap");
    this.source.addEventListener("change", () => {
      this.#choose(this.source.value, this.target.value);
      onChange();
    });
    this.target.addEventListener("change", () => {
      this.#choose(this.source.value, this.target.value);
      onChange();
    });
    this.swapButton.addEventListener("click", () => {
      this.#choose(this.target.value, this.source.value);
      onSwap();
    });
  }

  get any() {
    return this.#pairs.length > 0;
  }

  has(source, target) {
    return this.#pairs.some((pair) => pair.source === source && pair.target === target);
  }

  /** Models and versions that translate in this direction, beside the one that does so by default. */
  get others() {
    const [source, target] = [this.source.value, this.target.value];
    const first = this.#pairs.find((pair) => pair.source === source && pair.target === target);
    return this.#models
      .filter((model) => model.source === source && model.target === target)
      .flatMap(({ name, versions = [], version }) => {
        const ready = versions.filter(({ status }) => status === "ready").map((each) => each.version);
        return (ready.length > 0 ? ready : [version]).map((number) => ({ name, version: number }));
      })
      .filter(({ name, version }) => name !== first?.model || version !== first?.version);
  }

  /** Takes the answers of `GET /v1/languages` and `/v1/models`; `wish` is the pair to begin with, if there is such a pair. */
  fill({ languages = [], directions = [] }, models, wish) {
    this.#pairs = directions;
    this.#models = models.filter(({ status }) => status === "ready");
    this.#names = new Map(languages.map(({ code, name }) => [code, name]));
    const [source, target] = (preference("direction") || "en>fr").split(">");
    this.#choose(wish?.source ?? source, wish?.target ?? target);
  }

  /** The same pickers in the language of the page. */
  rename() {
    this.#choose(this.source.value, this.target.value);
  }

  name(code) {
    return languageName(code, this.#names.get(code));
  }

  #choose(source, target) {
    const sources = [...new Set(this.#pairs.map((pair) => pair.source))];
    if (!sources.includes(source)) source = sources[0] ?? "";
    const targets = this.#pairs.filter((pair) => pair.source === source).map((pair) => pair.target);
    if (!targets.includes(target)) target = targets[0] ?? "";
    this.#list(this.source, sources, source);
    this.#list(this.target, targets, target);
    const back = this.has(target, source);
    this.swapButton.disabled = !back;
    this.swapButton.title = this.any && !back ? strings().swap_missing : strings().swap;
    if (source && target) remember("direction", `${source}>${target}`);
  }

  #list(select, codes, chosen) {
    const sorted = codes
      .map((code) => ({ code, name: this.name(code) }))
      .sort((a, b) => a.name.localeCompare(b.name));
    select.replaceChildren(...sorted.map(({ code, name }) => element("option", { value: code, textContent: name })));
    select.value = chosen;
    select.disabled = codes.length === 0;
  }
}
