/** Small helpers for building the page. Text enters the document through `textContent` only. */

import { strings } from "./strings.js";

export const byId = (id) => document.getElementById(id);

/** A new HTML element: `element("span", { className: "word", textContent: text }, child, …)`. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A new SVG element; `attributes` are set one by one, so no style attribute is involved. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Says something to screen readers once. */
export function announce(message) {
  const region = byId("status");
  region.textContent = "";
  setTimeout(() => {
    region.textContent = message;
  }, 50);
}

/** Copies text and says so on the button (which has a `span` with `data-text`) for a moment. */
export async function copyOn(button, text) {
  const done = await copyText(text);
  const label = button.querySelector("span");
  const said = () => strings()[label.dataset.text];
  label.textContent = done ? strings().copied : said();
  announce(done ? strings().copied : strings().copy_failed);
  setTimeout(() => {
    label.textContent = said();
  }, 1600);
  return done;
}

/** Copies text; where the clipboard needs a secure address (plain http), the old way. */
export async function copyText(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not allowed: try the old way.
    }
  }
  const before = document.activeElement;
  const area = element("textarea", { value: text, className: "offscreen" });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus?.();
  return done;
}
