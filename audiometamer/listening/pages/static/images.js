/** Images of a trial: one file holds them one below the other; each is shown for a moment, in the same place. */

import { element } from "./elements.js";
import { Stimuli, milliseconds } from "./stimuli.js";

const LATE = 2; // frames by which an image may be shown too long or too short before this is reported
const NOTHING = -1;
const END = -2;

export class Images extends Stimuli {
  #shown;
  #opened;
  kind = "images";

  /** `shown`: the `seconds` for which each is shown, and the `scale`: pixels of the page for one of the image. */
  constructor(transport, note, order, shown) {
    super((name) => transport.image(name), note, order);
    this.#shown = shown;
  }

  /** Images need no gesture of the listener before they are shown. */
  async unlocked() {
    return true;
  }

  /** What is known about how this browser shows images. */
  about() {
    return { colour_depth: screen.colorDepth };
  }

  /** The place of a trial's images, empty until they are played; it has their size once they are loaded. */
  stage(name, intervals) {
    const canvas = element("canvas", { width: 0, height: 0 });
    this.#opened = this.#open(name, intervals, canvas);
    this.#opened.catch(() => {}); // `play` learns of its failure
    return [element("div", { className: "stage", "aria-hidden": "true" }, canvas)];
  }

  async #open(name, intervals, canvas) {
    const bitmap = await createImageBitmap(await this.take(name));
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height / intervals];
    canvas.style.width = `${this.#shown.scale * canvas.width}px`;
    return { canvas, bitmap };
  }

  /**
   * Show each image once, on the stage of this trial.
   *
   * Returns whether all were shown to their end, when that was (ms, by performance.now()), and what is known about the frames.
   * `gap`: s of blank between them; `most`: s after which to cut, for simulated listeners; `begins()` is called when the first
   * appears, and `interval(k)` with the kth.
   */
  async play(name, { intervals = 1, gap = 0, interval = () => {}, begins = () => {}, most = Infinity } = {}) {
    const { canvas, bitmap } = await this.#opened;
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    const { seconds } = this.#shown;
    const every = seconds + gap;
    const end = Math.min(intervals * every - gap, most);
    const at = (time) => (time >= end ? END : time % every < seconds ? Math.floor(time / every) : NOTHING);
    const seen = []; // s for which each was on screen
    let [on, since] = [NOTHING, 0];

    const change = (next, moment) => {
      if (on >= 0) seen.push((moment - since) / 1000);
      context.clearRect(0, 0, width, height);
      if (next >= 0) {
        context.drawImage(bitmap, 0, next * height, width, height, 0, 0, width, height);
        interval(next);
      }
      [on, since] = [next, moment];
    };
    const { complete, ended, frame } = await frames((time, moment) => {
      if (time === 0) begins();
      const next = at(time / 1000);
      if (next !== on) change(next, moment);
      return next !== END;
    });
    context.clearRect(0, 0, width, height);
    const playback = {
      frame_ms: Math.round(100 * frame) / 100,
      shortest_ms: milliseconds(Math.min(...seen)),
      longest_ms: milliseconds(Math.max(...seen)),
      width_px: Math.round(canvas.getBoundingClientRect().width),
    };
    const off = 1000 * Math.max(...seen.map((one) => Math.abs(one - seconds)));
    if (!complete) this.note("images interrupted", { stimulus: name });
    else if (most === Infinity && off > LATE * frame) this.note("images late", { stimulus: name, ...playback });
    return { complete, ended, playback };
  }
}

/**
 * Draw frames as long as `draw(time, moment)` returns true: ms since the first frame, and by performance.now().
 *
 * Half a frame is added to all times but the first, so that changes are drawn in the frame nearest to them. Returns whether all
 * frames were drawn, when the last one was, and the duration of one; ends early when the page is hidden.
 */
function frames(draw) {
  let [first, before, frame] = [null, null, Infinity];
  return new Promise((resolve) => {
    const finish = (complete, ended) => {
      document.removeEventListener("visibilitychange", hidden);
      resolve({ complete, ended, frame });
    };
    const hidden = () => document.hidden && first !== null && finish(false, performance.now());
    const next = (moment) => {
      if (document.hidden && first !== null) return;
      if (before !== null) frame = Math.min(frame, moment - before);
      before = moment;
      first ??= moment;
      const time = moment === first ? 0 : moment - first + frame / 2;
      if (draw(time, moment)) requestAnimationFrame(next);
      else finish(true, moment);
    };
    document.addEventListener("visibilitychange", hidden);
    requestAnimationFrame(next);
  });
}
