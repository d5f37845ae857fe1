/** Retrying until something works, with longer and longer pauses. */

const FIRST = 500; // ms
const LONGEST = 30_000;
const MAX_RETRY_AFTER = 120; // s, of what the server asks for

/** The server has refused: repeating the request does not help. */
export class Refused extends Error {
  /** `code`: of the sentence that explains it to a listener; `state`: how far the listener really is. */
  constructor(status, message, { state = null, code = null } = {}) {
    super(message);
    this.name = "Refused";
    Object.assign(this, { status, state, code });
  }
}

/** The result of `action`, which is retried after any error but `Refused`; `failed(error, attempt)` is called after each. */
export async function persist(action, failed = () => {}) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      if (error instanceof Refused) throw error;
      failed(error, attempt);
      // Half of the pause is random, so that pages which lost their server together do not all return together.
      const later = Math.min(FIRST * 2 ** (attempt - 1), LONGEST) * (0.5 + Math.random() / 2);
      await pause(later + 1000 * Math.min(error.after || 0, MAX_RETRY_AFTER));
    }
  }
}

/** Wait for some ms, or until the connection is back. */
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
