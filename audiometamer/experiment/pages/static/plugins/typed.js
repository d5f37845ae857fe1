/** A word, typed; the list completes it, and only words of the list are taken. */

import { element } from "../elements.js";
import { SUBMIT } from "../words.js";
import { Answering, data, parameters } from "./answering.js";

const MOST_SHOWN = 6;
const WORD = { dir: "auto", translate: false }; // a browser's translation of it would be another answer

export class Typed extends Answering {
  static info = { name: "typed", version: "1.0.0", parameters, data };

  ask(display, trial) {
    const entries = new Map(trial.answers.map((answer) => [plain(answer), answer]));
    const input = element("input", {
      id: "answer", type: "text", role: "combobox", autocomplete: "off", autocapitalize: "off", autocorrect: "off",
      spellcheck: false, enterkeyhint: "done", dir: "auto", "aria-expanded": "false", "aria-controls": "entries", "aria-autocomplete": "list",
    });
    const list = element("ul", { id: "entries", role: "listbox", "aria-label": trial.prompt });
    const submit = element("button", { className: "main", textContent: SUBMIT, disabled: true });
    const label = element("label", { htmlFor: "answer" }, element("h1", { textContent: trial.prompt }));
    const form = element("form", {}, label, element("div", { className: "combobox" }, input, list), element("p", {}, submit));
    let marked = -1;

    const show = (words) => {
      marked = -1;
      list.replaceChildren(
        ...words.map((word, k) => element("li", { id: `entry${k}`, role: "option", textContent: word, "aria-selected": "false", ...WORD })),
      );
      input.setAttribute("aria-expanded", String(words.length > 0));
      input.removeAttribute("aria-activedescendant");
    };
    const mark = (k) => {
      list.children[marked]?.setAttribute("aria-selected", "false");
      marked = k;
      list.children[k].setAttribute("aria-selected", "true");
      input.setAttribute("aria-activedescendant", `entry${k}`);
    };
    const check = () => (submit.disabled = !entries.has(plain(input.value)));
    const take = (word) => {
      input.value = word;
      show([]);
      check();
      input.focus();
    };

    input.addEventListener("input", () => {
      const typed = plain(input.value);
      check();
      show(typed && submit.disabled ? completions(trial.answers, typed) : completions(trial.answers, typed).slice(1));
    });
    input.addEventListener("keydown", (event) => {
      const n = list.children.length;
      if (n && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
        const step = event.key === "ArrowDown" ? 1 : -1;
        mark(marked < 0 ? (step > 0 ? 0 : n - 1) : (marked + step + n) % n);
      } else if (event.key === "Escape") show([]);
      else if ((event.key === "Enter" || event.key === "Tab") && marked >= 0) take(list.children[marked].textContent);
      else return;
      if (event.key !== "Tab") event.preventDefault();
    });
    // The input keeps the focus, and with it a telephone its keyboard. The word is taken only at the click: taken before, the list
    // is gone when the click comes, which then meets the button below it.
    list.addEventListener("mousedown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => {
      const entry = event.target.closest("li");
      if (entry) take(entry.textContent);
    });

    display.replaceChildren(form);
    input.focus();
    return new Promise((resolve) => {
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        const answer = entries.get(plain(input.value));
        if (answer !== undefined) resolve({ answer, at: event.timeStamp });
      });
    });
  }

  give(display, trial, answer) {
    const input = display.querySelector("input");
    input.value = answer;
    input.dispatchEvent(new InputEvent("input", { bubbles: true }));
    this.jsPsych.pluginAPI.clickTarget(display.querySelector("button"));
  }
}

/** Entries that hold what was typed, those that begin with it first. */
function completions(answers, typed) {
  if (!typed) return [];
  const found = answers.filter((answer) => plain(answer).includes(typed));
  const begins = (answer) => plain(answer).startsWith(typed);
  return [...found.filter(begins), ...found.filter((answer) => !begins(answer))].slice(0, MOST_SHOWN);
}

/** What counts of a word that is typed: not its case, in whatever language, nor which apostrophe a telephone has. */
function plain(text) {
  return text.replace(/[‘’ʼ´`]/g, "'").normalize("NFKC").toLowerCase().trim().replace(/\s+/g, " ");
}
