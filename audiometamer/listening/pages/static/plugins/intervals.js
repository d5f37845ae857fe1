/** A choice among successive sounds or images, or pairs of them: ABX, odd one out, triads, quadruples, and the headphone checks. */

import { element } from "../elements.js";
import { Choice } from "./choice.js";

const { ParameterType } = jsPsychModule;

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
      /** Further pause in their middle, between two pairs, s. */
      pause: { type: ParameterType.FLOAT, default: 0 },
    },
  };

  listen(display, trial) {
    const marks = Array.from({ length: trial.intervals }, (_, k) => element("span", { textContent: k + 1 }));
    const row = element("div", { className: trial.pause ? "intervals pairs" : "intervals", "aria-hidden": "true" }, ...marks);
    display.replaceChildren(...trial.stimuli.stage(trial.stimulus, trial.intervals), row);
    const interval = (now) => marks.forEach((mark, k) => mark.classList.toggle("now", k === now));
    return { intervals: trial.intervals, gap: trial.gap, pause: trial.pause, interval };
  }
}
