/** A choice among successive sounds or images: ABX, odd one out, and the headphone checks. */

import { element } from "../elements.js";
import { Choice } from "./choice.js";

const { ParameterType } = jsPsychModule;

/** The mark of the interval k, from 0. */
const mark = (original, k) => (original && !k ? element("span", { className: "original", textContent: original }) : element("span", { textContent: k + !original }));

export class Intervals extends Choice {
  static info = {
    ...Choice.info,
    name: "intervals",
    parameters: {
      ...Choice.info.parameters,
      /** Their number. */
      intervals: { type: ParameterType.INT },
      /** Pause between them, s. */
      gap: { type: ParameterType.FLOAT },
      /** Name of the first one, which the others are compared with; without it, the first is number 1. */
      original: { type: ParameterType.STRING, default: null },
    },
  };

  listen(display, trial) {
    const marks = Array.from({ length: trial.intervals }, (_, k) => mark(trial.original, k));
    const row = element("div", { className: "intervals", "aria-hidden": "true" }, ...marks);
    display.replaceChildren(...trial.stimuli.stage(trial.stimulus, trial.intervals), row);
    const interval = (now) => marks.forEach((mark, k) => mark.classList.toggle("now", k === now));
    return { intervals: trial.intervals, gap: trial.gap, interval };
  }
}
