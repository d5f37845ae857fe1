/** A choice among successive sounds or images, or pairs of them: ABX, odd one out, triads, quadruples, and the headphone checks. */

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
      /** Further pause in their middle, between two pairs, s. */
      pause: { type: ParameterType.FLOAT, default: 0 },
    },
  };

  listen(display, trial) {
    const marks = Array.from({ length: trial.intervals }, (_, k) => mark(trial.original, k));
    const row = element("div", { className: trial.pause ? "intervals pairs" : "intervals", "aria-hidden": "true" }, ...marks);
    display.replaceChildren(...trial.stimuli.stage(trial.stimulus, trial.intervals), row);
    const interval = (now) => marks.forEach((mark, k) => mark.classList.toggle("now", k === now));
    return { intervals: trial.intervals, gap: trial.gap, pause: trial.pause, interval };
  }
}
