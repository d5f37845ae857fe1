// Runs what sends, keeps and loads of the page in Node: transport.js, outbox.js and sounds.js.
// Reads {"page", "steps": [...]} from standard input, and writes what came of each step.
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const { page, steps } = JSON.parse(await text(process.stdin));

class Storage {
  getItem(name) {
    if (blocked) throw new Error("SecurityError");
    return this[name] ?? null;
  }
  setItem(name, value) {
    if (blocked) throw new Error("SecurityError");
    this[name] = String(value);
  }
  removeItem(name) {
    delete this[name];
  }
}

let blocked = false;
const later = globalThis.setTimeout;
const said = [];
const answers = []; // of the server, in their order
const asked = [];
globalThis.setTimeout = (action, milliseconds) => later(action, milliseconds / 100); // time flies
globalThis.addEventListener = globalThis.removeEventListener = () => {};
globalThis.localStorage = new Storage();
globalThis.location = { hash: "", search: "", pathname: "/" };
globalThis.fetch = async (path, { headers, body }) => {
  asked.push({ path, body: body ? JSON.parse(body) : null, token: headers.Authorization?.slice(7) ?? null });
  if (!answers.length) return new Promise(() => {});
  const { status = 200, json, type = "application/json", text: plain, headers: more } = answers.shift();
  const content = json?.kept === "it" ? { ...json, kept: asked.at(-1).body.key } : json;
  return new Response(plain ?? JSON.stringify(content), { status, headers: { "Content-Type": type, ...more } });
};
globalThis.AudioContext = class {};

const { Server } = await import(pathToFileURL(`${page}/transport.js`));
const { Outbox } = await import(pathToFileURL(`${page}/outbox.js`));
const { Sounds } = await import(pathToFileURL(`${page}/sounds.js`));
const windows = new Map();
const at = (as = "one") => windows.get(as);

const doing = {
  answer: (...more) => void answers.push(...more[0].with),
  block: () => void (blocked = true),
  async open({ as = "one", hash = "", search = "" }) {
    Object.assign(globalThis.location, { hash, search });
    const transport = await Server.open();
    windows.set(as, { transport, outbox: new Outbox(transport, (what) => said.push(what)) });
    return transport.token;
  },
  send: ({ as, message }) => at(as).outbox.send(message),
  /** As `send`, but nobody waits for the confirmation. */
  post: ({ as, message }) => void at(as).outbox.send(message).catch(() => {}),
  rest: ({ as }) => at(as).outbox.rest(),
  played: ({ as, trial }) => at(as).outbox.played(trial),
  sound: ({ as }) => at(as).transport.sound("abc").then((blob) => blob.size),
  end: ({ as }) => at(as).transport.end({}),
  asked: () => asked.splice(0),
  /** How many sounds are asked for at the same time, at most. */
  async preload({ n }) {
    let now = 0, most = 0;
    const sound = async () => {
      most = Math.max(most, (now += 1));
      await new Promise((resolve) => later(resolve, 2));
      now -= 1;
    };
    const names = Array.from({ length: n }, (_, k) => `sound${k}`);
    const shares = [];
    await new Sounds({ sound }, () => {}, names).preload((share) => shares.push(share));
    return { most, loaded: shares.length };
  },
};

const told = [];
for (const step of steps) {
  try {
    told.push((await doing[step.do](step)) ?? null);
  } catch (error) {
    told.push({ refused: error.status ?? null, message: error.message });
  }
  await new Promise((resolve) => later(resolve, 1));
}
process.stdout.write(JSON.stringify(told), () => process.exit(0));
