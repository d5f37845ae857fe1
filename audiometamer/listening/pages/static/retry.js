/** Doing something again and again until it works, with longer and longer pauses. */

const FIRST = 500; // ms
const LONGEST = 30_000;
const MOST_AFTER = 120; // s, of what the other side asks for

/** The other side has said no: sending the same again does not help. */
export class Refused extends Error {
  /** `code`: of the sentence by which it is explained to a listener; `state`: how far the listener really is. */
  constructor(status, message, { state = null, code = null } = {}) {
    super(message);
    this.name = "Refused";
    Object.assign(this, { status, state, code });
  }
}

/** The result of `action`; after any failure but `Refused` it is tried again, and `failed` is told of it. */
export async function persist(action, failed = () => {}) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      if (error instanceof Refused) throw error;
      failed(error, attempt);
      // Half of the pause is drawn, so that pages which lost their server together do not all come back together.
      const later = Math.min(FIRST * 2 ** (attempt - 1), LONGEST) * (0.5 + Math.random() / 2);
      await pause(later + 1000 * Math.min(error.after || 0, MOST_AFTER));
    }
  }
}

/** So many ms, or less if the connection comes back before. */
function pause(milliseconds) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
  });
}
