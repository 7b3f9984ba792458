/**
 * What the page remembers. Text lives as long as the tab (it is private), choices as long as
 * the browser keeps them. A browser that refuses storage forgets; nothing else changes.
 */

const PREFIX = "interlinear.";

function read(storage, key) {
  try {
    return window[storage].getItem(PREFIX + key) ?? "";
  } catch {
    return "";
  }
}

function write(storage, key, value) {
  try {
    window[storage].setItem(PREFIX + key, value);
  } catch {
    // Storage is full or forbidden.
  }
}

export const preference = (key) => read("localStorage", key);
export const remember = (key, value) => write("localStorage", key, value);
export const draft = () => read("sessionStorage", "text");
export const keepDraft = (text) => write("sessionStorage", "text", text);

/** What a link `/#source=en&target=fr&q=How%20are%20you` asks for; null when it asks nothing. */
export function readHash() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  if (!parameters.has("q") && !parameters.has("source") && !parameters.has("target")) return null;
  return { source: parameters.get("source"), target: parameters.get("target"), text: parameters.get("q") };
}

/** Takes the text out of the address bar: it no longer says what the page shows. */
export function dropHash() {
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
}

export function linkTo(source, target, text) {
  const parameters = `source=${encodeURIComponent(source)}&target=${encodeURIComponent(target)}`;
  return `${location.origin}${location.pathname}#${parameters}&q=${encodeURIComponent(text.toWellFormed?.() ?? text)}`;
}
