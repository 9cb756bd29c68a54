"""tqdm that reports, too: ``pip install 'streamproc[tqdm]'``, and change one import.

::

    from streamproc.tqdm import tqdm, trange

    with sp.job("import-42"):
        for row in tqdm(rows): ...

A bar reports to the job, stage or unit that is given by ``job=``, or else to `streamproc.current`. Where there is
neither and STREAMPROC_URL is set, it is a job of its own; without STREAMPROC_URL it is plain tqdm. Of bars within one
another on the same target only the outermost is reported, as of the loops of `track`.
"""

import atexit
import dis
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from weakref import WeakSet, ref

import streamproc
from streamproc.errors import ConfigError
from streamproc.producer import checks
from streamproc.producer.target import Target
from streamproc.producer.track import Track

if TYPE_CHECKING:
    from streamproc import Job, Producer

try:
    from tqdm.auto import tqdm as plain
except ImportError as error:
    raise ImportError("tqdm isn't installed: pip install 'streamproc[tqdm]'") from error

__all__ = ["tqdm", "trange"]

T = TypeVar("T")

_AT_YIELD: Final = frozenset({"YIELD_VALUE", "RESUME", "SEND"})
_DROPS: Final = frozenset({"POP_TOP", "POP_ITER", "END_FOR", "FOR_ITER"})
"""Where ``break``, ``return`` and the end of an outer iterator drop an iterator."""

_log = logging.getLogger("streamproc")


class tqdm(plain, Generic[T]):  # type: ignore[type-arg]  # (it is generic for type checkers only)
    """`tqdm.auto.tqdm`, which also reports how far it is.

    ``n`` and ``total`` are done and total, the description is the message, and the postfix is in the details. The loop
    pays nothing for it: the connection's thread looks at the bar now and then. A disabled bar draws nothing, and
    reports all the same.

    A job of its own finishes when the bar is closed. It fails where an exception closes the bar: out of what is
    iterated over, out of ``with`` or, on CPython, out of the body of ``for``.

    Args:
        job: what to report to.
        kind: of a job of its own; the title is the description.

    Raises:
        TypeError, ValueError: `job` is nothing to report to, or `kind` no name.
    """

    _loop: "_Loop | None" = None

    def __init__(
        self,
        iterable: Iterable[T] | None = None,
        *args: Any,
        job: Target | None = None,
        kind: str = "tqdm",
        **kwargs: Any,
    ) -> None:
        if job is not None and not isinstance(job, Target):
            raise TypeError(f"job: must be a job, a stage or a unit, not {type(job).__name__}")
        checks.name("kind", kind)
        super().__init__(iterable, *args, **kwargs)
        if not hasattr(self, "desc"):  # tqdm doesn't keep it where it is disabled
            self.desc = args[0] if args else kwargs.get("desc", "")
        self._loop = _begin(self, job, kind)

    def __iter__(self) -> Iterator[T]:
        return self._count() if self._loop is not None and self.disable else super().__iter__()

    def _count(self) -> Iterator[T]:
        """A disabled bar's loop: tqdm itself doesn't count there."""
        try:
            for item in self.iterable:
                yield item
                self.n += 1
        finally:
            self.close()

    def update(self, n: float | None = 1) -> bool | None:
        if self._loop is not None and self.disable:
            self.n += n or 0
            return None
        return super().update(n)

    def close(self) -> None:
        loop, self._loop = self._loop, None
        try:
            super().close()
        finally:
            if loop is not None:
                loop.end(self, sys.exception())


def trange(*args: int, **kwargs: Any) -> tqdm[int]:
    """``tqdm(range(*args), **kwargs)``."""
    return tqdm(range(*args), **kwargs)


_State = tuple[float | None, float | None, str | None, str | None]
"""Done, total, message and postfix."""


class _Loop(Track[Any]):
    """A bar, as its target looks at it. It doesn't keep the bar alive.

    Args:
        own: the job that is the bar's own, if it is.
    """

    def __init__(self, bar: tqdm[Any], target: Target, own: "Job | None") -> None:
        super().__init__(target, (), None, None, "it", bar=False)
        self._look: Callable[[], tqdm[Any] | None] = ref(bar)
        self._said: _State | None = None
        self._own = own
        self._handled = id(sys.exception())
        self._pid = os.getpid()

    def sample(self) -> None:
        bar = self._look()
        if bar is not None and _state(bar) != self._said:
            self.report()

    def report(self, message: str | None = None) -> None:
        bar = self._look()
        if bar is None:
            return
        done, total, message, postfix = self._said = _state(bar)
        if done is None:
            self._target.indeterminate(message)
        else:
            self._target.items(done, total, message, None if postfix is None else {"postfix": postfix})

    def end(self, bar: tqdm[Any], error: BaseException | None) -> None:
        """The bar is closed, while an error is on its way or handled."""
        if os.getpid() != self._pid:
            return  # a forked child's copy of the bar
        self._look = lambda: bar  # also where it is closed as garbage
        self._target._leave_loop(self)
        if self._own is None:
            return
        if id(error) == self._handled:
            error = None  # it was handled before there was a bar
        if isinstance(error, GeneratorExit):
            if _left_by_an_error(error):
                self._own.fail("an exception left the loop")
            error = None
        self._own.__exit__(None if error is None else type(error), error, None)


def _state(bar: tqdm[Any]) -> _State:
    desc, postfix = getattr(bar, "desc", None), getattr(bar, "postfix", None)
    return _amount(bar.n), _amount(bar.total), _text("desc", desc), _text("postfix", postfix)


def _amount(number: Any) -> float | None:
    """A bar takes any number; None is what can't be done or total."""
    try:
        return checks.amount("number", number)
    except (TypeError, ValueError):
        return None


def _text(field: str, said: Any) -> str | None:
    return checks.text(field, said.removesuffix(": ")) or None if isinstance(said, str) else None


def _begin(bar: tqdm[Any], target: Target | None, kind: str) -> _Loop | None:
    """Let a bar report, where there is something to report to."""
    own = None
    if target is None:
        target = streamproc.current()
        if target is None:
            target = own = _own_job(bar, kind)
    if target is None:
        return None
    loop = _Loop(bar, target, own)
    if own is not None:
        own.__enter__()
        _open.add(loop)
    target._enter_loop(loop)
    return loop


def _own_job(bar: tqdm[Any], kind: str) -> "Job | None":
    url = os.environ.get("STREAMPROC_URL")
    connection = _connection(url) if url else None
    if connection is None:
        return None
    try:
        return connection.job(kind=kind, title=_state(bar)[2])
    except RuntimeError:  # the program ends, and the connection is closed
        return None


@cache
def _connection(url: str) -> "Producer | None":
    try:
        connection = streamproc.connect(url, required=False, flush_seconds=0)
    except ConfigError as error:
        _log.warning("bars aren't reported: %s", error)
        return None
    atexit.register(_end_all)  # now, so that it runs before the connection is closed
    return connection


_open: Final[WeakSet[_Loop]] = WeakSet()
"""Those with a job of their own."""


def _end_all() -> None:
    """The program ends, perhaps by an exception, and nothing more comes of the bars that nobody has closed."""
    for loop in list(_open):
        bar = loop._look()
        if bar is not None:
            loop.end(bar, getattr(sys, "last_value", None))


def _left_by_an_error(error: GeneratorExit) -> bool:
    """Whether an exception leaves the loop whose iterator is closed now, so far as that can be told.

    The exception itself can't be seen from here. But the loop's frame stands at the instruction that raised it, and
    not at one of those that drop an iterator.
    """
    if sys.implementation.name != "cpython" or error.__traceback__ is None:
        return False
    frame = error.__traceback__.tb_frame.f_back
    while frame is not None:
        instruction = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        if instruction not in _AT_YIELD:
            return instruction not in _DROPS
        frame = frame.f_back  # a generator that is closed by whoever iterates over it
    return False
