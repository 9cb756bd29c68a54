"""A day of work, as its log tells of it: what pages show where they are in use."""

import json
import random
import time
from collections.abc import Iterator
from typing import Any

from tests.support.producing import wait_until
from tests.support.stack import Stack

__all__ = ["play", "scene"]

Told = tuple[float, dict[str, Any]]  # seconds ago, and the event

MINUTE, HOUR = 60.0, 3600.0
STAGES = {
    "import": {"Upload": 1, "Parse": 2, "Analyze": 5},
    "render": {"Prepare": 1, "Frames": 8, "Encode": 3},
    "backup": {"Scan": 1, "Copy": 6, "Verify": 2},
}
TAKES = {"import": 21 * MINUTE, "render": 52 * MINUTE, "backup": 9 * MINUTE}
TITLES = {
    "import": ["Orders of the north", "Customers", "Price list, spring", "Stock of all shops", "Returns"],
    "render": ["Trailer, second cut", "Opening titles", "Scene 12, night", "Credits"],
    "backup": ["Mail", "Accounts", "Photo archive", "Source code"],
}
ERRORS = [
    ("ValueError", "line 7,204 has no date"),
    ("ConnectionError", "the bucket photos-eu didn't answer for 30 s"),
    ("OSError", "no space left on volume 3"),
]


def scene() -> list[Told]:
    """What was reported of the jobs of a day, the latest of them still going on."""
    chance = random.Random(11)
    told: list[Told] = []
    for number in range(72):
        kind = chance.choice(list(STAGES))
        ago = chance.uniform(1.5 * HOUR, 24 * HOUR)
        told += past(chance, f"{kind}-{4600 + number}", kind, ago)
    told += list(present(chance))
    return sorted(told, key=lambda each: -each[0])


def past(chance: random.Random, job: str, kind: str, ago: float) -> Iterator[Told]:
    """A run that is over: most finished."""
    stages = STAGES[kind]
    takes = TAKES[kind] * chance.lognormvariate(0, 0.35)
    ends_badly = chance.random() < 0.12
    yield queued(job, kind, chance.choice(TITLES[kind]), ago + chance.uniform(2, 300))
    worker = f"worker-{chance.randint(1, 6)}"
    yield ago, {"job": job, "type": "job.started", "worker": worker}
    for stage, weight in stages.items():
        part = takes * weight / sum(stages.values())
        yield ago, {"job": job, "type": "stage.started", "stage": stage}
        for step in (1, 2, 3):
            ago -= part / 4
            yield ago, {"job": job, "type": "stage.progressed", "stage": stage, "done": step * 25, "total": 100}
        ago -= part / 4
        if ends_badly and stage == list(stages)[1]:
            name, detail = chance.choice(ERRORS)
            yield ago, {"job": job, "type": "job.failed", "error": {"type": name, "detail": detail}}
            return
        yield ago, {"job": job, "type": "stage.finished", "stage": stage}
    end = {"job": job, "type": "job.finished", "result": {"rows": chance.randint(10_000, 90_000), "skipped": 3}}
    yield ago, end if chance.random() > 0.05 else {"job": job, "type": "job.canceled", "reason": "not needed any more"}


def queued(job: str, kind: str, title: str, ago: float, **more: Any) -> Told:
    stages = [{"name": name, "weight": weight} for name, weight in STAGES.get(kind, {}).items()]
    labels = {"team": "north" if len(title) % 2 else "south", "region": "eu-west"}
    event = {"job": job, "type": "job.queued", "kind": kind, "title": title, "labels": labels, "owner": "ada"}
    return ago, event | ({"stages": stages} if stages else {}) | more


def present(chance: random.Random) -> Iterator[Told]:
    """What goes on now: of each sort something."""
    yield from importing()
    yield queued("render-4701", "render", "Scene 12, night", 31 * MINUTE)
    yield 30 * MINUTE, {"job": "render-4701", "type": "job.started", "worker": "worker-2"}
    yield 30 * MINUTE, {"job": "render-4701", "type": "stage.started", "stage": "Prepare"}
    yield 27 * MINUTE, {"job": "render-4701", "type": "stage.finished", "stage": "Prepare"}
    for frame in range(1, 41):
        progress = {"stage": "Frames", "done": frame * 24, "total": 1440, "message": f"frame {frame * 24:,} of 1,440"}
        yield 27 * MINUTE - frame * 40, {"job": "render-4701", "type": "stage.progressed", **progress}

    yield queued("backup-4702", "backup", "Photo archive", 6 * MINUTE)
    yield 5 * MINUTE, {"job": "backup-4702", "type": "job.started", "worker": "worker-4"}
    yield 4 * MINUTE, {"job": "backup-4702", "type": "stage.progressed", "stage": "Scan", "percent": 80}
    yield 3 * MINUTE, {"job": "backup-4702", "type": "job.paused"}

    yield queued("backup-4703", "backup", "Mail", 70 * MINUTE)
    yield 69 * MINUTE, {"job": "backup-4703", "type": "job.started", "worker": "worker-5"}
    yield 66 * MINUTE, {"job": "backup-4703", "type": "stage.progressed", "stage": "Copy", "percent": 35}
    yield 30 * MINUTE, {"job": "backup-4703", "type": "job.stalled", "silent_seconds": 2160}

    yield (
        12 * MINUTE,
        {"job": "sync-9", "type": "job.started", "kind": "sync", "title": "Catalogue", "worker": "worker-1"},
    )
    yield 20, {"job": "sync-9", "type": "job.progressed", "message": "waiting for the answer of the archive"}

    yield queued("import-4699", "import", "Returns", 50 * MINUTE)
    yield 49 * MINUTE, {"job": "import-4699", "type": "job.started", "worker": "worker-3", "attempt": 1}
    yield 45 * MINUTE, {"job": "import-4699", "type": "stage.finished", "stage": "Upload"}
    yield (
        40 * MINUTE,
        {"job": "import-4699", "type": "stage.progressed", "stage": "Parse", "done": 7203, "total": 26000},
    )
    failure = {"type": "ValueError", "detail": "line 7,204 has no date"}
    yield 39 * MINUTE, {"job": "import-4699", "type": "job.failed", "error": failure}

    for number, (kind, title) in enumerate(
        [("import", "Price list, spring"), ("render", "Credits"), ("backup", "Mail")]
    ):
        yield queued(f"{kind}-{4710 + number}", kind, title, (9 - number * 2) * MINUTE)


def importing() -> Iterator[Told]:
    """A job with all that a job can have, in its second attempt."""
    job = "import-4700"
    yield queued(job, "import", "Orders of the north, April", 44 * MINUTE, max_attempts=3)
    yield 43 * MINUTE, {"job": job, "type": "job.started", "worker": "worker-6"}
    yield 41 * MINUTE, {"job": job, "type": "stage.progressed", "stage": "Upload", "percent": 40}
    failure = {"type": "ConnectionError", "detail": "the bucket orders-eu didn't answer for 30 s"}
    yield 40 * MINUTE, {"job": job, "type": "job.failed", "error": failure}
    yield 14 * MINUTE, {"job": job, "type": "job.started", "worker": "worker-3", "attempt": 2}
    yield 14 * MINUTE, {"job": job, "type": "stage.started", "stage": "Upload"}
    yield 12 * MINUTE, {"job": job, "type": "stage.finished", "stage": "Upload"}
    for file in range(14):
        unit = {"unit": f"orders-{file + 1:02}.csv", "stage": "Parse"}
        yield 12 * MINUTE, {"job": job, "type": "unit.added", **unit}
        if file < 9:
            yield 12 * MINUTE - file * 70, {"job": job, "type": "unit.started", **unit}
            ended = {"job": job, "type": "unit.finished", **unit}
            if file == 5:
                ended |= {"type": "unit.failed", "error": {"type": "ValueError", "detail": "line 318: 31 April"}}
            yield 12 * MINUTE - (file + 1) * 70, ended
            counted = {"indicator": "rows", "done": 1_180, "total": 18_000 if file == 0 else 0}
            yield 12 * MINUTE - (file + 1) * 70, {"job": job, "type": "job.counted", **counted}
    working = {"unit": "orders-10.csv", "stage": "Parse", "percent": 40}
    yield 45, {"job": job, "type": "unit.progressed", **working, "message": "row 472 of 1,180"}
    yield 20, {"job": job, "type": "job.noted", "message": "orders-10.csv, row 472 of 1,180"}


def play(stack: Stack, told: list[Told]) -> None:
    """Write a log as it would be had all of it happened when it is said to have. It has to be empty before."""
    now = time.time()
    with stack.log.client.pipeline(transaction=False) as pipe:
        for ago, event in told:
            key = stack.log.keys.of(event["job"]).log
            pipe.xadd(key, {"e": json.dumps(event)}, id=f"{int((now - ago) * 1000)}-*")
        positions = [position.decode() for position in pipe.execute()]
    last = {event["job"]: position for (_, event), position in zip(told, positions, strict=True)}
    for job, position in last.items():
        wait_until(lambda: stack.snapshot(job).get("position") == position)  # noqa: B023
