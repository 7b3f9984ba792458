/** What a reader takes along: the figure as a file, the present request for a terminal. */

import { PARTS, curl, figure } from "./api.js";
import { announce, byId, copyOn, element } from "./element.js";
import { explain } from "./message.js";
import { png } from "./png.js";
import { strings } from "./strings.js";

export class Takeaway {
  /** @param {() => {body: object, model: {name: string, version: number, sha256: string}}} present what is shown now */
  constructor(present) {
    this.present = present;
    for (const button of document.querySelectorAll("[data-format]")) {
      button.addEventListener("click", () => this.#download(button));
    }
    byId("curl").addEventListener("click", (event) => {
      copyOn(event.currentTarget, curl(...requestOf(this.present().body))).then((done) => {
        byId("download-note").textContent = done ? "" : strings().copy_failed;
      });
    });
  }

  async #download(button) {
    const { format } = button.dataset;
    const note = byId("download-note");
    note.textContent = "";
    button.disabled = true;
    try {
      const { body, model } = this.present();
      const { blob, name } = await (format === "png" ? this.#png(body, model) : figure(format, body));
      const address = URL.createObjectURL(blob);
      const fallback = `${body.show}-${body.source}-${body.target}.${format}`;
      const anchor = element("a", { href: address, download: name ?? fallback });
      anchor.click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
      announce(strings().downloaded(anchor.download));
    } catch (problem) {
      note.textContent = `${strings().figure_failed} ${explain(problem)}`;
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body) button.focus();
    }
  }

  async #png(body, model) {
    const { blob, name } = await figure("svg", body);
    const facts = { Software: "Interlinear", Model: `${model.name} ${model.version}`, SHA256: model.sha256 };
    return { blob: await png(blob, facts), name: name?.replace(/\.svg$/, ".png") };
  }
}

/** The request that gives what a figure shows, as numbers: both links and attention. */
function requestOf({ text, sentence, translation, show, ...rest }) {
  if (translation !== undefined) return ["v1/score", { text, translation, ...rest }];
  return ["v1/translate", { texts: [text], ...rest, return: PARTS }];
}
