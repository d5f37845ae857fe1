/** The transport without our server: a static folder, whose answers are saved as a file, or a JATOS study. */

import { element } from "./elements.js";
import { identity } from "./identity.js";
import { BEGINNING, Rules, canonical } from "./rules.js";
import { sha256 } from "./sha256.js";
import { Refused, recall } from "./transport.js";
import { sentence } from "./words.js";

/** The transport of this page, once the list is known. Throws `Refused`, or another error where a retry may help. */
export async function transport() {
  const { jatos } = globalThis; // from the script jatos.js, which only JATOS has
  const study = await json("study.json");
  return jatos === undefined ? Browser.open(study) : Jatos.open(study, jatos);
}

/** What both share: one list, and a listener's state, which the rules update with every message. */
class Offline {
  constructor(study, list, { name, listener, service }) {
    this.study = study;
    this.list = list;
    this.rules = new Rules(study, list);
    this.state = BEGINNING;
    this.header = { kind: "listener", audiometamer: study.audiometamer, service, list: name, listener };
    this.storageKey = `audiometamer/${name.slice(0, 12)}/${listener.slice(0, 12)}`;
  }

  async session() {
    const { title, task, headphones, questions, texts, completion } = this.study;
    const state = this.rules.pageState(this.state);
    const { debriefing, ...before } = texts;
    const address = state.over && completion[state.over];
    return {
      title,
      state,
      trials: this.list.trials.map(({ right, ...trial }) => trial),
      task,
      headphones,
      breaks: this.list.breaks,
      questions,
      texts: state.over ? texts : before,
      completion: address ? { address, fields: {} } : null,
    };
  }

  async send(message) {
    this.catchUp();
    const after = this.rules.after(this.state, message);
    if (after !== this.state) await this.keep(message, after);
    await this.kept();
    return { kept: message.key, state: this.rules.pageState(after), feedback: this.rules.feedback(message) };
  }

  async sound(stimulus) {
    return (await found(`sounds/${stimulus}.wav`)).blob();
  }

  picture(k) {
    return `pictures/${k}.png`;
  }
}

/** A static folder: every message is a line in this browser's storage, and all lines together form the file of answers. */
class Browser extends Offline {
  static async open(study) {
    const token = location.hash.slice(1);
    if (!token) throw refusal(401, "whole_link");
    const name = sha256(token).slice(0, 32);
    const list = await json(`lists/${name}.json`, "no_list");
    return new Browser(study, list, { name, listener: listenerHere(name), service: "static" });
  }

  constructor(...all) {
    super(...all);
    this.lines = 0;
    this.catchUp();
    addEventListener("beforeunload", (event) => {
      if (this.rules.pageState(this.state).over && !this.saved) event.preventDefault();
    });
  }

  /** Read the storage: after a reload all of it, later what another tab wrote. */
  catchUp() {
    for (let line = this.line(this.lines + 1); line !== null; line = this.line(this.lines + 1)) {
      this.state = this.rules.after(this.state, JSON.parse(line));
      this.lines += 1;
    }
  }

  line(k) {
    return localStorage.getItem(`${this.storageKey}/line/${k}`);
  }

  async keep(message, state) {
    localStorage.setItem(`${this.storageKey}/line/${this.lines + 1}`, JSON.stringify(message));
    this.lines += 1;
    this.state = state;
    this.saved = false;
  }

  async kept() {}

  get saved() {
    return localStorage.getItem(`${this.storageKey}/saved`) === String(this.lines);
  }

  set saved(now) {
    localStorage.setItem(`${this.storageKey}/saved`, now ? String(this.lines) : "");
  }

  /** All lines, after a header that says whose they are. */
  file() {
    const lines = [JSON.stringify(this.header)];
    for (let k = 1; k <= this.lines; k += 1) lines.push(this.line(k));
    return `${lines.join("\n")}\n`;
  }

  async end({ completion }) {
    const save = button(sentence("buttons.save"), () => {
      const address = URL.createObjectURL(new Blob([this.file()], { type: "application/jsonl" }));
      const download = `answers-${this.header.list.slice(0, 8)}-${this.header.listener.slice(0, 8)}.jsonl`;
      element("a", { href: address, download }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
      this.saved = true;
    });
    const place = document.querySelector("#end");
    place.append(element("p", { textContent: sentence("end.here_alone") }), save);
    if (completion) place.append(" ", element("a", { href: completion.address, textContent: sentence("buttons.finish") }));
  }
}

/**
 * A JATOS study: answers are its result data; the batch session, which every page of the batch can read and write, records which
 * lists are taken and how far their listeners are. It names no list, and a state in it counts only with the right seal.
 */
class Jatos extends Offline {
  static async open(study, jatos) {
    await loaded(jatos);
    const token = jatos.urlQueryParameters?.list;
    const listener = listenerOf(jatos, study, token);
    if (!token && !study.lists.length) throw refusal(401, "whole_link");
    const offered = token ? [sha256(token).slice(0, 32)] : study.lists;
    if (token) await found(`lists/${offered[0]}.json`, "no_list");
    const name = await seated(jatos, offered, listener);
    const list = await json(`lists/${name}.json`);
    return new Jatos(jatos, token ?? name, study, list, { name, listener, service: "jatos" });
  }

  constructor(jatos, secret, ...all) {
    super(...all);
    this.jatos = jatos;
    this.secret = secret; // what opens the list
    this.announced = false; // JATOS begins a new result after every reload, which needs a header again
    this.catchUp();
    this.noted = this.state;
  }

  /** Adopt a later state: a listener who opened the study twice may be further elsewhere. */
  catchUp() {
    const here = JSON.parse(recall(`${this.storageKey}/seat`)); // others may have overwritten the batch session
    for (const { state, seal } of [this.jatos.batchSession.get(seatOf(this.header.listener)) ?? {}, here ?? {}]) {
      if (!isShallow(state) || seal !== this.seal(state)) continue;
      if (state.answered + state.others <= this.state.answered + this.state.others) continue;
      this.state = { ...state, kept: { ...this.state.kept, ...state.kept } };
      this.noted = this.state;
    }
  }

  async keep(message, state) {
    const lines = this.announced ? [message] : [this.header, message];
    await asked(this.jatos.appendResultData(lines.map((line) => `${JSON.stringify(line)}\n`).join("")));
    this.announced = true;
    this.state = state;
  }

  /** Record how far this listener is; other listeners have other fields, so that no version is needed. */
  async kept() {
    if (this.noted === this.state) return;
    const { jatos, state } = this;
    const noted = { ...state, kept: Object.fromEntries(Object.entries(state.kept).slice(-REMEMBERED)) };
    const seat = { list: sha256(this.header.list), state: noted, seal: this.seal(noted) };
    recall(`${this.storageKey}/seat`, JSON.stringify(seat));
    jatos.batchSessionVersioning = false;
    await asked(jatos.batchSession.set(seatOf(this.header.listener), seat));
    this.noted = state;
  }

  /** Seal of a state, which only the holder of this list's link can compute. */
  seal(state) {
    return sha256(`${this.secret} ${canonical(state)} ${this.secret}`);
  }

  async end({ state, completion }) {
    const done = button(sentence("buttons.finish"), () => {
      done.disabled = true;
      if (completion) this.jatos.endStudyAndRedirect(completion.address, true, state.over);
      else this.jatos.endStudy(true, state.over);
    });
    document.querySelector("#end").append(done);
  }
}

const REMEMBERED = 8; // messages are sent one by one: after a reload, only the last may be repeated
const ATTEMPTS = 30;

const whenLoaded = new WeakMap();

/** When jatos.js is ready, which it reports only once. */
function loaded(jatos) {
  if (!whenLoaded.has(jatos)) whenLoaded.set(jatos, new Promise((resolve) => jatos.onLoad(resolve)));
  return whenLoaded.get(jatos);
}

/** Whether this may be a state: an object whose values hold no objects. A deeper one could exhaust the stack of whoever seals it. */
function isShallow(state) {
  const held = (value) => (value !== null && typeof value === "object" ? Object.values(value) : []);
  return state !== null && typeof state === "object" && held(state).flatMap(held).every((value) => held(value).length === 0);
}

/** The field of one listener in the batch session. */
function seatOf(listener) {
  return `audiometamer-${listener}`;
}

/** The name of a listener's list, of those offered: their earlier one, or the first that no listener has who was not stopped. */
async function seated(jatos, offered, listener) {
  jatos.batchSessionVersioning = true; // of two who take the same list simultaneously, JATOS refuses one
  for (let attempt = 1; ; attempt += 1) {
    const all = Object.entries(jatos.batchSession.getAll() ?? {});
    const seats = all.filter(([field, seat]) => field.startsWith("audiometamer-") && seat); // others may have written anything
    const own = seats.find(([field]) => field === seatOf(listener))?.[1].list;
    const before = offered.find((name) => sha256(name) === own);
    if (before !== undefined) return before;
    const taken = seats.filter(([, seat]) => !seat.state?.stopped).map(([, seat]) => seat.list);
    const free = offered.find((name) => !taken.includes(sha256(name)));
    if (free === undefined) {
      const whose = offered.length === 1 ? "this list has its listener" : `all ${offered.length} lists have their listeners`;
      throw new Refused(409, whose, { code: "complete" });
    }
    try {
      await asked(jatos.batchSession.set(seatOf(listener), { list: sha256(free), state: BEGINNING }));
      return free;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(100 * attempt, 2000) * Math.random()));
    }
  }
}

/**
 * A pseudonym of the listener, as all pages of a batch see the batch session: from the name at Prolific, or else from the link;
 * JATOS takes a person who opens a general link again for another worker.
 */
function listenerOf(jatos, study, token) {
  const given = jatos.urlQueryParameters?.PROLIFIC_PID;
  const participant = given === undefined ? null : identity(given);
  if (given !== undefined && participant === null) {
    throw new Refused(403, "prolific does not say who this is", { code: "unnamed" });
  }
  const who = participant !== null ? `prolific ${participant}` : token ? `link ${token}` : `worker ${jatos.workerId}`;
  return sha256(`${study.salt} ${who}`).slice(0, 32);
}

/** This browser's identifier of its listener of a list. */
function listenerHere(name) {
  const place = `audiometamer/${name.slice(0, 12)}/listener`;
  try {
    if (localStorage.getItem(place) === null) {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      localStorage.setItem(place, [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
    }
    return localStorage.getItem(place);
  } catch {
    throw refusal(403, "no_storage");
  }
}

/** Await a promise of jatos.js, whose rejections are texts, or undefined. */
async function asked(promise) {
  try {
    return await promise;
  } catch (error) {
    throw new Error(`JATOS did not take it: ${error?.message ?? error ?? "no reason given"}`);
  }
}

/** A refusal by the page itself, with a sentence of the catalogue. */
function refusal(status, code) {
  return new Refused(status, sentence(`errors.${code}`), { code });
}

async function json(path, missing) {
  return (await found(path, missing)).json();
}

/** A file beside the page; `missing`: the code of the sentence for a listener if it does not exist. */
async function found(path, missing = "no_file") {
  const response = await fetch(path);
  if (response.ok) return response;
  if (response.status === 404) throw refusal(404, missing);
  throw new Error(`${path}: ${response.status} ${response.statusText}`);
}

function button(label, action) {
  const made = element("button", { type: "button", className: "main", textContent: label });
  made.addEventListener("click", action);
  return made;
}
