"""Whether the learning curves of several widths are one curve: their spread against the seeds'."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..measures.base import Array, finite_array
from ..status import InvalidProblem


class Spread(NamedTuple):
    """Root mean squares over the times of a curve.

    ``between`` is the standard deviation over the groups of their mean curves, ``within`` that
    of single runs about the mean curve of their group. Were the groups one law, between/within
    would be near 1/√S for S runs a group.
    """

    between: float
    within: float

    @property
    def ratio(self) -> float:
        """between/within: above 1, groups differ by more than single runs of one group do."""
        return self.between / self.within if self.within > 0 else np.inf


def curve_spread(curves: ArrayLike) -> Spread:
    """How far apart the mean curves of groups are, in terms of the runs' own fluctuation.

    Parameters
    ----------
    curves : array_like, shape (groups, runs, times)
        At least two groups of at least two runs. S·ratio² is the F statistic of a one-way
        analysis of variance, with both variances averaged over the times.

    Raises
    ------
    InvalidMeasure
        For NaN or a wrong number of axes.
    InvalidProblem
        With fewer than two groups or runs.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> one, apart = rng.normal(size=(4, 25, 50)), np.arange(4.0)[:, None, None]
    >>> round(curve_spread(one).ratio, 1), round(curve_spread(one + apart).ratio, 1)
    (0.2, 1.3)
    """
    y = _curves(curves)
    if len(y) < 2:
        raise InvalidProblem("curves of one group cannot be apart: give at least two groups")
    between = np.sqrt(y.mean(axis=1).var(axis=0, ddof=1).mean())
    within = np.sqrt(y.var(axis=1, ddof=1).mean())
    return Spread(float(between), float(within))


def curve_gap(first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    """How far apart two groups of runs are, and the standard error of that.

    The gap is the mean over the times of the difference of the mean curves (with its sign); each
    run counts by its mean over the times, so that times need not be independent.

    Parameters
    ----------
    first, second : array_like, shape (runs, times)
        At least two runs each.

    Examples
    --------
    >>> gap, error = curve_gap([[1.0, 2.0], [1.2, 2.2]], [[0.0, 1.0], [0.2, 1.2]])
    >>> round(gap, 12), round(error, 3)
    (1.0, 0.141)
    """
    means = [_curves(np.asarray(c)[None])[0].mean(axis=1) for c in (first, second)]
    error = sum(m.var(ddof=1) / len(m) for m in means) ** 0.5
    return float(means[0].mean() - means[1].mean()), float(error)


def _curves(curves: ArrayLike) -> Array:
    y = finite_array(curves, "curves", ndim=3)
    if y.shape[1] < 2 or y.shape[2] < 1 or y.shape[0] < 1:
        raise InvalidProblem(
            f"curves must have at least two runs a group to have a spread, not shape {y.shape}"
        )
    return y
