/** The page's strings in the chosen language, and the elements that carry them. */

import en from "./strings/en.js";
import zh from "./strings/zh.js";
import { preference, remember } from "./memory.js";

const tables = { en, zh };
const listeners = new Set();

const wanted = () => {
  const saved = preference("page_language");
  if (saved in tables) return saved;
  for (const tag of navigator.languages ?? [navigator.language]) {
    const code = tag.toLowerCase().split("-")[0];
    if (code in tables) return code;
  }
  return "en";
};

export let pageLanguage = wanted();

/** The strings themselves: `strings().copy`, `strings().took(12)`. */
export const strings = () => tables[pageLanguage];

/** The strings for what is shown: those under `links` speak of links where others of their name speak of attention. */
export const stringsFor = (shows) => (shows === "links" ? { ...strings(), ...strings().links } : strings());

/** Calls `listener` now and whenever the language of the page changes. */
export function onLanguage(listener) {
  listeners.add(listener);
  listener();
}

export function setLanguage(code) {
  pageLanguage = code;
  remember("page_language", code);
  for (const listener of listeners) listener();
}

/** Name of a language in the language of the page: "French", "法语". */
export function languageName(code, fallback) {
  try {
    const name = new Intl.DisplayNames([pageLanguage === "zh" ? "zh-CN" : "en"], { type: "language" }).of(code);
    return name && name !== code ? name : (fallback ?? code);
  } catch {
    return fallback ?? code;
  }
}

/** Fills every element marked `data-text`, `data-label`, `data-tip` or `data-placeholder`. */
function fill() {
  const table = strings();
  document.documentElement.lang = pageLanguage === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = table[element.dataset.text];
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", table[element.dataset.label]);
  }
  for (const element of document.querySelectorAll("[data-tip]")) element.title = table[element.dataset.tip];
  for (const element of document.querySelectorAll("[data-placeholder]")) {
    element.placeholder = table[element.dataset.placeholder];
  }
}

onLanguage(fill);
