/** The page: text in, translation out, and the light between them. */

import * as api from "./api.js";
import { Card } from "./card.js";
import { Directions } from "./directions.js";
import { choose, count, offerExamples, tinting } from "./controls.js";
import { announce, byId, copyOn } from "./element.js";
import { Light } from "./light.js";
import { Live } from "./live.js";
import * as memory from "./memory.js";
import { Message } from "./message.js";
import { Question } from "./question.js";
import { Mirror, Output } from "./reading.js";
import { Readout } from "./readout.js";
import { Session } from "./session.js";
import { onLanguage, pageLanguage, setLanguage, strings } from "./strings.js";
import { codePointLength } from "./text.js";
import { showFlags } from "./trust.js";
import { Workbench } from "./workbench.js";

const PAUSE = 450; // milliseconds without typing that mean "translate this"
const SLOW = 150; // milliseconds before the page says that it waits
const VIEWS = ["linked", "gloss", "plain"];

const field = byId("text");
const light = new Light();
const session = new Session();
const output = new Output(byId("output"), light, pick);
const mirror = new Mirror(byId("mirror"), field, light, pick);
const readout = new Readout(light);
const card = new Card(() => session.result?.shows ?? "attention");
const bench = new Workbench(light, { body, pick, use, model: () => session.answer.model, limits: () => limits });
const question = new Question(light, { result: () => session.result, body, redo, undo });
const message = new Message(() => (directions.any ? translate() : start()));
const directions = new Directions(() => translate(), swap);

let granularity = memory.preference("granularity") === "subword" ? "subword" : "word";
let view = VIEWS.includes(memory.preference("view")) ? memory.preference("view") : "linked";
let limits = { max_characters: Infinity };
let timer = 0;

/** What every request of the present result has in common. */
function body() {
  return session.request ?? { source: directions.source.value, target: directions.target.value, granularity };
}

// ---------------------------------------------------------------- translate

/** `whole`: all at once, for the text that the page opens with. */
async function translate({ whole = false } = {}) {
  clearTimeout(timer);
  session.cancel();
  const text = field.value;
  const request = { source: directions.source.value, target: directions.target.value, granularity };
  output.container.lang = request.target;
  for (const side of [field, mirror.container]) side.lang = request.source;
  if (!directions.any) return;
  if (text.trim() === "") {
    forget();
    message.clear({ settled: true });
    return;
  }
  const length = codePointLength(text);
  if (length > limits.max_characters) {
    stale(session.result !== null);
    message.note(() => strings().too_long(length, limits.max_characters), "error");
    return;
  }
  const live = new Live(output.container, text);
  const missing = await attempt(() =>
    session.translate(
      text,
      request,
      whole
        ? null
        : {
            start: (event) => live.start(event),
            token: (event) => live.token(event),
            sentence: (event) => live.sentence(event),
          },
    ),
  );
  if (missing === undefined) return;
  show();
  announce(strings().translated(session.result.sentences.length));
  if (missing) message.note(() => strings().without_attention[missing]);
}

/** Runs what asks the server; undefined when it came to nothing. */
async function attempt(work) {
  const waiting = setTimeout(() => busy(true), SLOW);
  try {
    const outcome = await work();
    if (!outcome) return undefined;
    message.clear({ settled: true });
    return outcome.missing;
  } catch (problem) {
    if (!(problem instanceof api.Problem)) throw problem;
    restore();
    stale(session.result !== null);
    message.problem(problem);
    return undefined;
  } finally {
    clearTimeout(waiting);
    if (!session.busy) busy(false);
  }
}

async function redo(index, prefix) {
  if ((await attempt(() => session.redo(index, prefix))) !== undefined) show(index);
}

function undo(index) {
  session.undo(index);
  show(index);
}

function use(index, sentence) {
  session.use(index, sentence);
  show(index);
}

/** Puts the result on the page, with the light out. */
function show(index = bench.picked) {
  const { result } = session;
  light.reset(result.sentences);
  lay();
  mirror.show(result);
  bench.show(result);
  showFlags(result, pick);
  byId("welcome").hidden = true;
  stale(false);
  if (result.sentences.length > 0) pick(Math.min(index, result.sentences.length - 1), { fresh: true });
  describe();
  readout.paint();
}

function lay() {
  output.show(session.result, view, body());
  output.container.classList.remove("is-empty");
  output.pick(bench.picked, session.result.sentences.length);
}

/** A translation that was being written and broke off gives way to the one before it. */
function restore() {
  if (session.result) lay();
  else forget();
}

/** Makes a sentence the one that is looked at. */
function pick(index, { fresh = false } = {}) {
  const total = session.result?.sentences.length ?? 0;
  if (index < 0 || index >= total || (!fresh && index === bench.picked)) return;
  output.pick(index, total);
  mirror.pick(index, total);
  bench.pick(index);
  question.tellChange(session.change(index));
}

/** What was translated is gone or no longer what the field says. */
function forget() {
  session.forget();
  light.reset([]);
  mirror.plain(field.value);
  bench.hide();
  question.tellChange(null);
  showFlags(null);
  output.container.replaceChildren();
  output.container.classList.add("is-empty");
  stale(false);
  byId("welcome").hidden = field.value.trim() !== "" || !directions.any;
  describe();
  readout.paint();
}

function describe() {
  byId("link").disabled = field.value.trim() === "" || !directions.any;
  output.container.dataset.empty = strings().translation_empty;
  card.credit(session.answer ?? {});
}

/** Dims a translation that is not of what the field says now. */
function stale(yes) {
  for (const part of [output.container, byId("flags"), byId("attention")]) part.classList.toggle("is-stale", yes);
  byId("copy").disabled = yes || !session.result;
}

function busy(yes) {
  byId("panels").classList.toggle("is-busy", yes);
  output.container.setAttribute("aria-busy", String(yes));
  byId("cancel").hidden = !yes;
}

// ---------------------------------------------------------------- the field

function edited() {
  memory.dropHash();
  memory.keepDraft(field.value);
  if (session.busy) cancel();
  if (field.value.trim() === "") {
    forget();
    message.clear();
  } else {
    light.reset([]);
    question.close();
    mirror.plain(field.value);
    stale(session.result !== null);
    byId("welcome").hidden = true;
  }
  count(field.value, limits.max_characters);
  describe();
}

function cancel() {
  session.cancel();
  busy(false);
  restore();
  stale(session.result !== null);
}

/** As if it had been typed, so that the browser can undo it. */
function setText(text) {
  const { activeElement: focused } = document;
  field.focus({ preventScroll: true });
  field.select();
  if (!document.execCommand(text === "" ? "delete" : "insertText", false, text)) field.value = text;
  if (focused !== field) focused?.focus({ preventScroll: true });
  edited();
  translate();
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(translate, PAUSE);
}

field.addEventListener("input", (event) => {
  edited();
  clearTimeout(timer);
  // An input method is still composing: its keys are not the text yet.
  if (!event.isComposing) soon();
});
field.addEventListener("compositionend", soon);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    translate();
  } else if (event.key === "Escape") {
    const asked = byId("question").contains(document.activeElement) && output.container.querySelector(".is-pinned");
    light.set("pin", null);
    if (asked) asked.focus({ preventScroll: true });
  }
});
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-sentence], #strip, #attention, dialog") && event.target !== field) light.set("pin", null);
});

function swap() {
  const current = session.result?.source === field.value ? session.result.text : field.value;
  setText(current);
}

// ---------------------------------------------------------------- buttons

async function copy(button, text) {
  if (!(await copyOn(button, text))) message.note(() => strings().copy_failed, "error");
}

byId("copy").addEventListener("click", (event) => copy(event.currentTarget, session.result.text));
byId("link").addEventListener("click", (event) =>
  copy(event.currentTarget, memory.linkTo(directions.source.value, directions.target.value, field.value)),
);
byId("clear").addEventListener("click", () => {
  setText("");
  field.focus();
});
byId("cancel").addEventListener("click", () => {
  cancel();
  field.focus();
});

choose("granularity", granularity, (value) => {
  granularity = value;
  memory.remember("granularity", value);
  translate();
});
choose("view", view, (value) => {
  view = value;
  memory.remember("view", value);
  if (session.result && !session.busy) {
    light.set("pin", null);
    lay();
  }
});
choose("page-language", pageLanguage, setLanguage);

tinting(output.container);

/** What belongs to a direction: examples, and the other models that serve it. */
function turned() {
  offerExamples(directions.source.value, setText);
  byId("welcome").hidden = field.value.trim() !== "";
  bench.offerComparison(directions.others);
}

/** The reader has chosen another direction than the one that the address may name. */
function chosen() {
  memory.dropHash();
  memory.keepDraft(field.value);
  turned();
}
byId("source-language").addEventListener("change", chosen);
byId("target-language").addEventListener("change", chosen);
byId("swap").addEventListener("click", chosen);

// ---------------------------------------------------------------- start

async function start() {
  const hash = memory.readHash();
  field.value = hash?.text ?? (field.value || memory.draft());
  const opened = field.value;
  memory.keepDraft(field.value);
  mirror.plain(field.value);
  try {
    const [languages, allowed, { models }] = await Promise.all([api.languages(), api.limits(), api.models()]);
    limits = allowed;
    session.mostCells = 2 * allowed.max_attention_cells; // an estimate by subwords errs on the large side
    directions.fill(languages, models, hash);
  } catch (problem) {
    if (!(problem instanceof api.Problem)) throw problem;
    message.problem(problem);
    return;
  } finally {
    count(field.value, limits.max_characters);
  }
  turned();
  if (!directions.any) {
    if (await api.loading()) message.problem(new api.Problem({ code: "loading" }));
    else message.note(() => strings().no_models);
  } else if (hash?.source && hash?.target && !directions.has(hash.source, hash.target)) {
    const { source, target } = hash;
    message.note(() => strings().unknown_pair(directions.name(source), directions.name(target)), "error");
    describe();
    return;
  }
  describe();
  await translate({ whole: field.value === opened }); // what was typed meanwhile appears as it is decided
}

addEventListener("hashchange", () => memory.readHash() && start());

onLanguage(() => {
  directions.rename();
  message.repeat();
  count(field.value, limits.max_characters);
  describe();
  readout.paint();
  if (session.result) {
    showFlags(session.result, pick);
    pick(bench.picked, { fresh: true });
  }
});

start();
