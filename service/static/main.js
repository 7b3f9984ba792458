/** The page: text in, translation out, and the light between them. */

import * as api from "./api.js";
import { Attention } from "./attention.js";
import { Directions } from "./directions.js";
import { announce, byId, copyText, element } from "./element.js";
import { examples } from "./examples.js";
import { Light } from "./light.js";
import * as memory from "./memory.js";
import { Message } from "./message.js";
import { Mirror, Output } from "./reading.js";
import { Sentence } from "./sentence.js";
import { onLanguage, pageLanguage, setLanguage, strings } from "./strings.js";
import { CodePointText, codePointLength } from "./text.js";

const PAUSE = 450; // milliseconds without typing that mean "translate this"
const SLOW = 150; // milliseconds before the page says that it waits

const field = byId("text");
const light = new Light();
const output = new Output(byId("output"), light, pick);
const mirror = new Mirror(byId("mirror"), field, light, pick);
const attention = new Attention(light, pick);
const message = new Message(() => (directions.any ? translate() : start()));
const directions = new Directions(() => translate(), swap);

let granularity = memory.preference("granularity") === "subword" ? "subword" : "word";
let limit = Infinity;
let timer = 0;
let running = null; // AbortController of the request under way
let shown = null; // { answer, request, sentences } on the page

// ---------------------------------------------------------------- translate

async function translate() {
  clearTimeout(timer);
  running?.abort();
  running = null;
  const text = field.value;
  output.container.lang = directions.target.value;
  field.lang = directions.source.value;
  byId("mirror").lang = directions.source.value;
  if (!directions.any) return;
  if (text.trim() === "") {
    forget();
    message.clear({ settled: true });
    return;
  }
  const length = codePointLength(text);
  if (length > limit) {
    stale(shown !== null);
    message.note(() => strings().too_long(length, limit), "error");
    return;
  }
  const request = { source: directions.source.value, target: directions.target.value, granularity };
  const controller = new AbortController();
  running = controller;
  const waiting = setTimeout(() => busy(true), SLOW);
  try {
    const { answer, missing } = await ask(text, request, controller.signal);
    message.clear({ settled: true });
    show(text, request, answer);
    if (missing) message.note(() => strings().without_attention[missing]);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    if (!(problem instanceof api.Problem)) throw problem;
    stale(shown !== null);
    message.problem(problem);
  } finally {
    clearTimeout(waiting);
    if (running === controller) {
      running = null;
      busy(false);
    }
  }
}

/** With attention if there is any and it is not too large to send; else without, and `missing` says why. */
async function ask(text, request, signal) {
  const body = { ...request, texts: [text] };
  try {
    return { answer: await api.translate({ ...body, return: ["tokens", "scores", "attention"] }, signal) };
  } catch (problem) {
    if (!(problem.code in strings().without_attention)) throw problem;
    return { answer: await api.translate(body, signal), missing: problem.code };
  }
}

function show(text, request, answer) {
  const [result] = answer.results;
  const source = new CodePointText(text);
  const sentences = result.sentences.map((sentence) => new Sentence(source, sentence));
  shown = { text, answer, request, sentences };
  light.reset(sentences);
  output.show(result.text, sentences);
  mirror.show(text, sentences);
  attention.show(sentences, { text, ...request });
  byId("welcome").hidden = true;
  output.container.classList.remove("is-empty");
  stale(false);
  if (sentences.length > 0) pick(Math.min(attention.picked, sentences.length - 1), { fresh: true });
  describe();
  announce(strings().translated(sentences.length));
}

/** Makes a sentence the one whose ribbons and matrix are shown. */
function pick(index, { fresh = false } = {}) {
  if (!shown || index < 0 || index >= shown.sentences.length) return;
  if (!fresh && index === attention.picked) return;
  output.pick(index, shown.sentences.length);
  mirror.pick(index, shown.sentences.length);
  attention.pick(index);
}

/** What was translated is gone or no longer what the field says. */
function forget() {
  shown = null;
  light.reset([]);
  mirror.plain(field.value);
  attention.hide();
  output.container.replaceChildren();
  output.container.classList.add("is-empty");
  stale(false);
  byId("welcome").hidden = field.value.trim() !== "" || !directions.any;
  describe();
}

function describe() {
  const table = strings();
  const { model, timing_ms: timing } = shown?.answer ?? {};
  const told = model
    ? [table.made_by(model.name, model.version), table.took(Math.max(1, Math.round(timing.queue + timing.compute)))]
    : [];
  byId("made-by").textContent = told.join(" · ");
  byId("copy").disabled = !shown;
  byId("link").disabled = field.value.trim() === "" || !directions.any;
  if (!shown) output.container.dataset.empty = table.translation_empty;
}

/** Dims a translation that is not of what the field says now. */
function stale(yes) {
  output.container.classList.toggle("is-stale", yes);
  byId("attention").classList.toggle("is-stale", yes);
}

function busy(yes) {
  byId("panels").classList.toggle("is-busy", yes);
  byId("output").setAttribute("aria-busy", String(yes));
}

// ---------------------------------------------------------------- the field

function count() {
  const length = codePointLength(field.value);
  const counter = byId("count");
  counter.hidden = limit === Infinity;
  if (counter.hidden) return;
  counter.textContent = strings().count(length, limit);
  counter.setAttribute("aria-label", strings().count_spoken(length, limit));
  counter.classList.toggle("is-over", length > limit);
  byId("clear").hidden = length === 0;
}

function edited() {
  memory.dropHash();
  memory.keepDraft(field.value);
  running?.abort();
  if (field.value.trim() === "") {
    forget();
    message.clear();
  } else {
    light.reset([]);
    mirror.plain(field.value);
    stale(shown !== null);
    byId("welcome").hidden = true;
  }
  count();
  describe();
}

function setText(text) {
  field.value = text;
  edited();
  translate();
}

field.addEventListener("input", (event) => {
  edited();
  clearTimeout(timer);
  // An input method is still composing: its keys are not the text yet.
  if (!event.isComposing) timer = setTimeout(translate, PAUSE);
});
field.addEventListener("compositionend", () => {
  clearTimeout(timer);
  timer = setTimeout(translate, PAUSE);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    translate();
  } else if (event.key === "Escape") {
    light.set("pin", null);
  }
});
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-sentence]") && event.target !== field) light.set("pin", null);
});

function swap() {
  const translated = shown && shown.text === field.value ? shown.answer.results[0].text : field.value;
  setText(translated);
}

// ---------------------------------------------------------------- buttons

async function copy(button, text) {
  const done = await copyText(text);
  const label = button.querySelector("span");
  const key = label.dataset.text;
  label.textContent = done ? strings().copied : strings()[key];
  announce(done ? strings().copied : strings().copy_failed);
  if (!done) message.note(() => strings().copy_failed, "error");
  setTimeout(() => {
    label.textContent = strings()[key];
  }, 1600);
}

byId("copy").addEventListener("click", (event) => copy(event.currentTarget, shown.answer.results[0].text));
byId("link").addEventListener("click", (event) =>
  copy(event.currentTarget, memory.linkTo(directions.source.value, directions.target.value, field.value)),
);
byId("clear").addEventListener("click", () => {
  setText("");
  field.focus();
});

for (const radio of document.querySelectorAll("[name=granularity]")) {
  radio.checked = radio.value === granularity;
  radio.addEventListener("change", () => {
    granularity = radio.value;
    memory.remember("granularity", granularity);
    translate();
  });
}
for (const radio of document.querySelectorAll("[name=page-language]")) {
  radio.checked = radio.value === pageLanguage;
  radio.addEventListener("change", () => setLanguage(radio.value));
}

function offerExamples() {
  const made = (examples[directions.source.value] ?? []).map((text) => {
    const button = element("button", { type: "button", className: "example", textContent: text, dir: "auto" });
    button.addEventListener("click", () => setText(text));
    return button;
  });
  byId("examples").replaceChildren(...made);
  byId("welcome").hidden = made.length === 0 || field.value.trim() !== "";
}
byId("source-language").addEventListener("change", offerExamples);
byId("swap").addEventListener("click", offerExamples);

// ---------------------------------------------------------------- start

async function start() {
  const hash = memory.readHash();
  field.value = hash?.text ?? (field.value || memory.draft());
  memory.keepDraft(field.value);
  mirror.plain(field.value);
  try {
    const [languages, limits] = await Promise.all([api.languages(), api.limits()]);
    limit = limits.max_characters ?? Infinity;
    directions.fill(languages, hash);
  } catch (problem) {
    if (!(problem instanceof api.Problem)) throw problem;
    message.problem(problem);
    return;
  } finally {
    count();
  }
  if (!directions.any) {
    if (await api.loading()) message.problem(new api.Problem({ code: "loading" }));
    else message.note(() => strings().no_models);
  } else if (hash?.source && hash?.target && !directions.has(hash.source, hash.target)) {
    const { source, target } = hash;
    message.note(() => strings().unknown_pair(directions.name(source), directions.name(target)), "error");
    describe();
    return;
  }
  offerExamples();
  describe();
  await translate();
}

addEventListener("hashchange", () => memory.readHash() && start());

onLanguage(() => {
  directions.rename();
  message.repeat();
  count();
  describe();
  if (shown) attention.pick(attention.picked);
});

start();
