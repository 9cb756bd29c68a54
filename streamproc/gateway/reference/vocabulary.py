"""What happened, by the types of events: the messages of the log. That it has every type is tested."""

from collections.abc import Mapping
from typing import Final

__all__ = ["VOCABULARY"]

VOCABULARY: Final[Mapping[str, str]] = {
    "job.queued": "A job is to be done; it creates the job.",
    "job.claimed": "A worker has taken a job from the queue; only its events count now.",
    "job.released": "A job is back in the queue.",
    "job.started": "The work begins.",
    "job.progressed": "How far the job is.",
    "job.counted": "So many more are done, or to do.",
    "job.pause_requested": "Somebody asks the worker to stand still.",
    "job.resume_requested": "Somebody asks the worker to go on.",
    "job.cancel_requested": "Somebody asks the worker to stop.",
    "job.paused": "The worker stands still.",
    "job.resumed": "The worker goes on.",
    "job.finished": "The job is done.",
    "job.failed": "The job has failed.",
    "job.canceled": "The job was stopped.",
    "job.heartbeat": "The worker is there.",
    "job.noted": "A message without progress.",
    "job.stalled": "The job has been silent for too long.",
    "stage.started": "A stage begins.",
    "stage.progressed": "How far a stage is.",
    "stage.finished": "A stage is done.",
    "stage.failed": "A stage has failed; the job goes on until it says otherwise.",
    "stage.skipped": "A stage isn't needed.",
    "unit.added": "A unit is announced.",
    "unit.started": "A unit begins.",
    "unit.progressed": "How far a unit is.",
    "unit.finished": "A unit is done.",
    "unit.failed": "A unit has failed.",
}
