"""Loops that report how far they are."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from streamproc.producer import checks

if TYPE_CHECKING:
    from streamproc.producer.target import Target

__all__ = ["Track"]

T = TypeVar("T")


class Track(Generic[T]):
    """The same items, counted. Made by ``track``; iterate over it with ``for``, or with ``async for``.

    The loop only counts: the sender's thread looks now and then how far it is, so that neither a quick loop pays
    for a look at the clock nor a slow one is forgotten.
    """

    __slots__ = ("_items", "_seen", "_target", "bar", "desc", "done", "total", "unit")

    def __init__(
        self,
        target: "Target",
        iterable: Iterable[T] | AsyncIterable[T],
        desc: str | None,
        total: float | None,
        unit: str,
        bar: bool,
    ) -> None:
        if not isinstance(iterable, (Iterable, AsyncIterable)) and not hasattr(iterable, "__getitem__"):
            raise TypeError(f"iterable: {type(iterable).__name__} can't be iterated over")
        if total is None:
            try:
                total = len(iterable)  # type: ignore[arg-type]
            except TypeError:
                total = None
        self._items: Any = iterable
        self._target = target
        self._seen = 0
        self.done = 0
        self.total = None if total is None else checks.amount("total", total)
        self.desc = None if desc is None else checks.text("desc", desc)
        self.unit = unit
        self.bar = bar

    def __len__(self) -> int:
        if self.total is None:
            raise TypeError(f"the {type(self._items).__name__} that is tracked has no length")
        return int(self.total)

    def __iter__(self) -> Iterator[T]:
        if isinstance(self._items, AsyncIterable) and not isinstance(self._items, Iterable):
            raise TypeError(f"{type(self._items).__name__} is asynchronous: iterate with `async for`")
        self._target._enter_loop(self)
        try:
            for item in self._items:
                yield item
                self.done += 1
        finally:
            self._target._leave_loop(self)

    async def __aiter__(self) -> AsyncIterator[T]:
        self._target._enter_loop(self)
        try:
            if isinstance(self._items, AsyncIterable):
                async for item in self._items:
                    yield item
                    self.done += 1
            else:
                for item in self._items:
                    yield item
                    self.done += 1
        finally:
            self._target._leave_loop(self)

    def sample(self) -> None:
        """Report how far it is, where that is news."""
        if self.done != self._seen:
            self.report()

    def report(self, message: str | None = None) -> None:
        self._seen = self.done
        self._target.items(self._seen, self.total, message)
