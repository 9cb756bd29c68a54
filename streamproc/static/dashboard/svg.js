/** Drawings, made of elements as pages are: they have texts and links, and take their colours from the style sheets. */

/** An SVG element with attributes and children. Children are nodes or texts; null and false are left out. */
export function s(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The mark of a run at a place: what finished is a disc, what failed a cross, what was canceled a ring. */
export function mark(outcome, x, y, size) {
  if (outcome === "finished") return s("circle", { class: "run finished", cx: x, cy: y, r: size });
  if (outcome === "canceled") return s("circle", { class: "run canceled", cx: x, cy: y, r: size - 0.5 });
  return s("path", { class: "run failed", d: `M${x - size} ${y - size}L${x + size} ${y + size}M${x - size} ${y + size}L${x + size} ${y - size}` });
}
