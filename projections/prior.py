"""How estimates err where nothing is known of a kind."""

from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["POINTS", "PRIOR", "Moments", "Prior"]

POINTS: Final = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
"""Where errors are learned, as shares of the whole job."""

Moments = tuple[float, float, float, float, float, float, float, float, float]
"""Of history, rate and recent: their biases, their variances, then the covariances of history and rate, of history and
recent, of rate and recent."""


class Prior(NamedTuple):
    """What a kind is taken for before it has runs.

    Args:
        moments: of the errors at each of `POINTS`: logs of true / estimated pace.
        errors: of the three ways together, in standard deviations: quantiles at even levels.
    """

    moments: Sequence[Moments]
    errors: Sequence[float]


PRIOR: Final = Prior(
    (
        (-0.10, -1.31, -0.85, 0.86, 1.27, 1.52, 0.46, 0.38, 0.90),
        (-0.22, -0.86, -0.03, 1.05, 1.06, 1.38, 0.67, 0.43, 0.52),
        (-0.23, -0.59, 0.25, 1.08, 0.99, 1.30, 0.65, 0.21, 0.40),
        (-0.28, -0.54, 0.17, 1.16, 0.98, 1.39, 0.69, 0.31, 0.57),
        (-0.28, -0.44, 0.23, 1.26, 0.99, 1.45, 0.76, 0.40, 0.62),
        (-0.26, -0.35, 0.31, 1.29, 0.95, 1.34, 0.76, 0.38, 0.56),
        (-0.25, -0.28, 0.47, 1.35, 1.00, 1.42, 0.80, 0.35, 0.54),
        (-0.23, -0.24, 0.45, 1.40, 0.98, 1.32, 0.82, 0.26, 0.42),
        (-0.19, -0.22, 0.33, 1.45, 0.94, 1.28, 0.83, 0.34, 0.46),
        (-0.19, -0.22, 0.24, 1.61, 1.02, 1.36, 0.94, 0.47, 0.58),
        (-0.20, -0.25, 0.06, 1.74, 1.14, 0.86, 1.09, 0.54, 0.62),
    ),
    (
        -2.65,
        -1.65,
        -1.28,
        -1.03,
        -0.83,
        -0.66,
        -0.49,
        -0.36,
        -0.24,
        -0.13,
        -0.04,
        0.03,
        0.13,
        0.25,
        0.39,
        0.57,
        0.78,
        1.03,
        1.39,
        2.29,
    ),
)
"""Pooled over recorded runs of real programs; `python -m benchmarks.fit_prior` fits and prints it."""
