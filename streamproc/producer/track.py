"""Loops that report how far they are."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

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
            except (TypeError, OverflowError):
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

    def __bool__(self) -> bool:
        return bool(self._items)

    def __iter__(self) -> Iterator[T]:
        if isinstance(self._items, AsyncIterable) and not isinstance(self._items, Iterable):
            raise TypeError(f"{type(self._items).__name__} is asynchronous: iterate with `async for`")
        items = iter(self._items)
        if not self._enter(items):
            yield from items
            return
        try:
            for item in items:
                yield item
                self.done += 1
        finally:
            self._target._leave_loop(self)

    def __aiter__(self) -> AsyncIterator[T]:
        items = aiter(self._items) if isinstance(self._items, AsyncIterable) else _Awaited(iter(self._items))
        return _AsyncLoop(self, items) if self._enter(items) else items

    def _enter(self, items: object) -> bool:
        """Begin to count, but not where these items are being counted already, further out."""
        if self in self._target._loops:
            return False
        if items is not self._items:
            self.done = 0  # an iterator goes on where it was left; everything else begins anew
        self._target._enter_loop(self)
        return True

    def sample(self) -> None:
        """Report how far it is, where that is news."""
        if self.done != self._seen:
            self.report()

    def report(self, message: str | None = None) -> None:
        self._seen = self.done
        self._target._report(None, self._seen, self.total, message, None)


class _AsyncLoop(Generic[T]):
    """Counts items that are awaited.

    It isn't a generator: one that `break` leaves would end when the event loop comes to it, and report then.
    """

    def __init__(self, track: Track[T], items: AsyncIterator[T]) -> None:
        self._track: Track[T] | None = track
        self._items = items
        self._given = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._track is not None:
            self._track.done += self._given
        try:
            item = await anext(self._items)
        except BaseException:
            self._leave()
            raise
        self._given = 1
        return item

    def __del__(self) -> None:
        self._leave()

    def _leave(self) -> None:
        track, self._track = self._track, None
        if track is not None:
            track._target._leave_loop(track)


class _Awaited(Generic[T]):
    """Items that are there, for ``async for``."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        for item in self._items:
            return item
        raise StopAsyncIteration
