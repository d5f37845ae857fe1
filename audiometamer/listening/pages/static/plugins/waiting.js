/** Nothing to do until something is there. */

import { say } from "../elements.js";

const { ParameterType } = jsPsychModule;
const PATIENCE = 500; // ms after which it is said that there is something to wait for

export class Waiting {
  static info = {
    name: "waiting",
    version: "1.0.0",
    parameters: {
      /** Returns a promise of what is waited for. */
      until: { type: ParameterType.FUNCTION },
      /** What is said if that takes a while. */
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
      clearTimeout(timer); // or it would hide why the experiment cannot go on
    }
    say("");
  }

  simulate(trial, mode, options, on_load) {
    return this.trial(this.jsPsych.getDisplayElement(), trial, on_load);
  }
}
