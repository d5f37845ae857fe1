/** All screens of what is left of an experiment, in order. */

import { Course } from "./course.js";
import { element } from "./elements.js";
import { Choice } from "./plugins/choice.js";
import { Intervals } from "./plugins/intervals.js";
import { Level } from "./plugins/level.js";
import { Questions } from "./plugins/questions.js";
import { Text } from "./plugins/text.js";
import { Typed } from "./plugins/typed.js";
import { Waiting } from "./plugins/waiting.js";
import { Refused, persist } from "./retry.js";
import * as words from "./words.js";

const PLUGINS = { typed: Typed, choice: Choice, abx: Intervals, "odd-one-out": Intervals };

export function screens({ jsPsych, session, stimuli, outbox, transport }) {
  const { state, trials, task, headphones } = session;
  const left = state.over ? [] : trials.slice(state.next - 1);
  const course = session.course ? new Course(transport, stimuli) : null;
  let told = { state }; // by the server, of the last answer
  let ending = session;

  /** Where the server knows better how far we are, begin anew from there. */
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
    told = await agreed(() => outbox.send(message));
    if (told.state.over) jsPsych.abortTimelineByName("trials");
  }

  /** Have the trial of this number made ready, if it is one that is decided on the way. */
  function lookAhead(number) {
    if (number > trials.length) course?.look(number);
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
      ...(state.forms.includes("consent") ? [] : [{ type: Text, content: session.texts.consent, button: words.AGREE, then: agree }]),
      ...(state.forms.includes("questions-before") ? [] : questions(asked, form("questions-before"))),
      ...start(),
    ];
  }

  /** Who comes back is greeted; who is new sets the volume, where there are sounds. */
  function start() {
    const isBack = state.forms.includes(task.images ? "consent" : "level");
    if (isBack) return [{ type: Text, content: stimuli.words.WELCOME_BACK }];
    return task.images ? [] : [{ type: Level, sounds: stimuli, save: form("level") }];
  }

  /** What is said before a trial that is the first of its kind, of all or after a rest. */
  function introductions(trial, previous) {
    if (trial.kind === "headphones") return previous ? [] : [{ type: Text, content: words.HEADPHONES[headphones.test] }];
    const rest = session.breaks.includes(previous?.trial) ? [words.REST(...progress(previous))] : [];
    if (trial.kind === previous?.kind) return rest.map((content) => ({ type: Text, content }));
    return [...(isInstructed(previous) ? [] : [instructions()]), { type: Text, content: words.KINDS[trial.kind], button: words.BEGIN }];
  }

  const isInstructed = (previous) => previous && previous.kind !== "headphones";
  const instructions = () => ({ type: Text, content: [fragment(session.texts.instructions), ...allAnswers(task)] });

  function feedback() {
    const { correct, answer: right } = told.feedback;
    const shown = fragment(correct ? words.RIGHT : words.WRONG);
    shown.querySelector("strong").textContent = label(right);
    return shown;
  }

  function label(given) {
    return words.INTERVALS[task.kind]?.[given - 1]?.toLowerCase() ?? given;
  }

  function progress(trial) {
    const main = trials.filter((other) => other.kind === "main");
    return [main.filter((other) => other.trial <= trial.trial).length, main.length];
  }

  /** `now()`: the trial of this kind. */
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
      return { ...common, type: Intervals, answers, prompt: stimuli.words.PROMPTS[test], labels: words.INTERVALS[test], intervals: answers.length, gap };
    }
    const compared = task.kind in words.INTERVALS;
    return {
      ...common,
      type: PLUGINS[task.kind],
      answers: () => (now().options?.length ? now().options : task.answers),
      prompt: stimuli.words.PROMPTS[compared ? task.kind : task.of],
      ...(task.pictures && { picture: (one) => transport.picture(task.answers.indexOf(one) + 1) }),
      ...(compared && {
        labels: words.INTERVALS[task.kind], intervals: task.intervals, gap: task.gap_seconds,
      }),
    };
  }

  const drawn = left.flatMap((trial, k) => [
    ...introductions(trial, left[k - 1]),
    asked(trial.kind, () => trial),
    ...(trial.kind === "practice" ? [{ type: Text, content: feedback }] : []),
  ]);

  /** What is decided on the way: one trial after the other, until it is over. */
  function decided() {
    let previous = left.at(-1);
    let now = null;
    const next = async () => {
      const { trial, ...rest } = await agreed(() => course.take(told.state.next));
      [previous, now] = [now ?? previous, { ...trial, ...rest }];
    };
    const where = (condition, screen) => ({ timeline: [screen], conditional_function: condition });
    const begins = () => now.kind !== previous?.kind;
    return {
      timeline: [
        { type: Waiting, until: next, message: stimuli.words.ONE_MOMENT },
        where(() => !isInstructed(previous), instructions()),
        where(begins, { type: Text, content: () => words.KINDS[now.kind], button: words.BEGIN }),
        where(() => now.rest && !begins(), { type: Text, content: () => words.REST_AT(now.progress) }),
        asked("decided", () => now),
        where(() => now.kind === "practice", { type: Text, content: feedback }),
      ],
      loop_function: () => !told.state.over,
    };
  }

  function after() {
    const last = session.questions.filter((question) => question.when === "after");
    return [
      ...(state.forms.includes("questions-after") ? [] : questions(last, form("questions-after"))),
      {
        type: Text,
        on_start: () => showProgress(null),
        content: async () => {
          ending = await persist(() => transport.session());
          return (ending.state.over === "stopped" ? words.STOPPED : "") + ending.texts.debriefing;
        },
      },
      { type: End, content: () => ending, transport },
    ];
  }

  if (state.forms.includes("consent") && !state.over) lookAhead(state.next);
  const timeline = [...drawn, ...(course && !state.over ? [decided()] : [])];
  return [...(state.over ? [] : before()), ...(timeline.length ? [{ name: "trials", timeline }] : []), ...after()];
}

/** The last screen: all is saved, and how to go back to where the listener came from. */
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
    display.replaceChildren(element("h1", { textContent: words.SAVED, id: "saved" }), place);
    await trial.transport.end(trial.content);
    if (!place.childElementCount) place.append(element("p", { textContent: words.CLOSE }));
    on_load();
    await new Promise(() => {}); // it stays on the screen
  }
}

const questions = (asked, save) => (asked.length ? [{ type: Questions, questions: asked, save }] : []);

/** HTML of ours, or of the experimenter's Markdown, as elements. */
function fragment(html) {
  const made = element("section");
  made.innerHTML = html;
  return made;
}

/** The closed list to look at, where it is typed. */
function allAnswers({ kind, answers }) {
  if (kind !== "typed") return [];
  const list = element("ul", { className: "words" }, ...answers.map((answer) => element("li", { textContent: answer, dir: "auto", translate: false })));
  return [element("details", {}, element("summary", { textContent: words.ALL_ANSWERS(answers.length) }), list)];
}

/** The bar at the top: how much of it is done, from 0 to 1. */
function showProgress(share) {
  const bar = document.querySelector("#progress");
  bar.hidden = share === null;
  if (share !== null) bar.value = share;
}

/** What is known of the listener's browser. */
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
