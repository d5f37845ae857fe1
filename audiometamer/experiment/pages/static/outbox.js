/** What is to be sent: kept in this browser until it is confirmed, sent in order, and sent again until it is. */

import { Refused, persist } from "./retry.js";
import { KEPT_HERE } from "./words.js";

const MOST_EVENTS = 100; // in one message
const NO_STORAGE = "no storage";

export class Outbox {
  #transport;
  #say;
  #place;
  #waiting = []; // messages without confirmation, in order
  #events = [];
  #turn = Promise.resolve();

  /** `say` is called with what a listener should know while nothing can be sent, and with "" when it can. */
  constructor(transport, say) {
    this.#transport = transport;
    this.#say = say;
    this.#place = `${transport.storageKey}/outbox`;
    ({ waiting: this.#waiting, events: this.#events } = JSON.parse(this.#kept() ?? '{"waiting": [], "events": []}'));
  }

  /** Something happened on the page; it is sent with the next message. */
  note(what, { trial = null, ...details } = {}) {
    if (this.#events.length >= MOST_EVENTS) return;
    this.#events.push({ what, trial, when: new Date().toISOString(), details });
    if (what !== NO_STORAGE) this.#keep();
  }

  /** Send what was left when the page was closed; what is refused now was kept then, or overtaken. */
  async rest() {
    for (const message of [...this.#waiting]) {
      try {
        await this.#deliver(message);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.note("old message refused", { status: error.status, reason: error.message });
      }
    }
  }

  /** Send an answer or a form, events before it; the confirmation. Throws `Refused`. */
  send(message) {
    const sent = this.#turn.then(() => this.#send({ key: newKey(), ...message }));
    this.#turn = sent.catch(() => {});
    return sent;
  }

  async #send(message) {
    const events = this.#events.splice(0);
    if (events.length) this.#waiting.push({ kind: "events", key: newKey(), events });
    this.#waiting.push(message);
    this.#keep();
    let confirmation = null;
    for (const one of [...this.#waiting]) {
      try {
        confirmation = await this.#deliver(one);
      } catch (error) {
        if (!(error instanceof Refused) || one === message) throw error;
      }
    }
    return confirmation;
  }

  /** Send one message until it is confirmed or refused; then it is kept no longer. */
  async #deliver(message) {
    try {
      const attempt = async () => {
        const told = await this.#transport.send(message);
        if (told.kept !== message.key) throw new Error("another message was confirmed");
        return told;
      };
      return await persist(attempt, (error, attempts) => {
        if (attempts === 1) this.note("message not confirmed", { reason: error.message });
        if (attempts === 2) this.#say(KEPT_HERE);
      });
    } finally {
      this.#say("");
      this.#waiting = this.#waiting.filter((other) => other.key !== message.key);
      this.#keep();
    }
  }

  #kept() {
    try {
      return localStorage.getItem(this.#place);
    } catch (error) {
      this.note(NO_STORAGE, { reason: error.message });
      return null;
    }
  }

  #keep() {
    try {
      localStorage.setItem(this.#place, JSON.stringify({ waiting: this.#waiting, events: this.#events }));
    } catch (error) {
      this.note(NO_STORAGE, { reason: error.message }); // it is still in memory, and the listener waits for its confirmation
    }
  }
}

/** 22 characters that nobody else draws. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
