"""Progress of Dramatiq's actors.

::

    broker = RedisBroker()
    broker.add_middleware(StreamprocMiddleware())

    @dramatiq.actor
    def import_file(path):
        for row in streamproc.current_job().track(rows_of(path)): ...
"""

from collections.abc import Container
from typing import Any, Final

from dramatiq import Actor, Broker, Message, Middleware, Worker
from dramatiq.broker import MessageProxy

from streamproc import Job, JobCanceled, Producer
from streamproc.integrations.tasks import BlockingTasks

__all__ = ["StreamprocMiddleware"]

_QUEUED: Final = "streamproc_queued"
"""The option of a message that tells as which attempt it was queued."""
_JOB: Final = "streamproc_job"
_ERROR: Final = "streamproc_error"
"""What a message remembers while it is in this worker: its job, and why it failed."""


class StreamprocMiddleware(Middleware):
    """Reports on a broker's messages. Within an actor, `streamproc.current_job` is the message's job.

    An actor that was asked to stop, by `JobCanceled`, isn't tried again; Dramatiq keeps its message with the dead ones.

    Args:
        sp: the connection; None makes one to STREAMPROC_URL, and doesn't mind a server that is gone.
        kinds: the names of the actors to report on; None reports on all.
        results: whether to report what actors return, where JSON can say it.
    """

    def __init__(
        self, sp: Producer | None = None, *, kinds: Container[str] | None = None, results: bool = True
    ) -> None:
        self._tasks = BlockingTasks(sp, kinds=kinds, results=results)

    def after_declare_actor(self, broker: Broker, actor: Actor[Any, Any]) -> None:
        """To have been asked to stop is no reason to be tried again."""
        actor.options["throws"] = (actor.options.get("throws") or (), JobCanceled)  # `isinstance` takes nested tuples

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int) -> None:
        """Before, so that no worker is faster. A message with a delay is enqueued again when that is over."""
        attempt = _attempt(message)
        if message.options.get(_QUEUED) != attempt:
            message.options[_QUEUED] = attempt
            self._tasks.queued(self._job(message, attempt))

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        job = vars(message)[_JOB] = self._job(message, _attempt(message))
        self._tasks.started(job)

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        job = vars(message)[_JOB]
        self._tasks.left(job)
        if exception is None:
            self._tasks.finished(job, result)
        else:
            vars(message)[_ERROR] = exception

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Another middleware doesn't let it run, as where it is too old."""
        job = vars(message).get(_JOB) or self._job(message, _attempt(message))
        self._tasks.left(job)
        self._tasks.canceled(job, "skipped")

    def after_ack(self, broker: Broker, message: MessageProxy) -> None:
        """Now that the other middleware has seen it, its next attempt is queued, if it is to have one."""
        error = vars(message).pop(_ERROR, None)
        if error is not None:
            self._tasks.failed(vars(message)[_JOB], error)

    after_nack = after_ack

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._tasks.flush()

    def _job(self, message: Message[Any] | MessageProxy, attempt: int) -> Job:
        return self._tasks.job(message.message_id, message.actor_name, attempt)


def _attempt(message: Message[Any] | MessageProxy) -> int:
    retries: int = message.options.get("retries", 0)
    return retries + 1
