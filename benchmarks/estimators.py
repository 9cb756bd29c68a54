"""What people use today to say how long something will take yet, driven by the same reports on a virtual clock.

`tqdm` and `rich` are the libraries themselves. `DoubleExponential` is a port of the estimator of indicatif 0.17.9
(github.com/console-rs/indicatif, src/state.rs), held to the values of that project's own tests by
tests/test_estimators.py.
"""

import io
from typing import Protocol

from rich.console import Console
from rich.progress import Progress
from tqdm import tqdm

__all__ = ["Bar", "DoubleExponential", "Linear", "Rich", "Tqdm"]

STEPS = 10_000
"""A whole job, as bars count it."""


class Bar(Protocol):
    """A progress bar: told how far the job is, asked how long it will take yet."""

    def update(self, at: float, share: float) -> None:
        """At so many seconds a share of 0 to 1 is done."""

    def remaining(self, at: float) -> float | None:
        """Seconds, or None where it says nothing."""


class Linear:
    """Time so far x what is left / what is done."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._share = 0.0

    def update(self, at: float, share: float) -> None:
        self._share = share

    def remaining(self, at: float) -> float | None:
        if self._share <= 0:
            return None
        return (at - self._began) * (1 - self._share) / self._share


class Tqdm:
    """tqdm itself, through the clock that its instances read."""

    def __init__(self, began: float, smoothing: float) -> None:
        self._now = began
        self._bar = tqdm(total=STEPS, smoothing=smoothing, file=io.StringIO(), mininterval=0, miniters=1, leave=False)
        self._bar._time = lambda: self._now
        self._bar.start_t = self._bar.last_print_t = began

    def update(self, at: float, share: float) -> None:
        self._now = at
        steps = round(share * STEPS) - self._bar.n
        if steps:
            self._bar.update(steps)

    def remaining(self, at: float) -> float | None:
        self._now = at
        said = self._bar.format_dict
        rate = said["rate"]
        if rate is None and said["elapsed"] > 0:  # as its own format_meter does
            rate = said["n"] / said["elapsed"]
        return (STEPS - said["n"]) / rate if rate and rate > 0 else None


class Rich:
    """rich.progress itself, through the clock that it is given."""

    def __init__(self, began: float) -> None:
        self._now = began
        self._progress = Progress(console=Console(file=io.StringIO()), auto_refresh=False, get_time=lambda: self._now)
        self._task = self._progress.add_task("", total=STEPS)

    def update(self, at: float, share: float) -> None:
        self._now = at
        self._progress.update(self._task, completed=round(share * STEPS))

    def remaining(self, at: float) -> float | None:
        self._now = at
        task = self._progress.tasks[0]
        speed = task.speed
        if not speed:
            return None
        left: float | None = task.remaining
        return None if left is None else left / speed


class DoubleExponential:
    """indicatif's: an exponentially weighted average of an exponentially weighted average of the rate."""

    _WEIGHTING_SECONDS = 15.0

    def __init__(self, began: float) -> None:
        self._began = self._last = began
        self._steps = 0.0
        self._smoothed = self._double = 0.0

    def update(self, at: float, share: float) -> None:
        self.record(at, round(share * STEPS))

    def record(self, at: float, steps: float) -> None:
        if steps <= self._steps or at <= self._last:
            if steps < self._steps:
                self._steps = steps
                self.reset(at)
            return
        elapsed = at - self._last
        weight = self._weight(elapsed)
        self._smoothed = self._smoothed * weight + (steps - self._steps) / elapsed * (1 - weight)
        normalized = self._smoothed / (1 - self._weight(at - self._began))
        self._double = self._double * weight + normalized * (1 - weight)
        self._steps, self._last = steps, at

    def reset(self, at: float) -> None:
        self._smoothed = self._double = 0.0
        self._last = self._began = at

    def rate(self, at: float) -> float:
        """Steps a second."""
        weight = self._weight(at - self._last)
        whole = 1 - self._weight(at - self._began)
        if whole <= 0:
            return 0.0
        smoothed = self._smoothed * weight / whole
        return (self._double * weight + smoothed * (1 - weight)) / whole

    def remaining(self, at: float) -> float | None:
        rate = self.rate(at)
        return (STEPS - self._steps) / rate if rate > 0 else None

    def _weight(self, age: float) -> float:
        weight: float = 0.1 ** (age / self._WEIGHTING_SECONDS)
        return weight
