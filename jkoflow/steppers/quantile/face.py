"""Which edges of a law on the line may move, and which only together: a face of sorted edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...functionals.curvature import Action, Dense, LowRank, Part
from ...measures.base import Array


@dataclass(frozen=True)
class Bounds:
    """Sorted edges from ``lower`` to ``upper``, whose ends are held where they are if ``fixed``."""

    lower: float
    upper: float
    fixed: bool = False

    def nearest(self, x: Array, w: Array) -> Array:
        """The nearest such edges in L²(w); x itself if it is of that kind.

        Within bounds the projection is isotonic regression, cut off at the bounds.
        """
        if self.lower <= x[0] and x[-1] <= self.upper and (x[1:] >= x[:-1]).all():
            return x
        free = slice(int(self.fixed), len(x) - int(self.fixed))
        projected = np.array(x)
        projected[free] = np.clip(_isotonic(x[free], w[free]), self.lower, self.upper)
        return projected


class Face(NamedTuple):
    """Edges ``low`` … ``high`` − 1 move, in blocks of equal ones; all others stay.

    ``starts`` are the first edges of the blocks, counted from ``low``; None if each edge moves by
    itself.
    """

    low: int
    high: int
    starts: NDArray[np.intp] | None = None

    def covers(self, count: int) -> bool:
        """Whether all of ``count`` edges move by themselves."""
        return self.starts is None and self.high - self.low == count

    def gather(self, v: Array) -> Array:
        """Sums over blocks along the last axis."""
        inside = v[..., self.low : self.high]
        if self.starts is None or not len(self.starts):
            return inside
        return np.asarray(np.add.reduceat(inside, self.starts, axis=-1))

    def spread(self, y: Array, count: int) -> Array:
        """The displacement of all ``count`` edges that moves the blocks by y."""
        v = np.zeros(count)
        lengths = None if self.starts is None else self._lengths()
        v[self.low : self.high] = y if lengths is None else np.repeat(y, lengths)
        return v

    def _lengths(self) -> NDArray[np.intp]:
        assert self.starts is not None
        return np.diff(self.starts, append=self.high - self.low)

    def tridiagonal(self, diagonal: Array, off: Array) -> tuple[Array, Array]:
        """A tridiagonal matrix on the blocks, which is tridiagonal again."""
        d, o = diagonal[self.low : self.high], off[self.low : max(self.high - 1, self.low)]
        if self.starts is None or not len(self.starts):
            return d, o
        between = self.starts[1:] - 1
        within = np.append(o, 0.0)
        within[between] = 0.0
        return np.add.reduceat(d + 2.0 * within, self.starts), o[between]

    def part(self, part: Part, count: int) -> Part:
        """A part of a Hessian on the blocks."""
        if isinstance(part, LowRank):
            return LowRank(self.gather(part.factor[..., 0])[..., None], part.signs)
        if isinstance(part, Dense):
            return Dense(self.gather(self.gather(part.matrix).T).T)

        def apply(v: Array) -> Array:
            whole = self.spread(v[:, 0], count)[:, None]
            return self.gather(part.apply(whole)[:, 0])[:, None]

        return Action(apply)

    def between(self, low: int, high: int) -> Face:
        """The face on which edges before ``low`` and from ``high`` on, ends of blocks, stay too."""
        if self.starts is None:
            return Face(low, high)
        starts = self.starts - (low - self.low)
        return Face(low, high, starts[(starts >= 0) & (starts < high - low)])


def face_of(x: Array, v: Array, w: Array, bounds: Bounds, tied: bool) -> tuple[Face, Array]:
    """The face that displacements v of admissible edges x lead to, and the projection of v.

    The projection is on the displacements that keep equal edges in order and those at a bound
    inside, in L²(w): isotonic regression on each run of equal edges, cut off at zero on the
    bounds. ``tied`` says whether edges can be equal at all.

    Examples
    --------
    >>> x, w = np.array([0.0, 0.0, 1.0, 1.0, 2.0]), np.full(5, 0.2)
    >>> face_of(x, np.array([-1.0, 3.0, 2.0, 0.0, 1.0]), w, Bounds(0.0, np.inf), True)
    (Face(low=1, high=5, starts=array([0, 1, 3])), array([0., 3., 1., 1., 1.]))
    """
    low, high = int(bounds.fixed), len(x) - int(bounds.fixed)
    some = tied and bool((x[low + 1 : high] == x[low : high - 1]).any())
    if not some and bounds.lower < x[0] and x[-1] < bounds.upper:
        return Face(low, high), v
    v = np.array(v)
    if some:
        ties = np.flatnonzero(x[low + 1 : high] == x[low : high - 1])
        _pool(v[low:high], w[low:high], ties)
    v[:low] = v[high:] = 0.0
    first, last = np.searchsorted(x, bounds.lower, "right"), np.searchsorted(x, bounds.upper)
    v[:first], v[last:] = np.maximum(v[:first], 0.0), np.minimum(v[last:], 0.0)
    low += int((v[low:first] == 0.0).sum())
    high = max(low, high - int((v[last:high] == 0.0).sum()))
    if not some or high == low:  # all of the mass may be pressed against a bound
        return Face(low, high), v
    apart = (x[low + 1 : high] > x[low : high - 1]) | (v[low + 1 : high] > v[low : high - 1])
    starts = np.flatnonzero(np.concatenate([[True] * (high > low), apart]))
    return Face(low, high, starts if len(starts) < high - low else None), v


def _pool(v: Array, w: Array, ties: NDArray[np.intp]) -> None:
    """Isotonic regression, in place, on each run of edges of which ``ties`` equal the next."""
    for run in np.split(ties, np.flatnonzero(np.diff(ties) > 1) + 1):
        block = slice(run[0], run[-1] + 2)
        v[block] = _isotonic(v[block], w[block])


def _isotonic(v: Array, w: Array) -> Array:
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(v, weights=w).x)
