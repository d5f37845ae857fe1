/** Sounds, played through the audio clock. */

import { Stimuli, milliseconds } from "./stimuli.js";

const LEAD = 0.05; // s from the command to play to the first sample, so that it is never late
const LATE = 0.1; // s beyond the sound's duration, by the computer's clock, from which a delay is reported

export class Sounds extends Stimuli {
  kind = "sounds";

  constructor(transport, note, order) {
    super((name) => transport.sound(name), note, order);
    this.context = new AudioContext();
    // Browsers let a page play sound after a gesture of the listener, some of them only within that very event.
    for (const kind of ["click", "keydown", "pointerup"]) addEventListener(kind, () => this.unlocked());
  }

  /** Whether the browser lets the page play sound. */
  async unlocked() {
    if (this.context.state === "running") return true;
    // This is refused while a telephone rings, and pending until there was a gesture.
    const resumed = this.context.resume().catch(() => {});
    await Promise.race([resumed, new Promise((resolve) => setTimeout(resolve, 300))]);
    return this.context.state === "running";
  }

  /** What is known about how this browser plays sounds. */
  about() {
    const { sampleRate: sample_rate, destination, baseLatency } = this.context;
    return { sample_rate, channels: destination.maxChannelCount, base_latency_ms: milliseconds(baseLatency) };
  }

  /** Sounds show nothing on the screen. */
  stage() {
    return [];
  }

  /**
   * Play a sound once.
   *
   * Returns whether it was played to its end, when that was (ms, by performance.now()), and what is known about the playback.
   * `most`: s after which to cut, for simulated listeners; `begins()` is called when it begins, and `interval(k)` as the kth of
   * `intervals` begins, with `gap` s between them and `pause` s more in their middle.
   */
  async play(name, { intervals = 1, gap = 0, pause = 0, interval = () => {}, begins = () => {}, most = Infinity } = {}) {
    const buffer = await this.context.decodeAudioData(await (await this.take(name)).arrayBuffer());
    if (!(await this.unlocked())) {
      this.note("playback interrupted", { stimulus: name, state: this.context.state }); // while it was loaded
      return { complete: false };
    }
    const seconds = Math.min(buffer.duration, most);
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.context.destination);
    const starts = this.context.currentTime + LEAD;
    const began = performance.now();
    source.start(starts, 0, seconds);
    begins();
    const step = (buffer.duration - pause - (intervals - 1) * gap) / intervals + gap;
    const start = (k) => LEAD + k * step + (2 * k < intervals ? 0 : pause);
    const timers = Array.from({ length: intervals }, (_, k) => setTimeout(interval, 1000 * start(k), k));
    const complete = await new Promise((resolve) => {
      source.onended = () => resolve(true);
      this.context.onstatechange = () => this.context.state !== "running" && resolve(false);
    });
    this.context.onstatechange = null;
    timers.forEach(clearTimeout);
    const late = (performance.now() - began) / 1000 - LEAD - seconds;
    const playback = {
      sample_rate: this.context.sampleRate,
      base_latency_ms: milliseconds(this.context.baseLatency),
      output_latency_ms: milliseconds(this.context.outputLatency),
      late_ms: milliseconds(late),
    };
    if (!complete) {
      source.stop();
      this.note("playback interrupted", { stimulus: name, state: this.context.state });
    } else if (late > LATE) this.note("playback late", { stimulus: name, late_ms: playback.late_ms });
    return { complete, ended: this.#moment(starts + seconds), playback };
  }

  /** When a moment of the audio clock reaches the ear, in ms by performance.now(). */
  #moment(time) {
    const { contextTime, performanceTime } = this.context.getOutputTimestamp?.() ?? {};
    if (performanceTime) return performanceTime + 1000 * (time - contextTime);
    return performance.now() + 1000 * (time - this.context.currentTime + (this.context.outputLatency ?? 0));
  }

  /** Play a sound in a loop; returns a function that ends it and returns for how many s it was played. */
  async loop(name) {
    const buffer = await this.context.decodeAudioData(await (await this.load(name)).arrayBuffer());
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
