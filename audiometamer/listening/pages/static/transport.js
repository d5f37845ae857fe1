/** The transport over HTTP; audiometamer/listening/app.py documents the requests. */

import { element } from "./elements.js";
import { Refused } from "./retry.js";
import { sentence } from "./words.js";

export { Refused } from "./retry.js";

const PATIENCE = 20_000; // ms for one request
const PATIENCE_FOR_FILES = 120_000; // some sounds have 1 MB, and some connections are slow
const PATIENCE_FOR_TRIALS = 60_000; // their stimuli may have to be made
const LATER = [408, 500, 502, 503, 504]; // statuses after which a retry may help
/** Parameters of the address in which services identify a listener; all others are ignored. */
const SERVICES = {
  prolific: ["PROLIFIC_PID", "STUDY_ID", "SESSION_ID", "prolific_token"],
  mturk: ["workerId", "assignmentId", "hitId", "turkSubmitTo"],
  anyone: [],
};

export class Server {
  /** The listener's token, from the link; listeners from a service, or without a link, get one. */
  static async open() {
    const link = location.hash.slice(1);
    if (link) return new Server(link);
    const query = new URLSearchParams(location.search);
    const service = Object.keys(SERVICES).find((name) => SERVICES[name].some((one) => query.has(one))) ?? "anyone";
    const parameters = Object.fromEntries(SERVICES[service].filter((name) => query.has(name)).map((name) => [name, query.get(name)]));
    const place = ["audiometamer/token", location.pathname, ...Object.values(parameters)].join("/");
    // A listener who opens the same address again continues where they were; the token may be of an earlier experiment.
    let token = recall(place);
    if (!token || !(await isKnown(token))) {
      const asked = await request("api/enrol", { method: "POST", json: { service, parameters } });
      token = (await asked.json()).token;
      recall(place, token);
    }
    return new Server(token, service === "anyone" ? place : null);
  }

  /** `shared`: where this browser keeps the token, if somebody else may open the same address. */
  constructor(token, shared = null) {
    this.token = token;
    this.shared = shared;
    this.storageKey = `audiometamer/${token.slice(0, 12)}`;
  }

  async session() {
    return (await request("api/session", { token: this.token })).json();
  }

  async send(message) {
    return (await request("api/messages", { token: this.token, method: "POST", json: message })).json();
  }

  /** An adaptive trial; `waiting`: the listener has nothing else to do. */
  async trial(number, { waiting = false } = {}) {
    const path = `api/trials/${number}${waiting ? "?waiting" : ""}`;
    return (await request(path, { token: this.token, patience: PATIENCE_FOR_TRIALS })).json();
  }

  sound(stimulus) {
    return this.#file(`sounds/${stimulus}.wav`, "audio/");
  }

  /** The images of a trial, one below the other. */
  image(stimulus) {
    return this.#file(`images/${stimulus}.png`, "image/");
  }

  async #file(path, kind) {
    const found = await (await request(path, { token: this.token, patience: PATIENCE_FOR_FILES })).blob();
    if (!found.type.startsWith(kind)) throw new Error(`${found.type} in the place of ${path}`); // from a hotel's network
    return found;
  }

  picture(k) {
    return `pictures/${k}.png`;
  }

  /** The way back to the service, if there is one. */
  async end({ completion }) {
    if (this.shared) recall(this.shared, ""); // the next listener is somebody else
    if (!completion) return;
    const place = document.querySelector("#end");
    if (!completion.fields || !Object.keys(completion.fields).length) {
      place.append(element("a", { className: "button main", href: completion.address, textContent: sentence("buttons.finish") }));
      return;
    }
    const fields = Object.entries(completion.fields).map(([name, value]) => element("input", { type: "hidden", name, value }));
    const button = element("button", { className: "main", textContent: sentence("buttons.finish") });
    place.append(element("form", { method: "post", action: completion.address }, ...fields, button));
  }
}

/** What this browser stores under a name, if it may store anything; `text` replaces it. */
export function recall(name, text) {
  try {
    if (text !== undefined) localStorage.setItem(name, text);
    return localStorage.getItem(name);
  } catch {
    return null; // the service's own name for the listener suffices
  }
}

/** Whether the server knows this token, and the listener still has their list. */
async function isKnown(token) {
  try {
    await request("api/session", { token });
    return true;
  } catch (error) {
    if (error instanceof Refused && (error.status === 401 || error.code === "late")) return false;
    throw error;
  }
}

/**
 * A response with status 200; throws `Refused` if the server refuses for good, and another error if a retry may help.
 * Only the server itself can refuse: proxies answer in another format.
 */
async function request(path, { token, json, patience = PATIENCE, ...options } = {}) {
  const headers = { ...(token && { Authorization: `Bearer ${token}` }), ...(json && { "Content-Type": "application/json" }) };
  const body = json && JSON.stringify(json);
  const response = await fetch(path, { ...options, headers, body, signal: AbortSignal.timeout(patience) });
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
  const after = response.status === 429 ? Number(response.headers.get("Retry-After")) : 0; // seconds, where waiting helps
  if (!answer?.error || after || LATER.includes(response.status)) {
    const { error, code } = answer ?? {};
    throw Object.assign(new Error(error ?? `${response.status} ${response.statusText}`), { answered: Boolean(error), code, after });
  }
  throw new Refused(response.status, answer.error, answer);
}
