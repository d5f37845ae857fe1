/** A screen that waits for something. */

import { say } from "../elements.js";

const { ParameterType } = jsPsychModule;
const PATIENCE = 500; // ms after which the page says what it is waiting for

export class Waiting {
  static info = {
    name: "waiting",
    version: "1.0.0",
    parameters: {
      /** Returns a promise to wait for. */
      until: { type: ParameterType.FUNCTION },
      /** Text if that takes a while. */
      message: { type: ParameterType.STRING },
    },
    data: {},
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  async trial(display, trial, on_load) {
    display.replaceChildren();
    on_load();
    const timer = setTimeout(say, PATIENCE, trial.message);
    try {
      await trial.until();
    } finally {
      clearTimeout(timer); // otherwise it would hide why the experiment cannot continue
    }
    say("");
  }

  simulate(trial, mode, options, on_load) {
    return this.trial(this.jsPsych.getDisplayElement(), trial, on_load);
  }
}
