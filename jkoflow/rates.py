"""Rates: the power p of y ≈ C·x^p from measurements, with an interval that is meant to hold."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import is_finite
from .status import InvalidProblem
from .verdict import Finding, Verdict

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rate:
    """What `fit_rate` returns: log y ≈ intercept + slope·log x.

    ``low`` and ``high`` are the ends of a ``level`` confidence interval of the slope, and
    ``freedom`` the degrees of freedom of its Student law. ``residual`` (k,) is what the line
    leaves of the mean of log y, and ``bend`` by how much the slope of the best parabola changes
    from the smallest x to the largest, with its own interval ``bend_low``, ``bend_high``: where
    that does not hold 0, y is not one power of x over this range.
    """

    slope: float
    low: float
    high: float
    intercept: float
    level: float
    runs: int
    freedom: int
    bend: float
    bend_low: float
    bend_high: float
    x: _Array = field(repr=False)
    residual: _Array = field(repr=False)

    @property
    def half_width(self) -> float:
        """Half of the interval's length."""
        return 0.5 * (self.high - self.low)

    def __call__(self, x: ArrayLike) -> _Array:
        """The power law fitted, exp(intercept)·x^slope.

        Examples
        --------
        >>> fit_rate([1, 2, 4, 8], [3, 6, 12, 24])(16).round(9)
        np.float64(48.0)
        """
        return np.asarray(np.exp(self.intercept + self.slope * np.log(np.asarray(x, dtype=float))))

    def finding(
        self,
        claim: str,
        predicted: float,
        not_: float | Iterable[float],
        *,
        margin: float = 0.0,
        where: str = "",
    ) -> Finding:
        """Judge the slope: the interval holds the prediction, and none of the alternatives.

        REJECTED where the interval is farther than ``margin`` from ``predicted``; UNDECIDED where
        it holds an alternative too, because then the data do not tell the two apart. ACCEPTED is
        therefore never had by data that are too few.

        Parameters
        ----------
        claim : str
        predicted : float
        not_ : float or several
            Slopes that another theory predicts, or 0 for "no dependence". At least one.
        margin : float
            By how much the slope of an asymptotic law may be off at these x, smaller than the
            distance to any alternative. The finding's assumptions name it.
        where : str

        Raises
        ------
        InvalidProblem
            Without an alternative, or for one that is within the margin of the prediction.

        Examples
        --------
        >>> n = np.array([100.0, 200.0, 400.0, 800.0, 1600.0])
        >>> error = n**-0.5 * np.array([1.02, 0.97, 1.01, 1.03, 0.98])
        >>> fit_rate(n, error).finding("N^-½", -0.5, (0.0, -1.0)).verdict.name
        'ACCEPTED'
        >>> fit_rate(n, error).finding("1/N", -1.0, -0.5).verdict.name
        'REJECTED'
        """
        others = [float(v) for v in ([not_] if np.ndim(not_) == 0 else list(not_))]  # type: ignore[arg-type, list-item]
        nearest = min((abs(v - predicted) for v in others), default=0.0)
        numbers = all(is_finite(v) for v in (predicted, margin, *others))
        if not (numbers and 0 <= margin < nearest):
            raise InvalidProblem(
                f"a prediction {predicted!r} ± {margin!r} can only be judged against alternatives "
                f"farther away than that, not {others}"
            )
        inside = [v for v in others if self.low <= v <= self.high]
        verdict, reason = Verdict.ACCEPTED, ""
        if abs(self.slope - predicted) > self.half_width + margin:
            verdict = Verdict.REJECTED
            reason = f"the slope is not {predicted:g}: "
        elif inside:
            verdict = Verdict.UNDECIDED
            reason = f"the data allow {', '.join(f'{v:g}' for v in inside)} too: "
        notes = [self._told()]
        if margin:
            notes.append(f"a slope within {margin:g} of the asymptotic one counts as that")
        return Finding(
            claim, verdict, abs(self.slope - predicted), self.half_width + margin, tuple(notes),
            where, reason + str(self),
        )  # fmt: skip

    def __str__(self) -> str:
        interval = f"[{self.low:.3f}, {self.high:.3f}]"
        return f"slope {self.slope:.3f}, {100 * self.level:g}% in {interval}"

    def _told(self) -> str:
        if self.runs > 1:
            return f"slopes of {self.runs} independent runs, Student's t with {self.freedom} d.o.f."
        return (f"{len(self.x)} independent points around one straight line, Student's t with "
                f"{self.freedom} d.o.f.")  # fmt: skip


def fit_rate(
    x: ArrayLike, y: ArrayLike, *, level: float = 0.95, correction: float | None = None
) -> Rate:
    """Fit log y = intercept + slope·log x, with a confidence interval of the slope.

    Parameters
    ----------
    x : array_like (k,)
        Positive, k ≥ 3 different values.
    y : array_like (k,) or (runs, k)
        Positive. One value for each x; or rows that are independent runs (seeds).
    level : float
        Confidence of the interval, in (0, 1).
    correction : float, optional
        A power p ≠ 0: fit log y = intercept + slope·log x + b x^p, for an asymptotic law whose next
        term is of relative order x^p. The result is about the leading term. It has a wider
        interval, and needs one more x.

    Returns
    -------
    Rate

    Raises
    ------
    InvalidProblem
        For shapes that do not fit, and numbers that have no logarithm.

    Notes
    -----
    With one row, ordinary least squares and Student's t with k − 2 degrees of freedom: right if
    the log y scatter around the line independently with one variance. Then what is not a power
    law widens the interval, and errors common to all points stay unseen.

    With several rows, the slope is the mean of the rows' least squares slopes, and its interval is
    Student's, runs − 1 degrees of freedom, of that sample. Within a row the points may depend on
    each other (the same samples, say) and differ in variance. A slope that changes with x does not
    widen this interval: look at ``bend``. Both fit E log y; where the law of y/E y is the same at
    all x, as for an error in its asymptotic regime, that has the slope of log E y.

    With a correction, slopes are those of the three-term fit, and b is left out of what is
    returned, but not of ``residual``.

    The parabola is in log x, orthogonal to the line; ``bend`` is its second derivative times the
    range of log x.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> n = np.array([10, 40, 160, 640])
    >>> errors = [[abs(rng.normal(size=k).mean()) for k in n] for _ in range(400)]
    >>> rate = fit_rate(n, errors)
    >>> bool(rate.low < -0.5 < rate.high), bool(rate.half_width < 0.06), rate.freedom
    (True, True, 399)
    >>> y = 5 / n * (1 + 3 / n)                        # the slope of a line is −1.06
    >>> round(fit_rate(n, y, correction=-1).slope, 2)
    -1.0
    """
    if not (is_finite(level) and 0 < level < 1):
        raise InvalidProblem(f"level must lie between 0 and 1, but is {level!r:.50}")
    u, v = _logarithms(x, "x"), _logarithms(y, "y")
    extra = _correction(u, correction)
    if u.ndim != 1 or len(np.unique(u)) < 3 + len(extra):
        least = ("three", "four")[len(extra)]
        raise InvalidProblem(f"x must be at least {least} different numbers, not {x!r:.80}")
    if v.ndim not in (1, 2) or v.shape[-1] != len(u) or not len(v):
        raise InvalidProblem(
            f"y must have shape ({len(u)},), as x, or (runs, {len(u)}), not {v.shape}"
        )
    rows = np.atleast_2d(v)
    level_at_0, line, parabola, fitted = _contrasts(u, extra)
    mean = rows.mean(axis=0)
    slope, bend = float(line @ mean), float(parabola @ mean)
    residual = mean - fitted @ mean
    if len(rows) > 1:
        freedom = bend_freedom = len(rows) - 1
        scale = [float((rows @ c).std(ddof=1)) / math.sqrt(len(rows)) for c in (line, parabola)]
    else:
        freedom = len(u) - 2 - len(extra)
        bend_freedom = freedom - 1
        left = residual - bend * (parabola @ parabola) ** -1 * parabola
        scale = [_norm(line) * _norm(residual) / math.sqrt(freedom),
                 _norm(parabola) * _norm(left) / math.sqrt(bend_freedom or math.nan)]  # fmt: skip
    t = [_student(f, level) * s if f else math.inf
         for f, s in zip((freedom, bend_freedom), scale, strict=True)]  # fmt: skip
    return Rate(
        slope, slope - t[0], slope + t[0], float(level_at_0 @ mean), float(level),
        len(rows), freedom, bend, bend - t[1], bend + t[1], np.exp(u), residual,
    )  # fmt: skip


def _correction(u: _Array, power: float | None) -> list[_Array]:
    """x^p, scaled to at most 1; nothing without p."""
    if power is None:
        return []
    if not (is_finite(power) and power != 0):
        raise InvalidProblem(f"correction must be a power that is not 0, but is {power!r:.50}")
    return [np.exp(power * u - (power * u).max())]


def _contrasts(u: _Array, extra: list[_Array]) -> tuple[_Array, _Array, _Array, _Array]:
    """a, c, c' with a·v and c·v the line of v, c'·v the change of slope over the range of u; and P
    with P v what is fitted."""
    centred = u - u.mean()
    design = np.column_stack([np.ones_like(u), centred, *extra])
    inverse = np.linalg.pinv(design)
    square = centred**2 - design @ (inverse @ centred**2)
    parabola = 2.0 * float(np.ptp(u)) * square / (square @ square)
    return inverse[0] - u.mean() * inverse[1], inverse[1], parabola, design @ inverse


def _student(freedom: int, level: float) -> float:
    """The half-width of Student's interval in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + 0.5 * level))


def _norm(v: _Array) -> float:
    return math.sqrt(float(v @ v))


def _logarithms(values: ArrayLike, name: str) -> _Array:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InvalidProblem(f"{name} must be an array of numbers: {error}") from error
    if array.dtype.kind not in "iuf":
        raise InvalidProblem(f"{name} must hold real numbers, not {array.dtype}")
    if not (np.isfinite(array) & (array > 0)).all():
        raise InvalidProblem(f"{name} must be positive and finite everywhere: it has no logarithm")
    return np.log(array.astype(float))
