/** The base of all plugins that ask about sounds or images: they are played once, then the question appears, and the answer is timed. */

import { element, next, say } from "../elements.js";

const { ParameterType } = jsPsychModule;
const BEFORE = 600; // ms of silence before a sound, and of blank before images
const PATIENCE = 500; // ms after which the page says that something is loading
const DAY = 86_400_000; // ms; longest reaction time, even if the laptop slept for longer

export const parameters = {
  /** Number of the trial in the listener's list. */
  number: { type: ParameterType.INT },
  /** Name of the stimulus. */
  stimulus: { type: ParameterType.STRING },
  /** The possible answers. */
  answers: { type: ParameterType.STRING, array: true },
  /** Labels in place of answers. */
  label: { type: ParameterType.FUNCTION },
  /** The question. */
  prompt: { type: ParameterType.STRING },
  /** See sounds.js and images.js. */
  stimuli: { type: ParameterType.OBJECT },
  /** Called when the stimulus begins; returns how often it has been played so far. */
  played: { type: ParameterType.FUNCTION },
  /** Stores the answer; the trial ends when it is stored. */
  save: { type: ParameterType.FUNCTION },
};

export const data = {
  trial: { type: ParameterType.INT },
  stimulus: { type: ParameterType.STRING },
  answer: { type: ParameterType.STRING },
  /** Time from the end of the sound, or of the last image. */
  reaction_time_ms: { type: ParameterType.FLOAT },
  plays: { type: ParameterType.INT },
  started: { type: ParameterType.STRING },
  answered: { type: ParameterType.STRING },
  playback: { type: ParameterType.COMPLEX },
};

export class Answering {
  constructor(jsPsych) {
    this.jsPsych = jsPsych;
    this.most = Infinity;
    this.asked = () => {};
  }

  async trial(display, trial, on_load) {
    on_load();
    const started = new Date().toISOString();
    const heard = await this.#hear(display, trial);
    const answering = this.ask(display, trial);
    this.asked();
    const { answer, at, ...rated } = await answering;
    return this.#saved(trial, {
      answer,
      ...rated,
      reaction_time_ms: Math.min(Math.max(0, Math.round(100 * (at - heard.ended)) / 100), DAY),
      plays: heard.plays,
      started,
      answered: new Date().toISOString(),
      playback: heard.playback,
    });
  }

  async #saved(trial, answered) {
    const result = { trial: trial.number, stimulus: trial.stimulus, ...answered };
    await trial.save(result);
    return result;
  }

  /** Play the stimulus; again only if it was interrupted, by a telephone call for instance. */
  async #hear(display, trial) {
    const { stimuli } = trial;
    let plays = 0;
    for (let label = "play"; ; label = "play_again") {
      if (label === "play_again" || !(await stimuli.unlocked())) await this.#ordered(display, stimuli, stimuli.sentence(label));
      const marks = this.listen(display, trial);
      const timer = setTimeout(say, PATIENCE + BEFORE, stimuli.sentence("loading"));
      const loaded = () => {
        clearTimeout(timer);
        say("");
      };
      await new Promise((resolve) => setTimeout(resolve, this.most < 1 ? 0 : BEFORE));
      const begins = () => {
        loaded();
        plays = trial.played();
      };
      const heard = await stimuli.play(trial.stimulus, { ...marks, most: this.most, begins }).finally(() => clearTimeout(timer));
      loaded();
      if (heard.complete) return { ...heard, plays };
    }
  }

  /** Wait until the listener is ready, and the browser plays sound. */
  async #ordered(display, stimuli, label) {
    const button = element("button", { className: "main", textContent: label });
    display.replaceChildren(element("p", { className: "listen" }, button));
    button.focus();
    for (let heard = false; !heard; say(heard ? "" : stimuli.sentence("blocked"))) {
      await next(button, "click");
      heard = await stimuli.unlocked();
    }
  }

  /** What a simulated listener sends beside the answer. */
  rated() {
    return {};
  }

  /** Elements to show during playback, and settings of the playback. */
  listen(display, trial) {
    display.replaceChildren(element("p", { className: "listen", textContent: trial.stimuli.sentence("attend") }));
    return {};
  }

  /** A simulated listener, as in jsPsych: "visual" uses what is on the screen, "data-only" does not. */
  async simulate(trial, mode, options, on_load) {
    const listener = window.simulatedListener;
    const chosen = options.data?.answer ?? this.jsPsych.randomization.sampleWithoutReplacement(trial.answers, 1)[0];
    const { answer, reaction_time_ms, confidence } = listener
      ? await listener.answer(trial.stimulus, trial.answers)
      : { answer: chosen, reaction_time_ms: options.data?.reaction_time_ms ?? 0, confidence: options.data?.confidence };
    if (mode === "data-only") {
      on_load();
      const now = new Date().toISOString();
      return this.#saved(trial, { answer, reaction_time_ms, plays: 1, started: now, answered: now, playback: {}, ...this.rated(confidence) });
    }
    this.most = listener?.seconds ?? Infinity;
    const display = this.jsPsych.getDisplayElement();
    const asked = new Promise((resolve) => (this.asked = resolve));
    const done = this.trial(display, trial, on_load);
    await asked;
    await new Promise((resolve) => setTimeout(resolve, listener ? (listener.pace ?? 0) * reaction_time_ms : reaction_time_ms));
    this.give(display, trial, answer, confidence);
    return done;
  }
}
