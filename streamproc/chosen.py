"""The estimator of a process in which nobody hands one over: the SDK's. It is chosen at the root of the package."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamproc.projection import Estimator

__all__ = ["choose_estimator", "estimator"]

_load: "Callable[[], Estimator] | None" = None


def choose_estimator(load: "Callable[[], Estimator]") -> None:
    """Choose it; it is loaded when it is first needed."""
    global _load
    _load = load


def estimator() -> "Estimator":
    """The chosen one."""
    assert _load is not None  # noqa: S101  (the package has chosen before anything in it runs)
    return _load()
