/** What is usual of a job's kind: how long its runs took, and each of their stages. */

const AGAIN_MS = 300_000;

/**
 * What is known of kinds, as of a few minutes ago at most. `of(kind)` is the kind as the gateway tells of it, or null: not known yet,
 * or not told to who sees only some jobs of it. `changed` is called when more is known.
 */
export function typicalOf(client, changed) {
  const known = new Map();
  const asked = new Map();
  async function ask(kind) {
    asked.set(kind, Date.now());
    const found = await client.get(`/v1/kinds/${encodeURIComponent(kind)}`).catch(() => null); // everything is shown without it, too
    if (!found) return;
    known.set(kind, { ...found, stages: new Map(found.stages.map((stage) => [stage.name, stage.duration_seconds])) });
    changed();
  }
  return {
    of(kind) {
      if (kind === null || kind === undefined || !client) return null;
      if (!(Date.now() - asked.get(kind) < AGAIN_MS)) ask(kind);
      return known.get(kind) ?? null;
    },
  };
}
