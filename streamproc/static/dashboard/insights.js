/** What is told of kinds at length, of those whose rows are in sight: it is more work than what is told of all. */

const AGAIN_MS = 60_000;

/**
 * `watch(element, kind)` has the kind asked for while the element is in sight, one after the other; `know(kinds)` tells
 * what is known in short, as a kind is asked for again where a run of it has ended since, once a minute. `of(kind)` is
 * what was told last; null before. `changed` is called when more is known.
 */
export function insights(client, changed) {
  const known = new Map();
  const inSight = new Set();
  const ended = new Map();
  let isOver = false;
  let isAsking = false;
  const kinds = new WeakMap();
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) inSight.add(kinds.get(target));
      else inSight.delete(kinds.get(target));
    }
    ask();
  });

  const isDue = (kind) => {
    const last = known.get(kind);
    return !last || (last.ended !== ended.get(kind) && Date.now() - last.asked > AGAIN_MS);
  };

  async function ask() {
    if (isAsking) return;
    isAsking = true;
    for (let kind; !isOver && !document.hidden && (kind = [...inSight].find(isDue)) !== undefined; ) {
      // One that can't be had is asked for again when others are: the table is shown without it, too.
      const told = await client.get(`/v1/kinds/${encodeURIComponent(kind)}`).catch(() => known.get(kind)?.told ?? null);
      known.set(kind, { told, asked: Date.now(), ended: ended.get(kind) });
      if (!isOver) changed();
    }
    isAsking = false;
  }

  return {
    of: (kind) => known.get(kind)?.told ?? null,
    watch(element, kind) {
      kinds.set(element, kind);
      observer.observe(element);
    },
    know(all) {
      for (const { kind, last_ended_at: at } of all) ended.set(kind, at);
      ask();
    },
    close() {
      isOver = true;
      observer.disconnect();
    },
  };
}
