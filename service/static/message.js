/** The one place where the page says what went wrong, and offers to try again. */

import { byId } from "./element.js";
import { strings } from "./strings.js";

const BUSY = new Set(["queue_full", "loading", "draining"]);
const LASTING = new Set(["internal_error", "deadline_exceeded", "network", "bad_answer", "other", "body_timeout"]);
const MOST_RETRIES = 30;

/** What to tell a person about a problem of the API. */
export function explain(problem) {
  const { errors } = strings();
  if (problem.code in errors) return errors[problem.code];
  if (problem.status === 401) return errors.unauthorized;
  return problem.title || errors.other;
}

export class Message {
  #timer = 0;
  #tries = 0;
  #last = null;

  constructor(retry) {
    this.retry = retry;
    byId("retry").addEventListener("click", () => this.#again());
  }

  /** A problem of the API. A server that is only busy is asked again by itself. */
  problem(problem) {
    clearTimeout(this.#timer);
    const waits = BUSY.has(problem.code) && this.#tries < MOST_RETRIES;
    const seconds = Math.max(1, problem.retryAfter ?? 2);
    this.#last = () => {
      const details = [];
      if (waits) details.push(strings().retry_in(seconds));
      if (problem.code === "internal_error" && problem.requestId) {
        details.push(strings().request_id(problem.requestId));
      }
      this.#show(explain(problem), details.join(" "), BUSY.has(problem.code) || LASTING.has(problem.code), "error");
    };
    this.#last();
    if (waits) {
      this.#tries += 1;
      this.#timer = setTimeout(() => this.retry(), seconds * 1000);
    }
  }

  /** Something to know; `say` gives the words in the language of the page. */
  note(say, kind = "note") {
    clearTimeout(this.#timer);
    this.#last = () => this.#show(say(), "", false, kind);
    this.#last();
  }

  /** The same again, after the language of the page has changed. */
  repeat() {
    this.#last?.();
  }

  clear({ settled = false } = {}) {
    clearTimeout(this.#timer);
    this.#last = null;
    if (settled) this.#tries = 0;
    byId("message").hidden = true;
  }

  #again() {
    this.#tries = 0;
    this.retry();
  }

  #show(text, detail, canRetry, kind) {
    byId("message-text").textContent = text;
    byId("message-detail").textContent = detail;
    byId("retry").hidden = !canRetry;
    const box = byId("message");
    box.dataset.kind = kind;
    box.hidden = false;
  }
}
