/** What a listener may send, and what follows: the rules of audiometamer/listening/store.py and checks.py, for pages without a server. */

import { sha256 } from "./sha256.js";
import { Refused } from "./transport.js";
import { isMessage, isPlausible } from "./shapes.js";

/** Before the first message. `right`: answers by kind of trial; `others`: forms and events; `kept`: a digest of each message, by its key. */
export const BEGINNING = { answered: 0, right: {}, forms: [], others: 0, stopped: false, kept: {} };

export class Rules {
  /** `study`: study.json; `list`: the listener's own, lists/<name>.json; see audiometamer/experiment/pack.py. */
  constructor(study, list) {
    this.study = study;
    this.trials = list.trials;
  }

  /** The state after a message, or the same object if the message is known. Throws `Refused`. */
  after(state, message) {
    if (!isMessage(message)) throw new Refused(422, "this is not a valid message");
    const digest = sha256(canonical(message)).slice(0, 16);
    const same = state.kept[message.key];
    if (same === digest) return state;
    if (same !== undefined) this.#conflict(state, "another message was kept under this key");
    if (!isPlausible(message)) throw new Refused(422, "it holds a date outside the years 1970 to 2199");
    const kept = { ...state.kept, [message.key]: digest };
    if (message.kind === "answer") return { ...this.#answered(state, message), kept };
    if (state.others >= this.study.most_messages) {
      throw new Refused(429, `more than ${this.study.most_messages} forms and events are not kept`, { code: "excess" });
    }
    const others = state.others + 1;
    if (message.kind === "events") return { ...state, others, kept };
    checkReplies(message, this.study.questions);
    return { ...state, others, kept, forms: [...new Set([...state.forms, message.form])].sort() };
  }

  #answered(state, message) {
    this.#checkAnswer(state, message);
    const trial = this.trials[message.trial - 1];
    const following = this.trials[message.trial]?.kind;
    const right = { ...state.right };
    if (this.#isRight(trial, message.answer)) right[trial.kind] = (right[trial.kind] ?? 0) + 1;
    const gate = this.study.gates[trial.kind];
    const ends = gate !== undefined && following !== trial.kind && gate.otherwise === "stop";
    return { ...state, answered: message.trial, right, stopped: ends && (right[trial.kind] ?? 0) < gate.minimum };
  }

  /** Throw unless a message answers the trial whose turn it is, with one of the answers that this accepts. */
  #checkAnswer(state, message) {
    const n = this.trials.length;
    if (!state.forms.includes("consent")) this.#conflict(state, "there was no consent");
    if (state.stopped) this.#conflict(state, "the experiment is over");
    if (message.trial > n) throw new Refused(422, `there is no trial ${message.trial}; there are ${n}`);
    if (message.trial <= state.answered) this.#conflict(state, `trial ${message.trial} is answered`);
    if (message.trial > state.answered + 1) this.#conflict(state, `it is the turn of trial ${state.answered + 1}`);
    const trial = this.trials[message.trial - 1];
    if (message.stimulus !== trial.stimulus) throw new Refused(422, `trial ${message.trial} plays another sound`);
    if (!this.#options(trial).includes(message.answer)) throw new Refused(422, "this is none of the possible answers");
    const asked = Boolean(this.study.task.confidence) && trial.kind !== "headphones";
    if (asked !== Number.isFinite(message.confidence)) throw new Refused(422, asked ? "a confidence is needed" : "no confidence is asked for");
  }

  #options(trial) {
    if (trial.kind === "headphones") return this.study.headphones.answers;
    return trial.options?.length ? trial.options : this.study.task.answers;
  }

  /** Whether an answer counts as the right one, where the page may know. */
  #isRight(trial, answer) {
    const { counted = {} } = this.study;
    const standing = (word) => (Object.hasOwn(counted, word) ? counted[word] : word);
    const same = new Set([answer, standing(answer), ...Object.keys(counted)].filter((word) => standing(word) === standing(answer)));
    return [...same].some((word) => this.#isThis(trial, word));
  }

  #isThis(trial, answer) {
    return trial.right !== undefined && sha256(`${this.study.salt} ${trial.stimulus} ${answer}`).slice(0, 32) === trial.right;
  }

  /** The right answer, after a practice trial; found by trying all answers. */
  feedback(message) {
    const trial = message.kind === "answer" ? this.trials[message.trial - 1] : null;
    if (trial?.kind !== "practice") return null;
    const answer = this.#options(trial).find((option) => this.#isThis(trial, option));
    return { correct: this.#isRight(trial, message.answer), answer };
  }

  /** How far a listener has come, as the page knows it. */
  pageState(state) {
    const done = state.answered === this.trials.length;
    const over = state.stopped ? "stopped" : done ? "finished" : null;
    return { next: over ? null : state.answered + 1, over, forms: state.forms };
  }

  #conflict(state, message) {
    throw new Refused(409, message, { state: this.pageState(state) });
  }
}

function checkReplies({ form, content = {} }, questions) {
  if (!form.startsWith("questions-")) return;
  const asked = questions.filter((question) => `questions-${question.when}` === form);
  const empty = (reply) => reply === undefined || reply === null || reply === "";
  for (const [name, reply] of Object.entries(content)) {
    const question = asked.find((one) => one.name === name);
    if (!question) throw new Refused(422, "there is no such question");
    if (empty(reply)) continue;
    if (question.kind === "number" && typeof reply !== "number") throw new Refused(422, `the answer to ${name} must be a number`);
    if (question.kind !== "number" && typeof reply !== "string") throw new Refused(422, `the answer to ${name} must be a text`);
    if (question.kind === "choice" && !question.options.includes(reply)) {
      throw new Refused(422, `the answer to ${name} is none of its options`);
    }
  }
  const lacking = asked.find((question) => question.required && empty(content[question.name]));
  if (lacking) throw new Refused(422, `an answer to ${lacking.name} is needed`);
}

/** JSON that is equal for equal contents. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const fields = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${fields.join()}}`;
}
