/** Small helpers for the elements on the screen. */

/** An element with properties (or attributes, where it has no such property) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** A promise of the next event of a kind at an element. */
export function next(target, kind) {
  return new Promise((resolve) => target.addEventListener(kind, resolve, { once: true }));
}

/** Show the status line of the page; hide it if the text is empty. */
export function say(text) {
  document.querySelector("#status").textContent = text;
}

/** Move the focus to what should be read first; a screen reader continues from there. */
export function lead(target) {
  target.tabIndex = -1;
  target.focus();
}
