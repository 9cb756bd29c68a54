/** A box with very many lines in it, that scrolls by itself: of units, of events. */

import { h } from "./dom.js";
import { virtualList } from "./virtual.js";

/**
 * The box. It tells whether somebody reads in it, by scrolling or pointing, and when that is over (`released`).
 *
 * @param box what the box is called; `label`, `make`, `keyOf`, `seen` are those of a virtual list
 */
export function lineList(box, label, make, keyOf, seen) {
  const scroller = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": box });
  const height = () => parseFloat(getComputedStyle(scroller).getPropertyValue("--tall"));
  const list = virtualList(label, make, keyOf, { height, scroller, seen });
  const resized = new ResizeObserver(list.refresh);
  let release = () => {};
  scroller.append(list.element);
  resized.observe(scroller);
  scroller.addEventListener("scroll", () => scroller.scrollTop === 0 && release(), { passive: true });
  scroller.addEventListener("pointerleave", () => scroller.scrollTop === 0 && release());
  return {
    element: scroller,
    refresh: list.refresh,
    set: list.set,
    close() {
      resized.disconnect();
      list.close();
    },
    isScrolled: () => scroller.scrollTop > 0,
    isRead: () => scroller.scrollTop > 0 || scroller.matches(":hover"),
    released(work) {
      release = work;
    },
    toTop() {
      scroller.scrollTop = 0;
    },
  };
}
