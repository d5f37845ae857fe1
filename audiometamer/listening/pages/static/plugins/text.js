/** A text to read, and a button to continue. */

import { element, lead, next } from "../elements.js";
import { sentence } from "../words.js";

const { ParameterType } = jsPsychModule;

export class Text {
  static info = {
    name: "text",
    version: "1.0.0",
    parameters: {
      /** Our HTML, or that of the experimenter's Markdown, or elements; or a promise of either. */
      content: { type: ParameterType.COMPLEX },
      button: { type: ParameterType.STRING, default: null },
      /** Action before the page continues. */
      then: { type: ParameterType.FUNCTION, default: null },
    },
    data: {},
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  async trial(display, trial, on_load) {
    const content = await trial.content;
    const text = element("article");
    if (typeof content === "string") text.innerHTML = content;
    else text.append(...[content].flat());
    const button = element("button", { className: "main", textContent: trial.button ?? sentence("buttons.continue") });
    display.replaceChildren(text, element("p", {}, button));
    const heading = text.querySelector("h1, h2");
    if (heading) lead(heading);
    else button.focus();
    scrollTo(0, 0);
    on_load();
    await next(button, "click");
    button.disabled = true;
    await trial.then?.();
  }

  async simulate(trial, mode, options, on_load) {
    if (mode === "data-only") {
      on_load();
      await trial.then?.();
      return;
    }
    const loaded = () => {
      on_load();
      // The button works as soon as this turn of the event loop is over.
      setTimeout(() => this.jsPsych.pluginAPI.clickTarget(this.jsPsych.getDisplayElement().querySelector("button.main")));
    };
    await this.trial(this.jsPsych.getDisplayElement(), trial, loaded);
  }
}
