"""What is known of a kind of job: how long its stages take, and how far each way to estimate was off.

A `Kind` learns from runs, oldest first. Before a run is added it is estimated at eleven points of its progress by
what was known until then; how far each estimate was off, and how the errors of the three ways go together, is what
makes their weights later, and what the interval is calibrated by.

The three ways give a *pace*: how many ms the whole job would take at it. What remains is pace * (1 - progress).

- ``history``: what the stages took in earlier runs, for their size where sizes are told.
- ``rate``: the time so far / progress so far.
- ``recent``: the same since the first report of any progress, or over the last quarter of the progress.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from math import exp, log
from statistics import NormalDist
from typing import Final, NamedTuple

from projections.paths import Run, StagePath

__all__ = [
    "POINTS",
    "Blend",
    "Kind",
    "Part",
    "Points",
    "interpolate",
    "Matrix",
    "Vector",
    "paces",
    "path_points",
    "prior_at",
]

POINTS: Final = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
"""Where errors are learned, as shares of the whole job."""
RECENT: Final = 0.25
WAYS: Final = 3
_FORGET: Final = 0.97
"""What a run counts after one more."""
_PRESENCE: Final = 0.7
"""What is left of whether a run had a stage, after one more."""
_PRIOR_RUNS: Final = 2.0
_KEPT_ERRORS: Final = 220
_FURTHEST: Final = 0.98
_LEAST_VARIANCE: Final = 1e-3
_PRIOR_SLOPE: Final = 0.5
_FLOOR_MS: Final = 1.0

Points = list[tuple[float, float]]
"""Clock in ms and share of the whole job, both rising."""

Vector = list[float]
Matrix = list[list[float]]

PRIOR: Final[Sequence[tuple[float, ...]]] = (
    # biases of history, rate, recent; their variances; covariances of history-rate, history-recent, rate-recent
    (0.0, -1.2, -0.7, 1.00, 2.80, 2.20, 0.40, 0.35, 1.85),
    (0.0, -0.8, -0.1, 1.20, 1.75, 1.30, 0.75, 0.45, 0.75),
    (0.0, -0.6, 0.0, 1.25, 1.45, 1.30, 0.78, 0.40, 0.65),
    (0.0, -0.5, 0.05, 1.35, 1.40, 1.30, 0.85, 0.40, 0.65),
    (0.0, -0.45, 0.1, 1.45, 1.30, 1.25, 0.90, 0.40, 0.60),
    (0.0, -0.4, 0.2, 1.45, 1.20, 1.25, 0.88, 0.30, 0.45),
    (0.0, -0.3, 0.35, 1.50, 1.10, 1.35, 0.85, 0.20, 0.30),
    (0.0, -0.25, 0.45, 1.50, 1.00, 1.40, 0.80, 0.15, 0.25),
    (0.0, -0.2, 0.4, 1.50, 0.95, 1.30, 0.75, 0.20, 0.28),
    (0.0, -0.2, 0.25, 1.60, 0.95, 1.10, 0.85, 0.40, 0.40),
    (0.0, -0.15, 0.15, 1.75, 0.95, 0.80, 0.90, 0.45, 0.42),
)
"""How the ways err where nothing is known of a kind: pooled over the training kinds of `benchmarks.eta`."""

_PRIOR_ERRORS: Final = [NormalDist().inv_cdf((at + 0.5) / 20) for at in range(20)]


class Part(NamedTuple):
    """A stage of a job as an estimate sees it: its declared weight, and its size where that is told."""

    name: str
    weight: float
    size: float | None


class _Stage:
    """How long a stage takes: log ms, and log ms by log size."""

    __slots__ = ("logs", "n", "sized", "sx", "sxx", "sxy", "sy")

    def __init__(self) -> None:
        self.n = self.logs = 0.0
        self.sized = self.sx = self.sy = self.sxx = self.sxy = 0.0

    def learn(self, ms: float, size: float | None) -> None:
        y = log(max(ms, _FLOOR_MS))
        self.n = self.n * _FORGET + 1
        self.logs = self.logs * _FORGET + y
        if size is not None and size > 0:
            x = log(size)
            self.sized = self.sized * _FORGET + 1
            self.sx = self.sx * _FORGET + x
            self.sy = self.sy * _FORGET + y
            self.sxx = self.sxx * _FORGET + x * x
            self.sxy = self.sxy * _FORGET + x * y

    def cost(self, size: float | None) -> float:
        """Its ms in a typical run. By size, least squares in logs, the slope drawn towards 1."""
        if size is not None and size > 0 and self.sized >= 0.5 * self.n:
            mean_x, mean_y = self.sx / self.sized, self.sy / self.sized
            spread = max(0.0, self.sxx - self.sx * mean_x)
            together = self.sxy - self.sx * mean_y
            slope = (together + _PRIOR_SLOPE) / (spread + _PRIOR_SLOPE)
            return exp(min(40.0, mean_y + slope * (log(size) - mean_x)))
        return exp(self.logs / self.n)


class _Errors:
    """How far the three ways were off at one point: logs of true pace / estimated pace."""

    __slots__ = ("n", "products", "sums")

    def __init__(self) -> None:
        self.n = 0.0
        self.sums = [0.0] * WAYS
        self.products = [[0.0] * WAYS for _ in range(WAYS)]

    def learn(self, errors: Vector) -> None:
        self.n = self.n * _FORGET + 1
        for i, error in enumerate(errors):
            self.sums[i] = self.sums[i] * _FORGET + error
            row = self.products[i]
            for j in range(WAYS):
                row[j] = row[j] * _FORGET + error * errors[j]


class Blend(NamedTuple):
    """The three ways together: the log of the pace, its standard deviation, and the weight of history in it."""

    pace: float
    spread: float
    history: float


class Kind:
    """What runs have taught of one kind."""

    def __init__(self) -> None:
        self.runs = 0
        self.stages: dict[str, _Stage] = {}
        self.presence: dict[str, float] = {}
        self._errors = [_Errors() for _ in POINTS]
        self._standard: list[float] = []
        self._tested = 0

    def costs(self, parts: Sequence[Part]) -> tuple[Vector, bool]:
        """What each part weighs, in ms where anything of it is known (and whether that is so)."""
        known = [self.stages[part.name].cost(part.size) if part.name in self.stages else None for part in parts]
        learned = [(cost, part.weight) for cost, part in zip(known, parts, strict=True) if cost is not None]
        weights = sum(weight for _, weight in learned)
        if not learned:
            return [max(part.weight, 1e-9) for part in parts], False
        scale = sum(cost for cost, _ in learned) / weights if weights > 0 else 0.0
        costs = [scale * part.weight if cost is None else cost for cost, part in zip(known, parts, strict=True)]
        return [max(cost, 1e-3) for cost in costs], True

    def learn(self, run: Run) -> None:
        """Add a run. Only one that finished says how long its kind takes."""
        self.runs += 1
        if run.outcome != "finished" or not run.stages:
            return
        parts = [Part(stage.name, 1.0, stage.size or run.size) for stage in run.stages if stage.outcome != "skipped"]
        self._meet(part.name for part in parts)
        costs, absolute = self.costs(parts)
        points = path_points(run.stages, costs, run.duration)
        for at, share in enumerate(POINTS):
            clock = interpolate(points, share)
            left = run.duration - clock
            if clock <= 0 or left <= 0:
                continue
            true = log(left / (1 - share))
            guesses = paces(points, clock, share, sum(costs) if absolute else None)
            blend = self.blend(share, guesses)
            self._standard.append((true - blend.pace) / blend.spread)
            if guesses[0] is not None:
                self._errors[at].learn([true - log(guess or 1.0) for guess in guesses])
        self._tested = min(self._tested + 1, _KEPT_ERRORS // len(POINTS))
        del self._standard[:-_KEPT_ERRORS]
        for stage in run.stages:
            if stage.outcome != "skipped" and stage.ended is not None:
                size = stage.size or run.size
                self.stages.setdefault(stage.name, _Stage()).learn(stage.ended - stage.began, size)

    def _meet(self, names: Iterable[str]) -> None:
        met = set(names)
        for name in met | self.presence.keys():
            before = self.presence.get(name, 0.0 if self.runs > 1 else 1.0)
            self.presence[name] = _PRESENCE * before + (1 - _PRESENCE) * (name in met)

    def blend(self, share: float, guesses: Sequence[float | None]) -> Blend:
        """Weigh the ways by the inverse of what is known of their errors' covariance there."""
        covariance, biases = self._at(share)
        ways = [way for way, guess in enumerate(guesses) if guess is not None]
        weights = _weights(covariance, ways)
        pace = sum(weight * (log(guesses[way] or 1.0) + biases[way]) for way, weight in weights.items())
        variance = sum(one * other * covariance[i][j] for i, one in weights.items() for j, other in weights.items())
        return Blend(pace, max(variance, 1e-4) ** 0.5, weights.get(0, 0.0))

    def quantile(self, q: float) -> float:
        """A quantile of the standardised errors so far, those of a normal distribution where there are few.

        It is taken the further out the fewer runs there were, as for conformal intervals: the errors of a run go
        together, so it is the runs that count.
        """
        if q > 0.5:
            q = min(_FURTHEST, q * (1 + 1 / (self._tested + 2)))
        found = sorted(self._standard + _PRIOR_ERRORS)
        at = q * (len(found) - 1)
        low = int(at)
        return found[low] + (at - low) * (found[min(low + 1, len(found) - 1)] - found[low])

    def _at(self, share: float) -> tuple[Matrix, Vector]:
        """The covariance and the bias of the ways' errors, between the points where they were learned."""
        right = min(max(bisect_left(POINTS, share), 1), len(POINTS) - 1)
        left = right - 1
        by = min(1.0, max(0.0, (share - POINTS[left]) / (POINTS[right] - POINTS[left])))
        (one, biases), (other, others) = self._learned(left), self._learned(right)
        covariance = [
            [(1 - by) * a + by * b for a, b in zip(row, other_row, strict=True)]
            for row, other_row in zip(one, other, strict=True)
        ]
        return covariance, [(1 - by) * a + by * b for a, b in zip(biases, others, strict=True)]

    def _learned(self, at: int) -> tuple[Matrix, Vector]:
        """Covariance and bias at a point: the prior counts as some runs."""
        prior, usual = prior_at(at)
        errors = self._errors[at]
        whole = _PRIOR_RUNS + errors.n
        biases = [(_PRIOR_RUNS * bias + total) / whole for bias, total in zip(usual, errors.sums, strict=True)]
        covariance = [
            [
                (_PRIOR_RUNS * (prior[i][j] + usual[i] * usual[j]) + errors.products[i][j]) / whole
                - biases[i] * biases[j]
                for j in range(WAYS)
            ]
            for i in range(WAYS)
        ]
        for i in range(WAYS):
            covariance[i][i] += _LEAST_VARIANCE
        return covariance, biases


def prior_at(at: int) -> tuple[Matrix, Vector]:
    """The covariance of the ways' errors, and their biases, at a point where nothing is known of a kind."""
    bias_h, bias_r, bias_n, h, r, n, hr, hn, rn = PRIOR[at]
    return [[h, hr, hn], [hr, r, rn], [hn, rn, n]], [bias_h, bias_r, bias_n]


def path_points(stages: Iterable[StagePath], costs: Sequence[float], until: float) -> Points:
    """When a path was how far, by what its stages weigh. Between points progress is taken to be even."""
    steps: list[tuple[float, int, float]] = []
    counted = [stage for stage in stages if stage.outcome != "skipped"]
    for at, stage in enumerate(counted):
        steps.append((stage.began, at, 0.0))
        if stage.first is not None:
            steps.append((stage.first[0], at, stage.first[1] / 100))
        steps += [(clock, at, (tenth + 1) / 10) for tenth, clock in enumerate(stage.tenths)]
        if stage.ended is not None:
            steps.append((stage.ended, at, 1.0))
    steps.sort()
    whole = sum(costs)
    shares = [0.0] * len(counted)
    done, points = 0.0, [(0.0, 0.0)]
    for clock, at, share in steps:
        if share > shares[at]:
            done += (share - shares[at]) * costs[at]
            shares[at] = share
        if clock <= until:
            points.append((clock, done / whole))
    return points


def interpolate(points: Points, share: float) -> float:
    """When a share was reached; at the end where it never was."""
    before = points[0]
    for point in points:
        if point[1] >= share:
            if point[1] <= before[1]:
                return point[0]
            return before[0] + (point[0] - before[0]) * (share - before[1]) / (point[1] - before[1])
        before = point
    return points[-1][0]


def paces(points: Points, clock: float, share: float, history: float | None) -> list[float | None]:
    """The pace by each of the three ways, in ms for the whole job."""
    rate = max(clock, _FLOOR_MS) / share
    first = next((point[1] for point in points if point[1] > 0), share)
    since = max(first, share - RECENT)
    recent = rate
    if share - since > 0.01:
        recent = max(clock - interpolate(points, since), _FLOOR_MS) / (share - since)
    return [history, rate, recent]


def _weights(covariance: Matrix, ways: list[int]) -> dict[int, float]:
    """The weights of least variance, none of them negative: C⁻¹1 / 1ᵀC⁻¹1 over the ways that keep one."""
    while True:
        solved = _solve([[covariance[i][j] for j in ways] for i in ways], [1.0] * len(ways))
        total = sum(solved)
        weights = {way: value / total for way, value in zip(ways, solved, strict=True)}
        worst = min(weights, key=lambda way: weights[way])
        if weights[worst] >= 0 or len(ways) == 1:
            return weights
        ways = [way for way in ways if way != worst]


def _solve(matrix: Matrix, right: Vector) -> Vector:
    """Solve a small linear system by elimination with pivots."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(rows[row][at]))
        rows[at], rows[pivot] = rows[pivot], rows[at]
        if abs(rows[at][at]) < 1e-12:
            rows[at][at] = 1e-12
        for row in range(size):
            if row != at:
                factor = rows[row][at] / rows[at][at]
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[at], strict=True)]
    return [rows[at][size] / rows[at][at] for at in range(size)]
