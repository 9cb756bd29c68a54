// What `benchmarks.dashboard` asks of a page from inside of it. It is there before the page's own scripts.

/** Settles when what was done in this frame has been handed to the screen: the time since navigation, in ms. */
const painted = () =>
  new Promise((resolve) => {
    requestAnimationFrame(() => {
      const {port1, port2} = new MessageChannel();
      port1.onmessage = () => resolve(performance.now());
      port2.postMessage(null);
    });
  });

const appeared = (selector) =>
  new Promise((resolve) => {
    const look = () => document.querySelector(selector) && (observer.disconnect(), resolve());
    const observer = new MutationObserver(look);
    observer.observe(document, {childList: true, subtree: true, attributes: true, attributeFilter: ["aria-setsize"]});
    look();
  });

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

globalThis.probe = {
  /** ms from navigation until an element is painted. */
  async shown(selector) {
    await appeared(selector);
    return painted();
  },

  /** The intervals of frames, and the tasks longer than 50 ms, of so many milliseconds. */
  async frames(ms, eachFrame = () => {}) {
    const intervals = [];
    const tasks = [];
    const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration)));
    observer.observe({type: "longtask"});
    let last = null;
    const end = performance.now() + ms;
    await new Promise((resolve) => {
      requestAnimationFrame(function frame(at) {
        if (last !== null) intervals.push(at - last);
        last = at;
        eachFrame();
        if (at < end) requestAnimationFrame(frame);
        else resolve();
      });
    });
    observer.disconnect();
    return {intervals, tasks};
  },

  /** The same, and how late each update of the first rows was shown: "number of the update, when it was sent". */
  async following(ms, every) {
    const rows = [...document.querySelectorAll(".row .doing")].slice(0, 40).map((element) => ({element, number: null}));
    const late = [];
    const look = () => {
      const now = Date.now();
      for (const row of rows) {
        const [number, sent] = row.element.textContent.split(" ").map(Number);
        if (row.number !== null) for (let one = row.number + 1; one <= number; one++) late.push(now - (sent - (number - one) * every));
        row.number = number;
      }
    };
    return {...(await this.frames(ms, look)), late};
  },

  /** The intervals of frames while something is scrolled through, by its height each half second. */
  async scrolling(selector, ms) {
    const box = selector ? document.querySelector(selector) : document.scrollingElement;
    return this.frames(ms, () => { box.scrollTop += box.clientHeight / 30; });
  },

  /** ms from navigation until a whole list is shown: its last row is scrolled to again and again. */
  async whole(boxSelector, lastSelector) {
    await appeared(boxSelector);
    const box = document.querySelector(boxSelector);
    while (!document.querySelector(lastSelector)) {
      box.scrollTop = box.scrollHeight;
      await pause(5);
    }
    return painted();
  },
};
