"""Work that the owner of partitions does in rounds: what it keeps of each of them, and what goes wrong, said once."""

import logging
from collections.abc import Awaitable, Callable, Container
from typing import Generic, TypeVar

from streamproc.errors import Fenced, ServerError, ServerUnavailable
from streamproc.owned import Partition

__all__ = ["Rounds"]

_logger = logging.getLogger("streamproc.projector")

T = TypeVar("T")


class _Held(Generic[T]):
    __slots__ = ("kept", "partition", "wrong")

    def __init__(self, partition: Partition, kept: T) -> None:
        self.partition = partition
        self.kept = kept
        self.wrong: str | None = None


class Rounds(Generic[T]):
    """What is kept of partitions from round to round, as long as they are ours.

    Args:
        begin: makes what is kept of a partition that was just taken.
        trouble: what is logged of a partition with which the work fails, before the reason.
    """

    def __init__(self, begin: Callable[[], T], trouble: str) -> None:
        self._begin = begin
        self._trouble = trouble
        self._held: dict[int, _Held[T]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def of(self, partition: Partition) -> T:
        """What is kept of a partition: nothing yet of one that was lost and taken again."""
        return self._hold(partition).kept

    async def attempt(self, partition: Partition, work: Callable[[Partition], Awaitable[None]]) -> None:
        """Do this round's work; a failure is logged when it is another than the last. Raises `ServerUnavailable`."""
        held = self._hold(partition)
        wrong = None
        try:
            await work(partition)
        except Fenced:
            return  # its new owner does it
        except ServerUnavailable:
            raise
        except ServerError as error:
            wrong = str(error)
        if wrong is not None and wrong != held.wrong:
            _logger.error("partition %d %s: %s", partition.number, self._trouble, wrong)
        held.wrong = wrong

    def forget_all_but(self, numbers: Container[int]) -> None:
        """Forget partitions that aren't ours any more."""
        self._held = {number: held for number, held in self._held.items() if number in numbers}

    def _hold(self, partition: Partition) -> _Held[T]:
        held = self._held.get(partition.number)
        if held is None or held.partition is not partition:
            held = self._held[partition.number] = _Held(partition, self._begin())
        return held
