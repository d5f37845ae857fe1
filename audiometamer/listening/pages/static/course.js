/** Trials that are decided on the way: asked for while the one before is heard, so that nobody waits for their sounds or images. */

import { say } from "./elements.js";
import { persist } from "./retry.js";
import { notYet } from "./words.js";

export class Course {
  #transport;
  #stimuli;
  #ahead = { number: 0, told: null };

  constructor(transport, stimuli) {
    this.#transport = transport;
    this.#stimuli = stimuli;
  }

  /** A trial whose turn comes next: if it can be decided now, and whatever fails, it is asked for again at its turn. */
  async look(number) {
    if (this.#ahead.number === number) return;
    const ahead = { number, told: null };
    this.#ahead = ahead;
    try {
      ahead.told = this.#expected(await this.#transport.trial(number));
    } catch {
      ahead.number = 0;
    }
  }

  /** The trial whose turn it is, with the progress and whether there is a rest before it. Throws `Refused`. */
  async take(number) {
    const { number: known, told } = this.#ahead;
    if (known === number && told?.trial) return told;
    const now = this.#expected(await persist(
      () => this.#transport.trial(number, { waiting: true }),
      (error) => say(notYet(error)),
    ));
    if (!now.trial) throw new Error(`the server tells no trial ${number}`);
    return now;
  }

  #expected(told) {
    if (told.trial) this.#stimuli.expect(told.trial.stimulus);
    return told;
  }
}
