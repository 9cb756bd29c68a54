// The page that follows: when it is told things, and what becomes of it.

const FRAME = 16;
const UNSEEN = 60_000;

/**
 * Have feeds (`feeds()`) rest and wake with the page, until the signal. A tab that nobody looks at lets go of its streams: a browser
 * has six connections for all tabs of a server. A page that is left is kept by browsers only where nothing is open.
 */
export function attend(feeds, signal) {
  const {document} = globalThis;
  let timer = null;
  const each = (work) => () => feeds().forEach(work);
  const wake = each((feed) => feed.wake());
  const seen = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(each((feed) => feed.rest(false)), UNSEEN);
    else wake();
  };
  const renew = each((feed) => {
    feed.renew();
    feed.wake();
  });
  const listen = (target, name, work) => target?.addEventListener?.(name, work, {signal});
  listen(globalThis, "online", renew);
  listen(globalThis, "pagehide", each((feed) => feed.rest(true)));
  listen(globalThis, "pageshow", ({persisted}) => persisted && wake());
  listen(document, "visibilitychange", seen);
  signal.addEventListener("abort", () => clearTimeout(timer));
  if (document?.hidden) seen();
}

/** What is newest of each, told once a frame: a job may change a hundred times a second, and nobody sees that. */
export class Latest {
  #waiting = new Map();
  #timer = null;

  put(key, tell) {
    this.#waiting.set(key, tell);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      const waiting = [...this.#waiting.keys()];
      for (const key of waiting) {
        const tell = this.#waiting.get(key); // one that was told before may have taken it away
        if (this.#waiting.delete(key)) call(tell);
      }
    }, FRAME);
  }

  delete(key) {
    this.#waiting.delete(key);
  }

  clear() {
    this.#waiting.clear();
  }
}

/** What is called back may fail; the others are still told. */
export function call(callback, ...told) {
  try {
    callback?.(...told);
  } catch (error) {
    reportError(error);
  }
}
