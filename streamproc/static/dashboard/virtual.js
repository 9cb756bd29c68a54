/** A list of which only the rows in sight are in the document, however many there are. All rows are of one height. */

import { atNextFrame, attribute, h } from "./dom.js";

const BEYOND = 6;
const LEAST_A_TURN = 8;
const TURNS = 6; // in which all rows are written: nobody reads quicker, and to lay out and paint them takes its time
const MANY = 50; // rows: painting takes so long whatever was written that every other frame is left out

/**
 * A list.
 *
 * @param label what it is a list of
 * @param make () => ({element, show(item)}): a row; `element` is an `<li>`
 * @param keyOf (item) => what tells a row from others
 * @param options `height()` of a row in pixels; `scroller`: what scrolls, else the window; `seen(items)` is told which rows are in sight
 */
export function virtualList(label, make, keyOf, { height, scroller = null, seen = () => {} }) {
  const element = h("ul", { class: "virtual", "aria-label": label });
  const rows = new Map();
  const changed = new Set();
  let items = [];
  let range = [0, 0];
  let isMoved = false;

  function inSight(row) {
    const top = scroller ? scroller.scrollTop : -element.getBoundingClientRect().top;
    const tall = scroller ? scroller.clientHeight : innerHeight;
    const first = Math.max(0, Math.min(Math.floor(top / row) - BEYOND, items.length - 1));
    return [first, Math.max(first, Math.min(items.length, Math.ceil((top + tall) / row) + BEYOND))];
  }

  function render() {
    isMoved = false;
    if (!element.isConnected) return;
    const row = height();
    range = inSight(row);
    const tall = `${items.length * row}px`;
    if (element.style.height !== tall) element.style.height = tall;
    const kept = new Set();
    const focused = element.contains(document.activeElement) ? document.activeElement : null;
    let place = element.firstChild;
    for (let at = range[0]; at < range[1]; at++) {
      const key = keyOf(items[at]);
      kept.add(key);
      let made = rows.get(key);
      if (!made) {
        made = make();
        rows.set(key, made);
        made.show(items[at]);
      }
      made.item = items[at];
      // Who reads the document reads it in the order of the list.
      if (place === made.element) place = place.nextSibling;
      else element.insertBefore(made.element, place);
      const top = `${at * row}px`;
      if (made.element.style.top !== top) made.element.style.top = top;
      attribute(made.element, "aria-posinset", at + 1);
      attribute(made.element, "aria-setsize", items.length);
    }
    for (const [key, made] of rows) {
      if (kept.has(key) || made.element.contains(document.activeElement)) continue;
      made.element.remove();
      rows.delete(key);
    }
    if (focused && document.activeElement !== focused) focused.focus({ preventScroll: true });
    seen(items.slice(...range));
  }

  let isLeftOut = false;
  /** Rows that have changed are shown some at a time, those first that have waited longest. */
  const draw = atNextFrame(() => {
    if (isMoved) render();
    isLeftOut = !isLeftOut && rows.size > MANY;
    if (!isLeftOut) write(Math.max(LEAST_A_TURN, Math.ceil(rows.size / TURNS)));
    if (changed.size) draw();
  });

  function write(most) {
    for (const key of [...changed].slice(0, most)) {
      changed.delete(key);
      const made = rows.get(key);
      made?.show(made.item);
    }
  }
  const move = () => {
    isMoved = true;
    draw();
  };
  const refresh = () => {
    for (const key of rows.keys()) changed.add(key);
    move();
  };
  const target = scroller ?? window;
  target.addEventListener("scroll", move, { passive: true });
  addEventListener("resize", move);

  return {
    element,
    /** Show what has become of all of them. */
    refresh,
    /** Show what has become of one: only its row is touched. */
    update(key) {
      if (!rows.has(key)) return;
      changed.add(key);
      draw();
    },
    set(found) {
      items = found;
      refresh();
    },
    /** The same at once, and not with the next frame. */
    render,
    /** Bring a row into sight and give it the focus. */
    focus(at) {
      const row = height();
      const start = scroller ? 0 : element.getBoundingClientRect().top + scrollY;
      const place = start + at * row;
      const top = scroller ? scroller.scrollTop : scrollY;
      const tall = scroller ? scroller.clientHeight : innerHeight;
      if (place < top || place + row > top + tall) target.scrollTo({ top: Math.max(0, place - tall / 2) });
      render();
      rows.get(keyOf(items[at]))?.element.querySelector("a, button")?.focus({ preventScroll: true });
    },
    /** Which item a row inside holds the focus; -1 where none does. */
    focused: () => items.findIndex((item) => rows.get(keyOf(item))?.element.contains(document.activeElement)),
    close() {
      draw.cancel();
      target.removeEventListener("scroll", move);
      removeEventListener("resize", move);
    },
  };
}
