/** Outgoing messages: kept in this browser, sent in order, and retried until they are confirmed. */

import { Refused, persist } from "./retry.js";
import { sentence } from "./words.js";

const MAX_EVENTS = 100; // in one message
const NO_STORAGE = "no storage";
const FINAL = [400, 409, 413, 415, 422, 429]; // statuses that refuse the message itself; others concern the link, and may pass

export class Outbox {
  #transport;
  #say;
  #place;
  #waiting = []; // unconfirmed messages, in order
  #events = [];
  #plays = 0; // how often the last sound was played
  #turn = Promise.resolve();

  /** `say` is called with what the listener should know while nothing can be sent, and with "" afterwards. */
  constructor(transport, say) {
    this.#transport = transport;
    this.#say = say;
    this.#place = transport.storageKey;
    this.#stored(() => {
      const places = Object.keys(localStorage).filter((name) => name.startsWith(this.#messagePlace("")));
      const kept = places.map((name) => JSON.parse(localStorage.getItem(name)));
      this.#waiting = kept.sort((a, b) => a.since - b.since).map(({ message }) => message);
      this.#events = JSON.parse(localStorage.getItem(`${this.#place}/events`)) ?? [];
    });
  }

  /** Note an event on the page; it is sent with the next message. */
  note(what, { trial = null, ...details } = {}) {
    if (this.#events.length >= MAX_EVENTS) return;
    this.#events.push({ what, trial, when: new Date().toISOString(), details });
    if (what !== NO_STORAGE) this.#keepEvents();
  }

  /** Count a playback; how often this trial's sound was played so far, including before a reload and in other windows. */
  played(trial) {
    this.#plays += 1;
    this.#stored(() => {
      const before = JSON.parse(localStorage.getItem(`${this.#place}/plays`));
      this.#plays = before?.trial === trial ? before.plays + 1 : 1;
      localStorage.setItem(`${this.#place}/plays`, JSON.stringify({ trial, plays: this.#plays }));
    });
    return this.#plays;
  }

  /** Send what was left when the page was closed; a message that is refused now was stored then, or overtaken. */
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

  /** Send an answer or a form, after the events before it; the confirmation. Throws `Refused`. */
  send(message) {
    const sent = this.#turn.then(() => this.#send({ key: newKey(), ...message }));
    this.#turn = sent.catch(() => {});
    return sent;
  }

  async #send(message) {
    const events = this.#events.splice(0);
    if (events.length) this.#keep({ kind: "events", key: newKey(), events });
    this.#keep(message);
    this.#keepEvents();
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

  /** Send one message until it is confirmed or finally refused; after that it is forgotten. */
  async #deliver(message) {
    try {
      const attempt = async () => {
        const confirmation = await this.#transport.send(message);
        if (confirmation.kept !== message.key) throw new Error("another message was confirmed");
        return confirmation;
      };
      const confirmation = await persist(attempt, (error, attempts) => {
        if (attempts === 1) this.note("message not confirmed", { reason: error.message });
        if (attempts === 2) this.#say(sentence("notices.kept_here"));
      });
      this.#forget(message);
      return confirmation;
    } catch (error) {
      if (FINAL.includes(error.status)) this.#forget(message);
      throw error;
    } finally {
      this.#say("");
    }
  }

  /** Each message has a place of its own, so that another window with the same link does not overwrite it. */
  #messagePlace(key) {
    return `${this.#place}/outbox/${key}`;
  }

  #keep(message) {
    this.#waiting.push(message);
    const since = performance.timeOrigin + performance.now();
    this.#stored(() => localStorage.setItem(this.#messagePlace(message.key), JSON.stringify({ since, message })));
  }

  #forget(message) {
    this.#waiting = this.#waiting.filter((other) => other.key !== message.key);
    this.#stored(() => localStorage.removeItem(this.#messagePlace(message.key)));
  }

  #keepEvents() {
    this.#stored(() => localStorage.setItem(`${this.#place}/events`, JSON.stringify(this.#events)));
  }

  /** Use the storage; without one, everything is still in memory, and the listener waits for its confirmation. */
  #stored(action) {
    try {
      action();
    } catch (error) {
      this.note(NO_STORAGE, { reason: error.message });
    }
  }
}

/** 22 random characters that are unique. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
