/** Elements, made so that no text of a job can become markup: text is only ever text. */

/**
 * An element with properties, attributes and children.
 * `on…` are listeners, `class` its class, what the element has as a property is set as such, all else is an attribute.
 * Children are nodes or texts; null and false are left out.
 */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Set a text where it differs: what is as it was isn't laid out again. The node stays, as a new one costs more. */
export function say(element, text) {
  const node = element.firstChild;
  if (!(node instanceof Text) || node !== element.lastChild) element.textContent = text;
  else if (node.data !== text) node.data = text;
}

/** Set an attribute where it differs; null takes it away. */
export function attribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** A function that runs `work` at the next frame, once, however often it is called before. */
export function atNextFrame(work) {
  let asked = 0;
  const ask = () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      work();
    });
  };
  ask.cancel = () => cancelAnimationFrame(asked);
  return ask;
}

/** A function that runs `work` when it hasn't been called for so many milliseconds. */
export function afterQuiet(ms, work) {
  let timer = 0;
  const ask = (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...args), ms);
  };
  ask.cancel = () => clearTimeout(timer);
  return ask;
}
