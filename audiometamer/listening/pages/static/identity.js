/** Whether a name identifies a participant: the rules of audiometamer/listening/identity.py. */

const MOST_LETTERS = 256;
const MARKS = /[{}[\]<>$%]/; // of unreplaced placeholders; no identity has them
const NOBODY = ["undefined", "null", "none", "nan", "nil", "prolific_pid", "workerid", "worker_id", "participant_id"];
const BLANKS = /[\p{White_Space}\x1c-\x1f]+/u;

/** A name in normal form, so that one person stays one person; null if it identifies nobody. */
export function identity(name) {
  const found = name.split(BLANKS).filter(Boolean).join(" ").normalize("NFC");
  const isNobody = !found || [...found].length > MOST_LETTERS || NOBODY.includes(found.toLowerCase());
  return isNobody || MARKS.test(found) || /\p{C}/u.test(found) ? null : found;
}
