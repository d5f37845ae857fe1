/** The shapes of messages, as in audiometamer/listening/messages.py; others could not be collected later. */

const text = (most) => (value) => typeof value === "string" && [...value].length <= most && !/\p{Surrogate}/u.test(value);
const matching = (pattern) => (value) => typeof value === "string" && pattern.test(value);
const number = (least, most) => (value) => Number.isFinite(value) && value >= least && value <= most;
const whole = (least, most) => (value) => Number.isSafeInteger(value) && value >= least && value <= most;
const oneOf = (...values) => (value) => values.includes(value);
const MOMENT = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/;
/** A valid date: JavaScript alone would take the 30th of February for the 2nd of March. */
const moment = (value) => {
  const [, ...numbers] = (typeof value === "string" && MOMENT.exec(value)) || [];
  if (!numbers.length) return false;
  const [year, month, day, hour, minute, second] = numbers.map(Number);
  const days = new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate(); // of the month; the calendar repeats every 400 years
  return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days && hour < 24 && minute < 60 && second < 60;
};
const list = (least, most, of) => (value) => Array.isArray(value) && value.length >= least && value.length <= most && value.every(of);
const optional = (of) => Object.assign((value) => of(value), { optional: true });
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const fields = (shape) => (value) =>
  isObject(value) &&
  Object.keys(value).every((name) => name in shape) &&
  Object.entries(shape).every(([name, of]) => (name in value ? of(value[name]) : of.optional));

const scalar = (value) => value === null || typeof value === "boolean" || Number.isFinite(value) || text(4000)(value);
const details = (value) =>
  isObject(value) && Object.keys(value).length <= 64 && Object.entries(value).every(([name, of]) => text(64)(name) && scalar(of));
const key = matching(/^[A-Za-z0-9_-]{16,64}$/);
const trial = whole(1, Number.MAX_SAFE_INTEGER);
const event = fields({
  what: matching(/^[a-z][a-z -]{0,31}$/),
  when: moment,
  trial: optional((value) => value === null || trial(value)),
  details: optional(details),
});

const MESSAGES = {
  answer: fields({
    kind: text(16),
    key,
    trial,
    stimulus: text(64),
    answer: text(200),
    reaction_time_ms: number(0, 86_400_000),
    plays: whole(0, 1000),
    started: moment,
    answered: moment,
    playback: optional(details),
    confidence: optional((value) => value === null || number(0, 100)(value)),
  }),
  form: fields({
    kind: text(16),
    key,
    form: oneOf("consent", "browser", "level", "questions-before", "questions-after"),
    content: optional(details),
  }),
  events: fields({ kind: text(16), key, events: list(1, 100, event) }),
};

/** Whether the server would accept this as a message. */
export function isMessage(value) {
  return isObject(value) && Object.hasOwn(MESSAGES, value.kind) && MESSAGES[value.kind](value);
}

const [FIRST, LAST] = [Date.UTC(1970, 0), Date.UTC(2200, 0)];

/** Whether all dates of a message lie in the years 1970 to 2199, in UTC. */
export function isPlausible({ kind, started, answered, events }) {
  const moments = { answer: [started, answered], events: events?.map(({ when }) => when) }[kind] ?? [];
  return moments.map(Date.parse).every((at) => at >= FIRST && at < LAST);
}
