"""Whether the jobs that events are about are the sender's to write."""

from collections.abc import Sequence
from typing import Final

import anyio
import msgspec
from msgspec import Struct

from streamproc.events import Event
from streamproc.gateway.identity import Identity
from streamproc.store import Store

__all__ = ["foreign"]

_FOLD_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.05


class _Job(Struct):
    """What is read of a snapshot, and of the events that come before its first one."""

    kind: str | None = None
    owner: str | None = None


_decode = msgspec.json.Decoder(_Job).decode


async def foreign(identity: Identity, store: Store, events: Sequence[Event]) -> list[int]:
    """The indexes of the events about jobs that an identity doesn't see, or that would take them out of its sight.

    A job's first event may have been sent a moment ago and not be folded yet, so unknown jobs are waited for.
    """
    if not identity.limited:
        return []
    jobs = await _known(store, identity, events)
    wrong = []
    for index, event in enumerate(events):
        job = jobs.get(event.job)
        known = job or _Job()
        after = _Job(event.kind or known.kind, event.owner or known.owner)
        before = job or after  # who creates a job says what it is; one that is there can't be made one's own by that
        if not all(identity.sees(event.job, each.kind, each.owner) for each in (before, after)):
            wrong.append(index)
        jobs[event.job] = after
    return wrong


async def _known(store: Store, identity: Identity, events: Sequence[Event]) -> dict[str, _Job]:
    """The jobs as they are stored; those that say themselves what they are, or can't be seen at all, needn't be."""
    wanted = list({event.job: None for event in events})
    hopeless = {event.job for event in events if event.kind or event.owner}
    found: dict[str, _Job] = {}
    with anyio.move_on_after(_FOLD_SECONDS):
        while wanted:
            stored = await store.current(wanted)
            found |= {job: _decode(one) for job, (_, one) in zip(wanted, stored, strict=True) if one is not None}
            wanted = [job for job in wanted if job not in found and job not in hopeless]
            if wanted and (identity.kinds is not None or identity.owners is not None):
                await anyio.sleep(_LOOK_SECONDS)
            else:
                break
    return found
