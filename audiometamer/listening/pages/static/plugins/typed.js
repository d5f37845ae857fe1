/** A typed word; the list completes it, and only words of the list are accepted. */

import { element } from "../elements.js";
import { sentence } from "../words.js";
import { Answering, data, parameters } from "./answering.js";

const MOST_SHOWN = 6;
const MOST_NEAREST = 3;
const WORD = { dir: "auto", translate: false }; // a translation by the browser would be another answer

export class Typed extends Answering {
  static info = { name: "typed", version: "1.0.0", parameters, data };

  ask(display, trial) {
    const words = trial.answers.map(trial.label);
    const entries = new Map([...trial.answers, ...words].map((word, k) => [plain(word), trial.answers[k % words.length]]));
    const input = element("input", {
      id: "answer", type: "text", role: "combobox", autocomplete: "off", autocapitalize: "off", autocorrect: "off",
      spellcheck: false, enterkeyhint: "done", dir: "auto", "aria-expanded": "false", "aria-controls": "entries", "aria-autocomplete": "list",
      "aria-describedby": "hint",
    });
    const hint = element("p", { id: "hint", "aria-live": "polite", dir: "auto" });
    const list = element("ul", { id: "entries", role: "listbox", "aria-label": trial.prompt });
    const submit = element("button", { className: "main", textContent: sentence("buttons.submit"), disabled: true });
    const label = element("label", { htmlFor: "answer" }, element("h1", { textContent: trial.prompt }));
    const form = element("form", {}, label, element("div", { className: "combobox" }, input, hint, list), element("p", {}, submit));
    let marked = -1;
    let only = null; // the word that completes what was typed, if there is only one

    const show = (shown) => {
      [marked, only] = [-1, null];
      list.replaceChildren(
        ...shown.map((word, k) => element("li", { id: `entry${k}`, role: "option", textContent: word, "aria-selected": "false", ...WORD })),
      );
      input.setAttribute("aria-expanded", String(shown.length > 0));
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
      hint.textContent = "";
      input.focus();
    };
    /** Why the word cannot be submitted, and what can. */
    const advise = (typed, completing) => {
      const word = input.value.trim();
      if (!typed || !submit.disabled) return "";
      if (completing.length) return completing.length > 1 ? sentence("typed.choose") : sentence("typed.only", { word: completing[0] });
      return sentence(list.childElementCount ? "typed.nearest" : "typed.none", { typed: word });
    };

    input.addEventListener("input", () => {
      const typed = plain(input.value);
      check();
      const completing = completions(words, typed).filter((word) => plain(word) !== typed);
      show(completing.length || !typed || !submit.disabled ? completing : nearest(words, typed));
      only = submit.disabled && completing.length === 1 ? completing[0] : null;
      hint.textContent = advise(typed, completing);
    });
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      const n = list.children.length;
      if (n && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
        const step = event.key === "ArrowDown" ? 1 : -1;
        mark(marked < 0 ? (step > 0 ? 0 : n - 1) : (marked + step + n) % n);
      } else if (event.key === "Escape") show([]);
      else if ((event.key === "Enter" || event.key === "Tab") && marked >= 0) take(list.children[marked].textContent);
      else if (event.key === "Enter" && only !== null) take(only);
      else return;
      if (event.key !== "Tab") event.preventDefault();
    });
    // The input keeps the focus, and thus a telephone its keyboard. The word is taken only at the click: if taken before, the list
    // is gone when the click comes, which then hits the button below it.
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

/** Entries that contain what was typed, those that begin with it first. */
function completions(answers, typed) {
  if (!typed) return [];
  const found = answers.filter((answer) => plain(answer).includes(typed));
  const begins = (answer) => plain(answer).startsWith(typed);
  return [...found.filter(begins), ...found.filter((answer) => !begins(answer))].slice(0, MOST_SHOWN);
}

/** The entries most similar to what was typed; none if none is similar enough. */
function nearest(answers, typed) {
  const far = answers.map((answer) => ({ answer, steps: distance(plain(answer), typed) }));
  const most = Math.max(1, Math.floor(typed.length / 2));
  return far.filter(({ steps }) => steps <= most).sort((a, b) => a.steps - b.steps).slice(0, MOST_NEAREST).map(({ answer }) => answer);
}

/** Number of letters to change, insert or delete to turn one word into another (Levenshtein). */
function distance(one, other) {
  let row = Array.from({ length: other.length + 1 }, (_, k) => k);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let k = 1; k <= other.length; k += 1) {
      next.push(Math.min(next[k - 1] + 1, row[k] + 1, row[k - 1] + (one[i - 1] !== other[k - 1])));
    }
    row = next;
  }
  return row.at(-1);
}

/** A typed word in normal form: case, in any language, and the kind of apostrophe are ignored. */
function plain(text) {
  return text.replace(/[‘’ʼ´`]/g, "'").normalize("NFKC").toLowerCase().trim().replace(/\s+/g, " ");
}
