// Runs the page's offline.js in Node: a browser's storage, files from a folder, and JATOS as its documentation describes it.
// Reads {"folder", "steps": [...]} from standard input, and writes what came of each step.
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const { folder, steps } = JSON.parse(await text(process.stdin));

class Storage {
  #items = new Map();
  full = false;
  getItem = (name) => this.#items.get(name) ?? null;
  setItem = (name, value) => {
    if (this.full) throw new Error("QuotaExceededError");
    this.#items.set(name, String(value));
  };
}

const warned = [];
globalThis.addEventListener = (_kind, action) => warned.push(action);
globalThis.location = { hash: "" };
globalThis.fetch = async (path) => {
  try {
    return new Response(await readFile(`${folder}/${path}`));
  } catch {
    return new Response("", { status: path.includes("broken") ? 500 : 404 });
  }
};
let saved = null;
class Element {
  children = [];
  href = "";
  download = "";
  textContent = "";
  className = "";
  type = "";
  listeners = [];
  append = (...more) => this.children.push(...more);
  addEventListener = (_kind, action) => this.listeners.push(action);
  click = () => {
    if (this.download) saved = { name: this.download, address: this.href };
    this.listeners.forEach((action) => action());
  };
}
let end = new Element();
globalThis.document = { createElement: () => new Element(), querySelector: () => end };
const blobs = new Map();
URL.createObjectURL = (blob) => {
  blobs.set(`blob:${blobs.size}`, blob);
  return `blob:${blobs.size - 1}`;
};
URL.revokeObjectURL = () => {};
const later = globalThis.setTimeout;
globalThis.setTimeout = (action, milliseconds) => (milliseconds > 10_000 ? null : later(action, milliseconds / 10)); // time flies

const pause = (milliseconds) => new Promise((resolve) => later(resolve, milliseconds));

/** A server of JATOS: a batch session with a version, of which each page has a copy; results, a new one for each start of a page. */
const server = { session: {}, version: 1, pages: [], results: [], conflicts: 0, ends: [], failing: {} };

/** JATOS keeps and sends JSON. */
function copied(value) {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

function fails(what) {
  if (!(server.failing[what] > 0)) return false;
  server.failing[what] -= 1;
  return true;
}

function jatosPage({ workerId, query = {} }) {
  const result = { workerId, data: "" };
  server.results.push(result);
  const page = { copy: copied(server.session), version: server.version, busy: false };
  server.pages.push(page);
  const patch = async (name, value) => {
    if (page.busy) throw "Can send only one batch session patch at a time";
    page.busy = true;
    const { version } = page;
    await pause(1);
    page.busy = false;
    if (fails("channel")) throw undefined; // as a channel that is closed
    if (jatos.batchSessionVersioning && version !== server.version) {
      server.conflicts += 1;
      throw undefined;
    }
    server.session[name] = copied(value);
    server.version += 1;
    const { version: now } = server;
    for (const other of server.pages) {
      await (other === page ? null : pause(1)); // others hear of it later
      other.copy[name] = copied(value);
      other.version = Math.max(other.version, now);
    }
  };
  const jatos = {
    workerId,
    urlQueryParameters: query,
    batchSessionVersioning: true,
    onLoad(action) {
      if (!page.loaded) later(action, 0);
      page.loaded = true; // it is called once, however often one asks
    },
    batchSession: {
      get: (name) => copied(page.copy[name]),
      getAll: () => copied(page.copy),
      set: patch,
    },
    appendResultData: async (more) => {
      await pause(0);
      if (fails("append")) throw "Ajax error";
      result.data += more;
      if (fails("answer")) throw "timeout"; // kept, but nobody heard
    },
    endStudy: (...told) => server.ends.push(["endStudy", ...told]),
    endStudyAndRedirect: (...told) => server.ends.push(["endStudyAndRedirect", ...told]),
  };
  return jatos;
}

globalThis.localStorage = new Storage();
const { transport } = await import(pathToFileURL(`${folder}/page/offline.js`));
const { sha256 } = await import(pathToFileURL(`${folder}/page/sha256.js`));
const { identity } = await import(pathToFileURL(`${folder}/page/identity.js`));
const open = new Map();

const doing = {
  sha256: ({ texts }) => texts.map(sha256),
  identity: ({ names }) => names.map(identity),
  browser: () => void (globalThis.localStorage = new Storage()), // another one
  full: ({ full }) => void (globalThis.localStorage.full = full),
  fail: ({ what, times }) => void (server.failing[what] = times),
  async open({ as = "one", token = "", jatos = null, again = false }) {
    globalThis.location.hash = token && `#${token}`;
    if (jatos) globalThis.jatos = jatosPage(jatos);
    else if (!again) delete globalThis.jatos;
    open.set(as, await transport());
    return open.get(as).storageKey;
  },
  session: ({ as = "one" }) => open.get(as).session(),
  send: ({ as = "one", message }) => open.get(as).send(message),
  async sound({ as = "one", stimulus }) {
    return (await open.get(as).sound(stimulus)).size;
  },
  picture: ({ as = "one", k }) => open.get(as).picture(k),
  async end({ as = "one" }) {
    end = new Element();
    await open.get(as).end(await open.get(as).session());
    return end.children.map(({ textContent, href }) => ({ textContent, href }));
  },
  async click() {
    saved = null;
    end.children.find((child) => child.listeners?.length).click();
    return saved && { name: saved.name, text: await blobs.get(saved.address).text() };
  },
  /** Whether the browser would ask before it leaves the page. */
  leave() {
    let asks = false;
    warned.at(-1)({ preventDefault: () => (asks = true) });
    return asks;
  },
  server: () => ({ session: server.session, results: server.results, conflicts: server.conflicts, ends: server.ends }),
  /** Somebody else's page writes into all seats. */
  forge({ changes }) {
    for (const name of Object.keys(server.session)) server.session[name] = { ...server.session[name], ...changes };
  },
  /** Somebody else's page writes a state into all seats that is nested so deep. */
  bury({ depth }) {
    let state = 0;
    for (let level = 0; level < depth; level += 1) state = { state };
    doing.forge({ changes: { state, seal: "forged" } });
  },
  /** Somebody else's page writes what is no seat into all places, and one more. */
  spoil({ value }) {
    for (const held of [server.session, ...server.pages.map(({ copy }) => copy)]) {
      for (const name of [...Object.keys(server.session), "audiometamer-x"]) held[name] = value;
    }
  },
  together: ({ steps: several }) => Promise.all(several.map(run)),
};

async function run(step) {
  try {
    return (await doing[step.do](step)) ?? null;
  } catch (error) {
    if (error.name === "Refused") return { refused: error.status, message: error.message, state: error.state ?? null };
    return { error: String(error.message ?? error) };
  }
}

const told = [];
for (const step of steps) told.push(await run(step));
process.stdout.write(JSON.stringify(told), () => process.exit(0));
