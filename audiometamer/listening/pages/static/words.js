/** The page's own sentences, in the language that the experiment was built with; see audiometamer/experiment/catalogue.py. */

import { SENTENCES } from "./sentences.js";

/** A sentence (HTML, where it is a whole screen), with its values filled in. */
export function sentence(name, values = {}) {
  return SENTENCES[name].replace(/\{(\w+)\}/g, (_, value) => values[value]);
}

/** A sentence as nodes, with elements in the place of its values. */
export function sentenceAround(name, values) {
  return SENTENCES[name].split(/\{(\w+)\}/).map((part, k) => (k % 2 ? values[part] : part));
}

/** What a listener is told of something that failed: the reason, where it is one of the catalogue's. */
export function explained(error) {
  const name = `errors.${error?.code}`;
  return name in SENTENCES ? sentence(name) : sentence("errors.other", { reason: error?.message ?? String(error) });
}

/** What keeps a listener out, and says itself what to do about it. */
const KEPT_OUT = [
  "closed", "complete", "late", "left", "no_list", "no_storage", "preview", "unknown_link", "unnamed", "unsigned", "whole_link",
];

/** The last word where nothing can go on. */
export function lastWord(error) {
  return sentence(KEPT_OUT.includes(error?.code) ? "notices.cannot_open" : "notices.cannot_go_on", { reason: explained(error) });
}

/** The reason of what is tried again; where nobody answered, there is nothing to explain. */
export function notYet(error) {
  return `${error?.told ? explained(error) : sentence("notices.no_connection")} ${sentence("notices.try_again")}`;
}

export const percent = (share) => Math.round(100 * share);

const POSITIONS = ["first", "second", "third"];
const COUNTS = { abx: 2, "odd-one-out": 3, huggins: 3, antiphase: 3 };

/** What answers are called that are intervals; nothing where a task's answers are not. */
export const intervals = (kind) => POSITIONS.slice(0, COUNTS[kind] ?? 0).map((name) => sentence(`intervals.${name}`));

/** The same within a sentence; other answers as they are. */
export const withinSentence = (kind, answer) =>
  kind in COUNTS ? sentence(`intervals.within.${POSITIONS[answer - 1]}`) : answer;
