/** What the views show: which word stands for which ("links"), or where the model looked ("attention"). */

import { preference, remember } from "./memory.js";

const listeners = new Set();
let choice = preference("show") === "attention" ? "attention" : "links";

/** What the reader wants to see; a sentence whose model has no aligner shows its attention anyway (`Sentence.shows`). */
export const wanted = () => choice;

/** Calls `listener` whenever the reader wants to see the other. */
export function onWanted(listener) {
  listeners.add(listener);
}

export function want(value) {
  choice = value;
  remember("show", value);
  for (const listener of listeners) listener();
}
