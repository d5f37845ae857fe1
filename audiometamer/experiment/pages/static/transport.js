/** The transport over HTTP; what a page may ask for stands at the top of audiometamer/experiment/server.py. */

import { element } from "./elements.js";
import { Refused } from "./retry.js";
import { FINISH } from "./words.js";

export { Refused } from "./retry.js";

const PATIENCE = 20_000; // ms for one request
const LATER = [408, 500, 502, 503, 504]; // sending the same again may help
const SERVICES = { PROLIFIC_PID: "prolific", workerId: "mturk" };

export class Server {
  /** The listener's token, from the link; who comes from a service, or without a link, is given one. */
  static async open() {
    const parameters = Object.fromEntries(new URLSearchParams(location.search));
    const service = SERVICES[Object.keys(SERVICES).find((name) => name in parameters)] ?? "anyone";
    const kept = `audiometamer/${service}/${parameters.PROLIFIC_PID ?? parameters.workerId ?? ""}`;
    let token = location.hash.slice(1) || localStorage.getItem(kept);
    if (!token) {
      const asked = await request("api/enrol", { method: "POST", json: { service, parameters } });
      token = (await asked.json()).token;
      localStorage.setItem(kept, token); // who opens the link of the service again goes on where they were
    }
    return new Server(token);
  }

  constructor(token) {
    this.token = token;
    this.storageKey = `audiometamer/${token.slice(0, 12)}`;
  }

  async session() {
    return (await request("api/session", { token: this.token })).json();
  }

  async send(message) {
    return (await request("api/messages", { token: this.token, method: "POST", json: message })).json();
  }

  async sound(stimulus) {
    return (await request(`sounds/${stimulus}.wav`, { token: this.token })).blob();
  }

  picture(k) {
    return `pictures/${k}.png`;
  }

  /** The way back to the service, if there is one. */
  async end({ completion }) {
    if (!completion) return;
    const place = document.querySelector("#end");
    if (!completion.fields || !Object.keys(completion.fields).length) {
      place.append(element("a", { className: "button main", href: completion.address, textContent: FINISH }));
      return;
    }
    const fields = Object.entries(completion.fields).map(([name, value]) => element("input", { type: "hidden", name, value }));
    const button = element("button", { className: "main", textContent: FINISH });
    place.append(element("form", { method: "post", action: completion.address }, ...fields, button));
  }
}

/** A response with status 200; throws `Refused` if the server says no for good, and another error if it may help to ask again. */
async function request(path, { token, json, ...options } = {}) {
  const headers = { ...(token && { Authorization: `Bearer ${token}` }), ...(json && { "Content-Type": "application/json" }) };
  const body = json && JSON.stringify(json);
  const response = await fetch(path, { ...options, headers, body, signal: AbortSignal.timeout(PATIENCE) });
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  const message = told.error ?? `${response.status} ${response.statusText}`;
  if (LATER.includes(response.status)) throw new Error(message);
  throw new Refused(response.status, message, told.state);
}
