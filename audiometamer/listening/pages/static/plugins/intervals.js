/** A choice among successive sounds or images: ABX, odd one out, and the headphone checks. */

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
    },
  };

  listen(display, trial) {
    const marks = Array.from({ length: trial.intervals }, (_, k) => element("span", { textContent: k + 1 }));
    const row = element("div", { className: "intervals", "aria-hidden": "true" }, ...marks);
    display.replaceChildren(...trial.stimuli.stage(trial.stimulus, trial.intervals), row);
    const interval = (now) => marks.forEach((mark, k) => mark.classList.toggle("now", k === now));
    return { intervals: trial.intervals, gap: trial.gap, interval };
  }
}
