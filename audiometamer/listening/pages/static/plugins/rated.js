/** A choice among words, and how sure the listener is: a slider, by mouse or keyboard, then a button. */

import { element } from "../elements.js";
import { sentence } from "../words.js";
import { data, parameters } from "./answering.js";
import { Choice } from "./choice.js";

const { ParameterType } = jsPsychModule;
const MIDDLE = 50;
const STEP = 5; // of the arrow keys

export class Rated extends Choice {
  static info = { name: "rated", version: "1.0.0", parameters, data: { ...data, confidence: { type: ParameterType.FLOAT } } };

  async ask(display, trial) {
    const chosen = await super.ask(display, trial);
    for (const button of display.querySelectorAll(".choices button")) {
      button.setAttribute("aria-pressed", String(button.value === chosen.answer));
    }
    const question = element("h2", { id: "sure", textContent: sentence("rated.confidence") });
    const slider = element("input", { type: "range", min: 0, max: 100, step: STEP, value: MIDDLE, "aria-labelledby": "sure" });
    const ends = element("div", { "aria-hidden": "true" }, element("span", { textContent: sentence("rated.guess") }), element("span", { textContent: sentence("rated.certain") }));
    const on = element("button", { className: "main", textContent: sentence("buttons.continue") });
    const form = element("form", { className: "confidence" }, question, slider, ends, element("p", {}, on));
    display.append(form);
    slider.focus(); // the arrow keys move it, and Enter continues
    return new Promise((resolve) => {
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        on.disabled = true;
        resolve({ ...chosen, confidence: Number(slider.value) });
      });
      slider.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || event.repeat) return;
        event.preventDefault();
        form.requestSubmit();
      });
    });
  }

  rated(confidence) {
    return { confidence: confidence ?? MIDDLE };
  }

  async give(display, trial, answer, confidence) {
    super.give(display, trial, answer);
    while (!display.querySelector(".confidence")) await new Promise((resolve) => setTimeout(resolve));
    display.querySelector(".confidence input").value = confidence ?? MIDDLE;
    display.querySelector(".confidence button").click();
  }
}
