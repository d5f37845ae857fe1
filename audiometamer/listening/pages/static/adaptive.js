/** Adaptive trials: each is requested while the one before is played, so that nobody waits for its sounds or images. */

import { say } from "./elements.js";
import { persist } from "./retry.js";
import { notYet } from "./words.js";

export class AdaptiveTrials {
  #transport;
  #stimuli;
  #ahead = { number: 0, response: null };

  constructor(transport, stimuli) {
    this.#transport = transport;
    this.#stimuli = stimuli;
  }

  /** Request the next trial, if it can be decided already; whatever fails, it is requested again at its turn. */
  async prefetch(number) {
    if (this.#ahead.number === number) return;
    const ahead = { number, response: null };
    this.#ahead = ahead;
    try {
      ahead.response = this.#expected(await this.#transport.trial(number));
    } catch {
      ahead.number = 0;
    }
  }

  /** The trial whose turn it is, with the progress, and whether there is a rest before it. Throws `Refused`. */
  async take(number) {
    const { number: known, response } = this.#ahead;
    if (known === number && response?.trial) return response;
    const now = this.#expected(await persist(
      () => this.#transport.trial(number, { waiting: true }),
      (error) => say(notYet(error)),
    ));
    if (!now.trial) throw new Error(`the server has no trial ${number}`);
    return now;
  }

  #expected(response) {
    if (response.trial) this.#stimuli.expect(response.trial.stimulus);
    return response;
  }
}
