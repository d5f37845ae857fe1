/** The page of an experiment: finds its transport, asks for the session, and runs the rest of it. */

import { say } from "./elements.js";
import { Outbox } from "./outbox.js";
import { persist } from "./retry.js";
import { Images } from "./images.js";
import { Sounds } from "./sounds.js";
import { screens } from "./timeline.js";
import { Server } from "./transport.js";
import { lastWord, notYet, percent } from "./words.js";

async function main() {
  const offline = document.querySelector('meta[name="transport"]')?.content === "offline";
  const waiting = (error) => say(notYet(error));
  const transport = await persist(async () => (offline ? (await import("./offline.js")).transport() : Server.open()), waiting);
  const outbox = new Outbox(transport, say);
  await outbox.rest();
  const session = await persist(() => transport.session(), waiting);
  document.title = session.title;
  const left = session.trials.slice(session.state.next === null ? session.trials.length : session.state.next - 1);
  const Kind = session.task.images ? Images : Sounds;
  const note = (what, details) => outbox.note(what, details);
  const stimuli = new Kind(transport, note, left.map((trial) => trial.stimulus), session.task.images);
  if (left.length) await stimuli.preload((share) => say(stimuli.sentence("loaded", { percent: percent(share) })));
  say("");
  watch(outbox);
  const screen = document.querySelector("#screen");
  screen.replaceChildren();
  // jsPsych makes the screen a tab stop, at which nothing can be done.
  const on_trial_start = () => screen.removeAttribute("tabindex");
  const jsPsych = initJsPsych({ display_element: screen, use_webaudio: false, on_trial_start, on_finish: () => {} });
  const timeline = screens({ jsPsych, session, stimuli, outbox, transport });
  await (window.simulatedListener ? jsPsych.simulate(timeline, window.simulatedListener.mode ?? "visual") : jsPsych.run(timeline));
}

/** Note when the listener leaves or returns to the page. */
function watch(outbox) {
  document.addEventListener("visibilitychange", () => outbox.note(document.hidden ? "page hidden" : "page shown"));
  addEventListener("blur", () => outbox.note("lost focus"));
  addEventListener("focus", () => outbox.note("got focus"));
}

/** End the experiment after an error. */
function stop(error) {
  document.querySelector("#screen").replaceChildren();
  say(lastWord(error));
}

addEventListener("unhandledrejection", ({ reason }) => stop(reason));
// Errors of extensions, and harmless ones (of a ResizeObserver, for instance), do not end the experiment.
addEventListener("error", ({ error, filename }) => error && filename.startsWith(location.origin) && stop(error));
main();
