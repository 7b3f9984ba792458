/** The service's API as functions. Every failure is a `Problem` (or the `AbortError` of the caller's own signal). */

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
    const told = await response.json();
    const { code = "", title = "", detail = "", request_id: requestId = "" } = told;
    return new Problem({ ...known, code: String(code), title: String(title), detail: String(detail), requestId });
  } catch {
    return new Problem({ ...known, code: "" });
  }
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

/** The figure's bytes as the API gives them, and the name it gives the file (if any). */
export async function figure(format, body) {
  const response = await call(`v1/heatmap?format=${format}`, { body });
  const name = /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
  return { blob: await response.blob(), name };
}
