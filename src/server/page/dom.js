// Elements. What comes from the store becomes text and nothing else: markup is never made from a string here.

const byId = (id) => document.getElementById(id);

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const h = (name, attributes = {}, ...children) => build(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

/** A time that counts on by itself: `when` is of the server's clock, `words` makes text of the distance to now. */
function counting(when, words) {
  const element = h("time", { datetime: new Date(when).toISOString(), title: new Date(when).toISOString() });
  element.counting = () => {
    const text = words(serverNow() - when);
    if (element.textContent !== text) element.textContent = text;
  };
  element.counting();
  return element;
}

function countOn() {
  for (const element of document.querySelectorAll("time")) element.counting?.();
}

const ago = (when) => counting(when, (ms) => (ms < 1000 ? "just now" : `${age(ms)} ago`));
// Our notion of the server's clock is not exact.
const untilThen = (when) => counting(when, (ms) => (Math.abs(ms) < 1000 ? "just now" : ms < 0 ? `in ${age(-ms)}` : `${age(ms)} ago`));

let toastTimer = 0;
function toast(text) {
  const element = byId("toast");
  // Above a dialog that is open, where it would be inert otherwise.
  ([...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body).append(element);
  element.textContent = text;
  element.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (element.hidden = true), 6000);
}
