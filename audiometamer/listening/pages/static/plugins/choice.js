/** A choice among answers: words, speakers or pictures. */

import { element, lead } from "../elements.js";
import { Answering, data, parameters } from "./answering.js";

const { ParameterType } = jsPsychModule;
const MAX_KEYS = 9; // answers beyond the number keys have no keys

export class Choice extends Answering {
  static info = {
    name: "choice",
    version: "1.0.0",
    parameters: {
      ...parameters,
      /** The address of the picture of an answer. */
      picture: { type: ParameterType.FUNCTION, default: null },
    },
    data,
  };

  ask(display, trial) {
    const keyed = trial.answers.length <= MAX_KEYS;
    const buttons = trial.answers.map((answer, k) => {
      const button = element("button", { value: answer, ...(keyed && { "aria-keyshortcuts": String(k + 1) }) });
      if (trial.picture) button.append(element("img", { src: trial.picture(answer), alt: "" }));
      if (keyed) button.append(element("kbd", { textContent: `${k + 1} `, "aria-hidden": "true" }));
      button.append(element("bdi", { translate: false, textContent: trial.label(answer) }));
      return button;
    });
    const question = element("h1", { id: "question", textContent: trial.prompt });
    const group = element("div", { className: "choices", role: "group", "aria-labelledby": "question" }, ...buttons);
    display.replaceChildren(question, group);
    lead(question);
    return new Promise((resolve) => {
      const choose = (button, at) => {
        document.removeEventListener("keydown", key);
        buttons.forEach((other) => (other.disabled = true));
        resolve({ answer: button.value, at });
      };
      const key = (event) => {
        if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
        const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
        if (keyed && buttons[event.key - 1]) choose(buttons[event.key - 1], event.timeStamp);
        else if (event.key in steps) {
          event.preventDefault();
          const from = buttons.indexOf(document.activeElement);
          buttons[(Math.max(from, steps[event.key] > 0 ? -1 : 0) + steps[event.key] + buttons.length) % buttons.length].focus();
        }
      };
      document.addEventListener("keydown", key);
      group.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (button) choose(button, event.timeStamp);
      });
    });
  }

  give(display, trial, answer) {
    this.jsPsych.pluginAPI.clickTarget([...display.querySelectorAll("button")].find((button) => button.value === answer));
  }
}
