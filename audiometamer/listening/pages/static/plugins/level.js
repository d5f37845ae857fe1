/** The listener sets the volume with a noise as loud as the loudest sounds. */

import { element, lead, next, say } from "../elements.js";
import { sentence } from "../words.js";

const { ParameterType } = jsPsychModule;
const LEAST = 1; // s of noise before the listener may continue
const NOISE = "calibrationnoise";

export class Level {
  static info = {
    name: "level",
    version: "1.0.0",
    parameters: { sounds: { type: ParameterType.OBJECT }, save: { type: ParameterType.FUNCTION } },
    data: { seconds: { type: ParameterType.FLOAT } },
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  async trial(display, trial, on_load) {
    const text = element("article");
    text.innerHTML = sentence("screens.level");
    const noise = element("button", { textContent: sentence("buttons.noise_on"), "aria-pressed": "false" });
    const on = element("button", { className: "main", textContent: sentence("buttons.continue"), disabled: true });
    display.replaceChildren(text, element("p", {}, noise), element("p", {}, on));
    lead(text.querySelector("h1"));
    let stop = null;
    let seconds = 0;
    let turn = Promise.resolve(); // of two quick clicks, the second stops what the first has started
    const toggle = async () => {
      if (stop) {
        seconds += stop();
        stop = null;
      } else {
        const heard = await trial.sounds.unlocked();
        say(heard ? "" : trial.sounds.sentence("blocked"));
        if (!heard) return;
        stop = await trial.sounds.loop(NOISE);
        setTimeout(() => (on.disabled = false), 1000 * LEAST);
      }
      noise.textContent = sentence(stop ? "buttons.noise_off" : "buttons.noise_on");
      noise.setAttribute("aria-pressed", String(Boolean(stop)));
    };
    noise.addEventListener("click", () => (turn = turn.then(toggle)));
    on_load();
    await next(on, "click");
    on.disabled = true;
    noise.disabled = true;
    await turn;
    if (stop) await toggle();
    const result = { seconds: Math.round(10 * seconds) / 10 };
    await trial.save(result);
    return result;
  }

  async simulate(trial, mode, options, on_load) {
    if (mode === "data-only") {
      on_load();
      await trial.save({ seconds: 0 });
      return { seconds: 0 };
    }
    const display = this.jsPsych.getDisplayElement();
    const done = this.trial(display, trial, on_load);
    const [noise, on] = display.querySelectorAll("button");
    noise.click();
    while (on.disabled) await new Promise((resolve) => setTimeout(resolve, 50));
    on.click();
    return done;
  }
}
