/** All remaining screens of an experiment, in order. */

import { AdaptiveTrials } from "./adaptive.js";
import { element } from "./elements.js";
import { Choice } from "./plugins/choice.js";
import { Intervals } from "./plugins/intervals.js";
import { Level } from "./plugins/level.js";
import { Rated } from "./plugins/rated.js";
import { Questions } from "./plugins/questions.js";
import { Text } from "./plugins/text.js";
import { Typed } from "./plugins/typed.js";
import { Waiting } from "./plugins/waiting.js";
import { Refused, persist } from "./retry.js";
import { intervals, percent, sentence, sentenceAround, withinSentence } from "./words.js";

const WELL = 0.75; // proportion of correct practice trials from which the listener is congratulated
const NEITHER = "neither"; // the answer that neither word was heard
const PLUGINS = {
  typed: Typed, choice: Choice, abx: Intervals, "odd-one-out": Intervals, triads: Intervals, quadruples: Intervals, further: Intervals, words: Rated,
};

export function screens({ jsPsych, session, stimuli, outbox, transport }) {
  const { state, trials, task, headphones } = session;
  const left = state.over ? [] : trials.slice(state.next - 1);
  const course = session.course ? new AdaptiveTrials(transport, stimuli) : null;
  let confirmed = { state }; // the server's response to the last answer
  let ending = session;
  let practised = 0; // correct practice trials since the page was opened

  /** Where the server knows of further answers, resume from there. */
  async function agreed(action) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 409) throw error;
      location.reload();
      return new Promise(() => {});
    }
  }

  async function send(message) {
    confirmed = await agreed(() => outbox.send(message));
    practised += Boolean(confirmed.feedback?.correct);
    if (confirmed.state.over) jsPsych.abortTimelineByName("trials");
  }

  /** Have the trial of this number prepared, if it is adaptive. */
  function lookAhead(number) {
    if (number > trials.length) course?.prefetch(number);
  }

  const form = (name) => (content) => send({ kind: "form", form: name, content });
  const answer = ({ trial, ...rest }) => send({ kind: "answer", trial, ...rest });

  function before() {
    const asked = session.questions.filter((question) => question.when === "before");
    const agree = async () => {
      await form("browser")({ ...browser(), ...stimuli.about() });
      await form("consent")({});
      lookAhead(state.next);
    };
    return [
      ...(state.forms.includes("consent") ? [] : [{ type: Text, content: session.texts.consent, button: sentence("buttons.agree"), then: agree }]),
      ...(state.forms.includes("questions-before") ? [] : questions(asked, form("questions-before"))),
      ...start(),
    ];
  }

  /** Greet a listener who returns; let a new one set the volume, where there are sounds. */
  function start() {
    const isBack = state.forms.includes(task.images ? "consent" : "level");
    if (isBack) return [{ type: Text, content: stimuli.sentence("welcome_back") }];
    return task.images ? [] : [{ type: Level, sounds: stimuli, save: form("level") }];
  }

  /** Instructions before a trial that is the first of its kind, the first of all, or the first after a rest. */
  function introductions(trial, previous) {
    if (trial.kind === "headphones") return previous ? [] : [{ type: Text, content: sentence(`screens.${headphones.test}`) }];
    const rest = session.breaks.includes(previous?.trial) ? [sentence("screens.rest", progress(previous))] : [];
    if (trial.kind === previous?.kind) return rest.map((content) => ({ type: Text, content }));
    return [...(isInstructed(previous) ? [] : [instructions()]), beginning(() => trial.kind)];
  }

  /** Instructions before the first trial of a kind. */
  const beginning = (kind) => ({ type: Text, content: () => sentence(`screens.${introduced(kind())}`), button: sentence("buttons.begin") });

  function introduced(kind) {
    const practice = trials.filter((trial) => trial.kind === "practice").length;
    return kind === "demonstration" && practice && practised >= WELL * practice ? "demonstration_practised" : kind;
  }

  const isInstructed = (previous) => previous && previous.kind !== "headphones";
  const instructions = () => ({ type: Text, content: [fragment(session.texts.instructions), ...allAnswers(task)] });

  /** Label that a listener sees in place of an answer. */
  const name = (given) => task.names?.[given] ?? (task.kind === "words" && given === NEITHER ? sentence("rated.neither") : given);

  function feedback() {
    const { correct, answer: right } = confirmed.feedback;
    const answer = element("strong", { dir: "auto", translate: false, textContent: withinSentence(task.kind, name(right)) });
    const judged = correct ? "right" : "wrong";
    return element(
      "section", {},
      element("h1", { className: judged, textContent: sentence(`feedback.${judged}`) }),
      element("p", {}, ...sentenceAround("feedback.answer", { answer })),
    );
  }

  function progress(trial) {
    const main = trials.filter((other) => other.kind === "main");
    return { done: main.filter((other) => other.trial <= trial.trial).length, all: main.length };
  }

  /** `now()`: the current trial, which is of this kind. */
  function asked(kind, now) {
    const common = {
      number: () => now().trial,
      stimulus: () => now().stimulus,
      stimuli,
      played: () => {
        lookAhead(now().trial + 1);
        return outbox.played(now().trial);
      },
      save: answer,
      on_start: () => showProgress(course ? now().progress ?? 0 : (now().trial - 1) / trials.length),
    };
    if (kind === "headphones") {
      const { test, answers, gap_seconds: gap } = headphones;
      return { ...common, type: Intervals, answers, prompt: stimuli.sentence(`prompts.${test}`), label: labelled(intervals(test)), intervals: answers.length, gap };
    }
    const labels = intervals(task.kind);
    const compared = labels.length > 0;
    return {
      ...common,
      type: PLUGINS[task.kind],
      answers: () => (now().options?.length ? now().options : task.answers),
      prompt: task.question ?? stimuli.sentence(`prompts.${compared || task.confidence ? task.kind : task.of}`),
      ...(task.pictures && { picture: (one) => transport.picture(task.answers.indexOf(one) + 1) }),
      label: compared ? labelled(labels) : name,
      ...(compared && { intervals: task.intervals, gap: task.gap_seconds, pause: task.pair_gap_seconds }),
      ...(task.kind === "further" && { original: sentence("intervals.original") }),
    };
  }

  const drawn = left.flatMap((trial, k) => [
    ...introductions(trial, left[k - 1]),
    asked(trial.kind, () => trial),
    ...(trial.kind === "practice" ? [{ type: Text, content: feedback }] : []),
  ]);

  /** Adaptive trials, one after the other, to the end. */
  function decided() {
    let previous = left.at(-1);
    let now = null;
    const next = async () => {
      const { trial, ...rest } = await agreed(() => course.take(confirmed.state.next));
      [previous, now] = [now ?? previous, { ...trial, ...rest }];
    };
    const where = (condition, screen) => ({ timeline: [screen], conditional_function: condition });
    const begins = () => now.kind !== previous?.kind;
    return {
      timeline: [
        { type: Waiting, until: next, message: stimuli.sentence("one_moment") },
        where(() => !isInstructed(previous), instructions()),
        where(begins, beginning(() => now.kind)),
        where(() => now.rest && !begins(), { type: Text, content: () => sentence("screens.rest_about", { percent: percent(now.progress) }) }),
        asked("decided", () => now),
        where(() => now.kind === "practice", { type: Text, content: feedback }),
      ],
      loop_function: () => !confirmed.state.over,
    };
  }

  function after() {
    const last = session.questions.filter((question) => question.when === "after");
    return [
      ...(state.forms.includes("questions-after") ? [] : questions(last, form("questions-after"))).map((screen) => ({
        timeline: [screen],
        conditional_function: () => confirmed.state.over !== "stopped", // a listener who was stopped is asked nothing more
      })),
      {
        type: Text,
        on_start: () => showProgress(null),
        content: async () => {
          ending = await persist(() => transport.session());
          return (ending.state.over === "stopped" ? sentence("screens.stopped") : "") + ending.texts.debriefing;
        },
      },
      { type: End, content: () => ending, transport },
    ];
  }

  if (state.forms.includes("consent") && !state.over) lookAhead(state.next);
  const timeline = [...drawn, ...(course && !state.over ? [decided()] : [])];
  return [...(state.over ? [] : before()), ...(timeline.length ? [{ name: "trials", timeline }] : []), ...after()];
}

/** The last screen: everything is saved, and how to return to the service that the listener came from. */
class End {
  static info = {
    name: "end",
    version: "1.0.0",
    parameters: {
      content: { type: jsPsychModule.ParameterType.COMPLEX },
      transport: { type: jsPsychModule.ParameterType.OBJECT },
    },
    data: {},
  };

  async trial(display, trial, on_load) {
    const place = element("div", { id: "end" });
    display.replaceChildren(element("h1", { textContent: sentence("end.saved"), id: "saved" }), place);
    await trial.transport.end(trial.content);
    if (!place.childElementCount) place.append(element("p", { textContent: sentence("end.close") }));
    on_load();
    await new Promise(() => {}); // this screen stays
  }
}

const questions = (asked, save) => (asked.length ? [{ type: Questions, questions: asked, save }] : []);

/** Our HTML, or that of the experimenter's Markdown, as elements. */
function fragment(html) {
  const made = element("section");
  made.innerHTML = html;
  return made;
}

/** The numbers of intervals, with their names. */
const labelled = (labels) => (answer) => labels[answer - 1];

/** The list of possible answers, to look at where answers are typed. */
function allAnswers({ kind, answers, names = {} }) {
  if (kind !== "typed") return [];
  // it scrolls, so that the button below stays in sight, and takes the focus, so that the keyboard scrolls it
  const list = element("ul", { className: "words", tabIndex: 0 }, ...answers.map((answer) => element("li", { textContent: names[answer] ?? answer, dir: "auto", translate: false })));
  return [element("details", {}, element("summary", { textContent: sentence("typed.all_answers", { number: answers.length }) }), list)];
}

/** The bar at the top: the proportion that is done, from 0 to 1. */
function showProgress(share) {
  const bar = document.querySelector("#progress");
  bar.hidden = share === null;
  if (share !== null) bar.value = share;
}

/** What is known about the listener's browser. */
function browser() {
  return {
    agent: navigator.userAgent,
    language: navigator.language,
    time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    screen: `${screen.width}x${screen.height}`,
    window: `${innerWidth}x${innerHeight}`,
    pixel_ratio: devicePixelRatio,
    touch: navigator.maxTouchPoints > 0,
    simulated: Boolean(window.simulatedListener),
  };
}
