/** Stimuli of trials: files that are loaded before they are needed. */

import { persist } from "./retry.js";
import { sentence } from "./words.js";

const AHEAD = 24; // files to keep ready
const CONCURRENT = 2; // of all together, none would be there in time over a slow connection

export class Stimuli {
  #fetch;
  #order;
  #loading = new Map();
  #lanes = Array(CONCURRENT).fill(Promise.resolve());

  /** `fetch(name)`: a file; `note(what, details)`: called on problems; `order`: names in the order in which they are needed. */
  constructor(fetch, note, order) {
    this.#fetch = fetch;
    this.note = note;
    this.#order = order;
  }

  /** A sentence about sounds, or about images. */
  sentence(name, values) {
    return sentence(`${this.kind}.${name}`, values);
  }

  /** Load the first files; `report(share)` is called with the proportion that is loaded. */
  async preload(report) {
    const names = this.#order.slice(0, AHEAD);
    let loaded = 0;
    await Promise.all(names.map((name) => this.load(name).then(() => report((loaded += 1) / names.length))));
  }

  /** Add a file that will be needed after all others, and load it now. */
  expect(name) {
    if (!this.#order.includes(name)) this.#order.push(name);
    this.load(name).catch(() => {}); // whoever waits for it learns of its failure
  }

  load(name) {
    if (!this.#loading.has(name)) {
      const missed = (error, attempt) => this.note("missed load", { stimulus: name, attempt, reason: error.message });
      const [lane, ...others] = this.#lanes;
      const loaded = lane.then(() => persist(() => this.#fetch(name), missed));
      this.#lanes = [...others, loaded.catch(() => {})];
      this.#loading.set(name, loaded);
    }
    return this.#loading.get(name);
  }

  /** The file whose turn it is; earlier ones are dropped, and the next ones loaded. */
  take(name) {
    const k = this.#order.indexOf(name);
    if (k >= 0) {
      for (const before of this.#order.slice(0, k)) this.#loading.delete(before);
      // Whoever waits for one of these learns of its failure.
      for (const after of this.#order.slice(k, k + AHEAD)) this.load(after).catch(() => {});
    }
    return this.load(name);
  }
}

export const milliseconds = (seconds) => (seconds === undefined ? null : Math.round(1e5 * seconds) / 100);
