/** What is usual of a job's kind: how long its runs took, and each of their stages. */

/**
 * What is known of kinds, asked for once each. `of(kind)` is the kind as the gateway tells of it, or null: not known yet,
 * or not told to who sees only some jobs of it. `changed` is called when more is known.
 */
export function typicalOf(client, changed) {
  const known = new Map();
  async function ask(kind) {
    known.set(kind, null);
    const found = await client.get(`/v1/kinds/${encodeURIComponent(kind)}`).catch(() => null); // everything is shown without it, too
    if (!found) return;
    known.set(kind, { ...found, stages: new Map(found.stages.map((stage) => [stage.name, stage.duration_seconds])) });
    changed();
  }
  return {
    of(kind) {
      if (kind === null || kind === undefined || !client) return null;
      if (!known.has(kind)) ask(kind);
      return known.get(kind);
    },
  };
}
