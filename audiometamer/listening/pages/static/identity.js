/** Whether a name says who somebody is: the rules of audiometamer/experiment/identity.py. */

const MOST_LETTERS = 256;
const MARKS = /[{}[\]<>$%]/; // of placeholders that a service did not replace; no identity has them
const NOBODY = ["undefined", "null", "none", "nan", "nil", "prolific_pid", "workerid", "worker_id", "participant_id"];
const BLANKS = /[\p{White_Space}\x1c-\x1f]+/u;

/** A name in the one form that is kept, so that one person stays one person; null if it is nobody's. */
export function identity(name) {
  const found = name.split(BLANKS).filter(Boolean).join(" ").normalize("NFC");
  const isNobody = !found || [...found].length > MOST_LETTERS || NOBODY.includes(found.toLowerCase());
  return isNobody || MARKS.test(found) || /\p{C}/u.test(found) ? null : found;
}
