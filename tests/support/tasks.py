"""What the tests of the task frameworks share: where the framework may be missing, and what became of a task."""

import importlib
import os
from typing import Any

import msgspec
import pytest

from projections.history import History
from projections.snapshot import Snapshot
from streamproc.events import RecordedEvent
from streamproc.wire import decode
from tests.support.producing import LogReader

__all__ = ["TaskLog", "celery_settings", "framework"]


def framework(name: str) -> None:
    """Skip the file where a framework isn't installed; fail where nothing may be missing."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        if os.environ.get("STREAMPROC_TEST_EVERYTHING"):
            raise
        pytest.skip(f"{name} is not installed", allow_module_level=True)


def celery_settings(broker: str, queue: str) -> dict[str, Any]:
    """Where Celery's workers and those that send them tasks meet."""
    return {
        "broker_url": broker,
        "result_backend": broker,
        "task_default_queue": queue,
        "broker_transport_options": {"global_keyprefix": queue},
        "result_backend_transport_options": {"global_keyprefix": queue},
    }


class TaskLog(LogReader):
    """The log, read as tasks tell it."""

    def told(self, job: str) -> list[str]:
        """What is said of a job and in which attempt, without its heartbeats: ``queued 1``, ``started 1``."""
        return [
            f"{event['type'].removeprefix('job.')} {event.get('attempt', '-')}"
            for event in self.events(job)
            if event["type"] != "job.heartbeat"
        ]

    def attempts(self, job: str) -> list[tuple[int, str | None, str | None]]:
        """Each attempt's number, how it ended, and the text of its error."""
        snapshot, history = Snapshot(), History()
        snapshot_state, history_state = snapshot.initial(job), history.initial(job)
        for position, payload in self.entries(job):
            recorded = RecordedEvent(position, decode(payload), payload)
            snapshot.evolve(snapshot_state, recorded)
            history.evolve(history_state, recorded)
        found: list[dict[str, Any]] = msgspec.to_builtins(history.view(history_state))["attempts"]
        return [(each["attempt"], each["status"], (each["error"] or {}).get("detail")) for each in found]
