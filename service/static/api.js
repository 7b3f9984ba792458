/** The service's API as functions. Every failure is a `Problem` (or the `AbortError` of the caller's own signal). */

import { eventsOf } from "./events.js";

/** What a `Sentence` is made of, for `return`. */
export const PARTS = ["tokens", "scores", "alignment", "attention"];

export class Problem extends Error {
  constructor({ code, status = 0, title = "", detail = "", requestId = "", retryAfter = null }) {
    super(title || code);
    Object.assign(this, { code, status, title, detail, requestId, retryAfter });
  }
}

// Addresses are relative, so that the service may stand behind a path of a larger site.
async function call(path, { body, signal } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: "network" });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const known = { status: response.status, retryAfter: Number.isFinite(seconds) ? seconds : null };
  try {
    return told(await response.json(), known);
  } catch {
    // no answer of the service: one of a balancer before it
    return new Problem({ ...known, code: [502, 503, 504].includes(response.status) ? "network" : "other" });
  }
}

function told({ code = "", title = "", detail = "", request_id: requestId = "", status }, known = {}) {
  return new Problem({ status, ...known, code: String(code), title: String(title), detail: String(detail), requestId });
}

async function json(path, options) {
  const response = await call(path, options);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: "bad_answer", status: response.status });
  }
}

export const languages = () => json("v1/languages");

export const limits = () => json("v1/limits");

export const models = () => json("v1/models");

export const model = (name) => json(`v1/models/${encodeURIComponent(name)}`);

/** Whether the server is still loading models; until it has, its list of languages is not whole. */
export async function loading() {
  try {
    const response = await fetch("readyz", { cache: "no-store" });
    return (await response.json()).status === "loading";
  } catch {
    return false;
  }
}

export const translate = (body, signal) => json("v1/translate", { body, signal });

export const score = (body, signal) => json("v1/score", { body, signal });

export const alternatives = (body, signal) => json("v1/alternatives", { body, signal });

/**
 * Translates and tells of each event on the way; resolves with what `translate` would have answered.
 *
 * @param {object} body
 * @param {AbortSignal} signal
 * @param {Record<string, (data: any) => void>} on functions by the name of the event
 */
export async function stream(body, signal, on) {
  const response = await call("v1/translate/stream", { body, signal });
  const events = eventsOf(response.body);
  try {
    for (;;) {
      const { value, done } = await next(events);
      if (done) throw new Problem({ code: "network" }); // the connection ended before the answer did
      if (value.event === "error") throw told(value.data);
      if (value.event === "done") return value.data;
      on[value.event]?.(value.data);
    }
  } finally {
    events.return(); // whoever stops listening hangs up
  }
}

async function next(events) {
  try {
    return await events.next();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: error instanceof SyntaxError ? "bad_answer" : "network" });
  }
}

/** The figure's bytes as the API gives them, and the name it gives the file (if any). */
export async function figure(format, body) {
  const response = await call(`v1/heatmap?format=${format}`, { body });
  const name = /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
  return { blob: await response.blob(), name };
}

/** The same request for a terminal. */
export function curl(path, body) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const address = new URL(path, document.baseURI).href;
  return `curl ${quoted(address)} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}`;
}
