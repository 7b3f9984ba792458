/** The model's card, read from the API and shown as it is: names and values, one within the other. */

import * as api from "./api.js";
import { byId, element } from "./element.js";
import { explain } from "./message.js";
import { onWanted } from "./shown.js";
import { strings, stringsFor } from "./strings.js";
import { alignmentError } from "./trust.js";

const named = (key) => strings().card_names[key] ?? capital(key.replaceAll("_", " "));

const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

const plain = (value) => {
  if (typeof value === "number") return value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 4 });
  if (typeof value === "boolean") return strings()[value ? "yes" : "no"];
  return String(value);
};

/** What a reader asks first; the rest of the card's branches are folded. */
const OPEN = new Set(["data", "evaluation"]);

function told(value) {
  if (Array.isArray(value)) {
    if (!value.some((each) => typeof each === "object")) return [value.map(plain).join(", ")];
    return value.map((each) => facts(each));
  }
  return [typeof value === "object" ? facts(value) : plain(value)];
}

function facts(tree, folded = false) {
  const list = element("dl", { className: "facts" });
  for (const [key, value] of Object.entries(tree)) {
    if (value === null || value === "") continue;
    const fact = element("dd", { dir: "auto" });
    if (folded && typeof value === "object" && !OPEN.has(key)) {
      fact.append(element("details", {}, element("summary", { textContent: strings().unfold }), ...told(value)));
    } else fact.append(...told(value));
    list.append(element("dt", { textContent: named(key) }), fact);
  }
  return list;
}

export class Card {
  #cards = new Map(); // by name and version
  #credited = null; // the model that made what is shown

  /** @param {() => "links" | "attention"} shows what the page shows of that model's translation */
  constructor(shows) {
    this.shows = shows;
    onWanted(() => this.#tellError());
    this.dialog = byId("card");
    byId("made-by").addEventListener("click", () => this.open(this.#credited));
    byId("card-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  /** What `GET /v1/models/{name}` says; null when it cannot be had. */
  async of({ name, version }) {
    const key = `${name} ${version}`;
    if (!this.#cards.has(key)) {
      try {
        this.#cards.set(key, await api.model(name));
      } catch (problem) {
        if (!(problem instanceof api.Problem)) throw problem;
        return null;
      }
    }
    return this.#cards.get(key);
  }

  /** Names the model that made a translation, and tells how good its links are. */
  async credit({ model, timing_ms: timing } = {}) {
    const table = strings();
    this.#credited = model ?? null;
    byId("made-by").hidden = !model;
    byId("took").textContent = model ? table.took(Math.max(1, Math.round(timing.queue + timing.compute))) : "";
    if (!model) return;
    byId("made-by").textContent = table.made_by(model.name, model.version);
    await this.#tellError();
  }

  async #tellError() {
    const known = this.#credited && (await this.of(this.#credited));
    const error = alignmentError(known?.card, this.shows());
    byId("aer").hidden = !error;
    if (error) byId("aer").textContent = stringsFor(error.of).aer(`${error.rate.toFixed(1)} %`);
  }

  async open(reference) {
    const body = byId("card-body");
    byId("card-title").textContent = strings().made_by(reference.name, reference.version);
    body.replaceChildren(element("p", { textContent: strings().card_loading }));
    this.dialog.showModal();
    this.dialog.scrollTop = 0;
    const model = await this.of(reference);
    if (!model) {
      body.replaceChildren(element("p", { className: "error", textContent: explain({ code: "network" }) }));
      return;
    }
    const { title, ...card } = model.card ?? {};
    body.replaceChildren(
      ...(title ? [element("p", { className: "card-lead", textContent: title })] : []),
      facts({ ...card, sha256: reference.sha256 }, true),
    );
  }
}
