/** Sounds: loaded before they are needed, and played through the audio clock. */

import { persist } from "./retry.js";

const AHEAD = 24; // sounds that are kept ready
const AT_ONCE = 2; // all at once, none of them would be there in time over a slow connection
const LEAD = 0.05; // s from the order to play to the first sample, so that it is never late
const LATE = 0.1; // s more than the sound's own length, by the computer's clock, are told

export class Sounds {
  #transport;
  #note;
  #order;
  #loading = new Map();
  #lanes = Array(AT_ONCE).fill(Promise.resolve());

  /** `order`: names in the order in which they will be heard; `note(what, details)` is told of problems. */
  constructor(transport, note, order) {
    this.#transport = transport;
    this.#note = note;
    this.#order = order;
    this.context = new AudioContext();
    // Browsers let a page be heard once the listener has touched something, some of them only from within that very event.
    for (const kind of ["click", "keydown", "pointerup"]) addEventListener(kind, () => this.unlocked());
  }

  /** Whether the browser lets the page be heard. */
  async unlocked() {
    if (this.context.state === "running") return true;
    // It is refused while a telephone rings, and not answered before something was touched.
    const resumed = this.context.resume().catch(() => {});
    await Promise.race([resumed, new Promise((resolve) => setTimeout(resolve, 300))]);
    return this.context.state === "running";
  }

  /** Load the first sounds; `report(share)` is told how many are there. */
  async preload(report) {
    const names = this.#order.slice(0, AHEAD);
    let loaded = 0;
    await Promise.all(names.map((name) => this.#load(name).then(() => report((loaded += 1) / names.length))));
  }

  /** Another sound will be heard after all others; it is loaded now. */
  expect(name) {
    if (!this.#order.includes(name)) this.#order.push(name);
    this.#load(name).catch(() => {}); // whoever waits for it is told of its failure
  }

  #load(name) {
    if (!this.#loading.has(name)) {
      const missed = (error, attempt) => this.#note("missed load", { stimulus: name, attempt, reason: error.message });
      const [lane, ...others] = this.#lanes;
      const loaded = lane.then(() => persist(() => this.#transport.sound(name), missed));
      this.#lanes = [...others, loaded.catch(() => {})];
      this.#loading.set(name, loaded);
    }
    return this.#loading.get(name);
  }

  /** From now on `name` and those after it are needed. */
  #advance(name) {
    const k = this.#order.indexOf(name);
    if (k < 0) return;
    for (const before of this.#order.slice(0, k)) this.#loading.delete(before);
    // Whoever waits for one of these is told of its failure.
    for (const after of this.#order.slice(k, k + AHEAD)) this.#load(after).catch(() => {});
  }

  async #buffer(name) {
    this.#advance(name);
    return this.context.decodeAudioData(await (await this.#load(name)).arrayBuffer());
  }

  /**
   * Play a sound once.
   *
   * Returns whether it was heard to its end, when that was (ms, as of performance.now()), and what is known of the playback.
   * `most`: s after which it is cut, for listeners that are programs; `begins()` is called when it begins, and
   * `interval(k)` as the kth of `intervals` begins.
   */
  async play(name, { intervals = 1, gap = 0, interval = () => {}, begins = () => {}, most = Infinity } = {}) {
    const buffer = await this.#buffer(name);
    if (!(await this.unlocked())) {
      this.#note("playback interrupted", { stimulus: name, state: this.context.state }); // while it was loaded
      return { complete: false };
    }
    const seconds = Math.min(buffer.duration, most);
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.context.destination);
    const starts = this.context.currentTime + LEAD;
    const began = performance.now();
    source.start(starts, 0, seconds);
    begins();
    const step = (buffer.duration - (intervals - 1) * gap) / intervals + gap;
    const timers = Array.from({ length: intervals }, (_, k) => setTimeout(interval, 1000 * (LEAD + k * step), k));
    const complete = await new Promise((resolve) => {
      source.onended = () => resolve(true);
      this.context.onstatechange = () => this.context.state !== "running" && resolve(false);
    });
    this.context.onstatechange = null;
    timers.forEach(clearTimeout);
    const late = (performance.now() - began) / 1000 - LEAD - seconds;
    const audio = {
      sample_rate: this.context.sampleRate,
      base_latency_ms: milliseconds(this.context.baseLatency),
      output_latency_ms: milliseconds(this.context.outputLatency),
      late_ms: milliseconds(late),
    };
    if (!complete) {
      source.stop();
      this.#note("playback interrupted", { stimulus: name, state: this.context.state });
    } else if (late > LATE) this.#note("playback late", { stimulus: name, late_ms: audio.late_ms });
    return { complete, ended: this.#moment(starts + seconds), audio };
  }

  /** When a moment of the audio clock was at the ear, in ms as of performance.now(). */
  #moment(time) {
    const { contextTime, performanceTime } = this.context.getOutputTimestamp?.() ?? {};
    if (performanceTime) return performanceTime + 1000 * (time - contextTime);
    return performance.now() + 1000 * (time - this.context.currentTime + (this.context.outputLatency ?? 0));
  }

  /** Play a sound over and over; the function that is returned ends it, and tells for how many s it was heard. */
  async loop(name) {
    const buffer = await this.context.decodeAudioData(await (await this.#load(name)).arrayBuffer());
    const source = new AudioBufferSourceNode(this.context, { buffer, loop: true });
    source.connect(this.context.destination);
    const starts = this.context.currentTime;
    source.start();
    return () => {
      source.stop();
      return this.context.currentTime - starts;
    };
  }
}

function milliseconds(seconds) {
  return seconds === undefined ? null : Math.round(1e5 * seconds) / 100;
}
