/** The page's own sentences, in the language that the experiment was built with; see audiometamer/listening/sentences.py. */

import { SENTENCES } from "./sentences.js";

/** A sentence (HTML for whole screens), with its placeholders filled in. */
export function sentence(name, values = {}) {
  return SENTENCES[name].replace(/\{(\w+)\}/g, (_, value) => values[value]);
}

/** A sentence as nodes, with elements in place of its placeholders. */
export function sentenceAround(name, values) {
  return SENTENCES[name].split(/\{(\w+)\}/).map((part, k) => (k % 2 ? values[part] : part));
}

/** How a failure is explained to a listener: by the reason, if the catalogue has a sentence for it. */
export function explained(error) {
  const name = `errors.${error?.code}`;
  return name in SENTENCES ? sentence(name) : sentence("errors.other", { reason: error?.message ?? String(error) });
}

/** Reasons that keep a listener out, and say themselves what to do about it. */
const KEPT_OUT = [
  "closed", "complete", "late", "left", "no_list", "no_storage", "preview", "unknown_link", "unnamed", "unsigned", "whole_link",
];

/** The final message where the experiment cannot continue. */
export function lastWord(error) {
  return sentence(KEPT_OUT.includes(error?.code) ? "notices.cannot_open" : "notices.cannot_go_on", { reason: explained(error) });
}

/** The reason for a retry; where there was no response, there is nothing to explain. */
export function notYet(error) {
  return `${error?.answered ? explained(error) : sentence("notices.no_connection")} ${sentence("notices.try_again")}`;
}

export const percent = (share) => Math.round(100 * share);

const POSITIONS = ["first", "second", "third"];
const COUNTS = { abx: 2, "odd-one-out": 3, further: 2, huggins: 3, antiphase: 3 };
const PAIRS = ["triads", "quadruples"];

/** Names of answers that are intervals, or pairs of them; empty for other answers. */
export function intervals(kind) {
  if (PAIRS.includes(kind)) return [sentence("pairs.first"), sentence("pairs.last")];
  return POSITIONS.slice(0, COUNTS[kind] ?? 0).map((name) => sentence(`intervals.${name}`));
}

/** The same within a sentence; other answers unchanged. */
export const withinSentence = (kind, answer) =>
  kind in COUNTS ? sentence(`intervals.within.${POSITIONS[answer - 1]}`) : answer;
