"""Where queued jobs wait for workers, and what is known of who holds one: names and shapes, which the folds write.

A partition has one queue of all its queued jobs, and one of each kind: sorted sets, whose score is the priority, the
higher the lower, and whose members sort by age where scores are equal.
"""

from typing import Final

from msgspec import Struct

__all__ = ["CLAIMS", "Claim", "created_and_job", "queue_member", "queue_of"]

CLAIMS: Final = "claims"
"""The sorted set of the jobs that a worker holds for as long as it is heard of, by when they may be taken from it."""


class Claim(Struct, frozen=True):
    """Who holds a job, or held it last: the field `claim` of the job's hash, as JSON; null once the job has ended.

    Args:
        worker: its name.
        attempt: the job's when it was claimed.
        lease_seconds: how long nothing may be heard of the worker; None is for ever.
        position: of the ``job.claimed``.
        held: whether it still does. A worker that lost a job has no say in it until it claims it again.
    """

    worker: str
    attempt: int
    lease_seconds: float | None
    position: str
    held: bool = True

    def refuses(self, worker: str | None) -> bool:
        """Whether events of a worker have no effect."""
        return (worker == self.worker) is not self.held


def queue_of(kind: str | None) -> str:
    """The queue of a kind; None is of all jobs."""
    return "queue" if kind is None else f"queue:{kind}"


def queue_member(created: int, job: str) -> str:
    """A job in a queue, by when it was created, in ms since 1970."""
    return f"{created:013d}:{job}"


def created_and_job(member: str) -> tuple[int, str]:
    """What a member of a queue says."""
    created, _, job = member.partition(":")
    return int(created), job
