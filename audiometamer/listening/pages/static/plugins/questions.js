/** Questions that are asked once. */

import { element, lead } from "../elements.js";
import { sentence } from "../words.js";

const { ParameterType } = jsPsychModule;

export class Questions {
  static info = {
    name: "questions",
    version: "1.0.0",
    parameters: {
      /** Each with name, text, kind, options and required; see the design. */
      questions: { type: ParameterType.COMPLEX, array: true },
      save: { type: ParameterType.FUNCTION },
    },
    data: { replies: { type: ParameterType.COMPLEX } },
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  async trial(display, trial, on_load) {
    const heading = element("h1", { textContent: sentence("questions.heading") });
    const button = element("button", { className: "main", textContent: sentence("buttons.continue") });
    const form = element("form", {}, heading, ...trial.questions.map(field), element("p", {}, button));
    display.replaceChildren(form);
    lead(heading);
    on_load();
    await new Promise((resolve) =>
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        resolve();
      }),
    );
    button.disabled = true;
    const replies = Object.fromEntries(trial.questions.map((question) => [question.name, reply(form, question)]));
    await trial.save(replies);
    return { replies };
  }

  async simulate(trial, mode, options, on_load) {
    const replies = Object.fromEntries(
      trial.questions.map(({ name, kind, options: choices }) => [name, { choice: choices?.[0], number: 30 }[kind] ?? "simulated"]),
    );
    if (mode === "data-only") {
      on_load();
      await trial.save(replies);
      return { replies };
    }
    const display = this.jsPsych.getDisplayElement();
    const done = this.trial(display, trial, on_load);
    for (const [name, value] of Object.entries(replies)) display.querySelector("form").elements[name].value = value;
    this.jsPsych.pluginAPI.clickTarget(display.querySelector("button"));
    return done;
  }
}

/** A question with its label; a choice among few options is a group of buttons, among many a list. */
function field({ name, text, kind, options, required }) {
  const asked = required ? text + sentence("questions.required") : text;
  if (kind === "choice" && options.length <= 6) {
    const radios = options.map((value) => element("label", {}, element("input", { type: "radio", name, value, required }), value));
    return element("fieldset", {}, element("legend", { textContent: asked }), ...radios);
  }
  const id = `question-${name}`;
  const options_ = kind === "choice" && ["", ...options].map((value) => element("option", { value, textContent: value || sentence("questions.choose") }));
  const input = options_
    ? element("select", { id, name, required }, ...options_)
    : element("input", { id, name, required, type: kind === "number" ? "number" : "text", step: "any", maxLength: 4000 });
  return element("p", {}, element("label", { htmlFor: id, textContent: asked }), input);
}

/** The replies as the server accepts them, without unanswered ones. Not by form.elements, where some names have another meaning. */
function reply(form, { name, kind }) {
  const value = new FormData(form).get(name) ?? "";
  if (value === "") return null;
  return kind === "number" ? Number(value) : value;
}
