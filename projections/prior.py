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
        (-0.09, -1.31, -0.89, 0.81, 1.27, 1.44, 0.43, 0.36, 0.92),
        (-0.22, -0.87, -0.06, 1.00, 1.05, 1.34, 0.64, 0.40, 0.50),
        (-0.23, -0.60, 0.24, 1.03, 0.98, 1.28, 0.63, 0.19, 0.40),
        (-0.27, -0.54, 0.18, 1.12, 0.99, 1.40, 0.68, 0.31, 0.58),
        (-0.28, -0.44, 0.23, 1.23, 1.01, 1.46, 0.76, 0.41, 0.63),
        (-0.26, -0.36, 0.30, 1.25, 0.97, 1.36, 0.76, 0.39, 0.58),
        (-0.24, -0.28, 0.46, 1.31, 1.02, 1.44, 0.81, 0.36, 0.56),
        (-0.22, -0.24, 0.46, 1.36, 0.99, 1.32, 0.82, 0.25, 0.42),
        (-0.21, -0.23, 0.31, 1.44, 0.97, 1.32, 0.86, 0.37, 0.49),
        (-0.20, -0.24, 0.22, 1.59, 1.05, 1.39, 0.97, 0.49, 0.60),
        (-0.20, -0.24, 0.06, 1.70, 1.12, 0.87, 1.09, 0.54, 0.61),
    ),
    (
        -2.35,
        -1.55,
        -1.18,
        -0.93,
        -0.72,
        -0.57,
        -0.42,
        -0.30,
        -0.18,
        -0.08,
        -0.00,
        0.07,
        0.16,
        0.27,
        0.40,
        0.55,
        0.72,
        0.94,
        1.26,
        2.00,
    ),
)
"""Pooled over recorded runs of real programs; `python -m benchmarks.fit_prior` fits and prints it."""
