"""Piecewise uniform laws on ordered cells: what quantiles and radial laws share.

A law is a sorted array of edges and a mass for each cell between two edges. Internal energies
see the density (mass over volume) of each cell; smooth functionals see the edges as points, each
with half the mass of its two cells (the trapezoid rule in mass). So the edges are at once the
unknowns of a step, the points of every integral, and the places where gradients are given.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_among, is_whole
from ..status import InvalidMeasure
from .base import Array, Measure, finite_array, frozen, probability_weights, real_array


class LogVolumes(NamedTuple):
    """log|cell| with its first and second derivatives in the left (a) and right (b) edge."""

    value: Array
    a: Array
    b: Array
    aa: Array
    ab: Array
    bb: Array


def node_weights(mass: Array) -> Array:
    """Half of each cell's mass for each of its two edges."""
    w = np.zeros(len(mass) + 1)
    w[:-1] = 0.5 * mass
    w[1:] += 0.5 * mass
    return w


class Cells(Measure):
    """Masses m_i on cells [x_i, x_{i+1}] of sorted edges; see the module's text."""

    def __init__(self, edges: ArrayLike, mass: ArrayLike | None = None) -> None:
        x = finite_array(edges, "edges", ndim=1)
        if len(x) < 2:
            raise InvalidMeasure(f"at least two edges are needed, but got {len(x)}")
        if (np.diff(x) < 0).any():
            where = int(np.argmax(np.diff(x) < 0))
            raise InvalidMeasure(
                f"edges must be sorted, but edge {where + 1} is below edge {where}: sort them"
            )
        m = probability_weights(mass, len(x) - 1, "mass")
        if (m <= 0).any():
            raise InvalidMeasure("every cell needs a positive mass: merge or drop empty cells")
        self._edges = frozen(x)
        self._mass = frozen(m)
        self._log_mass = frozen(np.log(self._mass))
        self._weights = frozen(node_weights(self._mass))

    def _moved(self, edges: Array) -> Self:
        """The same masses on other edges (already known to be sorted and finite)."""
        return self._on(frozen(edges))

    def with_edges(self, edges: ArrayLike) -> Self:
        """The same masses on other edges, validated."""
        x = finite_array(edges, "edges", shape=self._edges.shape)
        if (np.diff(x) < 0).any():
            raise InvalidMeasure("the displaced edges are not sorted: use a smaller displacement")
        return self._moved(x)

    def siblings(self, arrays: Sequence[Mapping[str, Array]]) -> Sequence[Measure] | None:
        if not self._only_moved(arrays, "edges"):
            return None
        return self._on_all(np.array([a["edges"] for a in arrays]))

    def all_moved(self, tangents: Sequence[Array]) -> Sequence[Measure]:
        found = self._on_all(self._edges + np.array(tangents)[..., 0])
        return super().all_moved(tangents) if found is None else found

    def _on_all(self, x: Array) -> Sequence[Self] | None:
        """The same masses on each row of edges; None if any of them is not one of this kind."""
        x.setflags(write=False)
        if not (np.isfinite(x).all() and (x[:, 1:] >= x[:, :-1]).all() and self._admits(x)):
            return None
        return [self._on(row) for row in x]

    def _admits(self, edges: Array) -> bool:
        """Whether sorted edges (…, n+1) may be those of a law of this kind."""
        return True

    def _on(self, edges: Array) -> Self:
        """The same masses on edges that are known to be right, and nobody else's."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new._edges = edges
        return new

    @property
    def edges(self) -> Array:
        return self._edges

    @property
    def mass(self) -> Array:
        return self._mass

    @property
    def log_mass(self) -> Array:
        """log of the cells' masses."""
        return self._log_mass

    @property
    def points(self) -> Array:
        return self._edges[:, None]

    @property
    def weights(self) -> Array:
        return self._weights

    def displaced(self, v: ArrayLike) -> Self:
        return self.with_edges(self._edges + self._displacement(v)[:, 0])

    def to_arrays(self) -> dict[str, Array]:
        return {"edges": self._edges, "mass": self._mass}

    @abstractmethod
    def log_volumes(self) -> Array:
        """log of the cells' volumes, shape (n,)."""

    @abstractmethod
    def log_volume_derivatives(self) -> LogVolumes:
        """`log_volumes` with derivatives in both edges of each cell."""

    @abstractmethod
    def volume_slopes(self, edges: Array) -> tuple[Array, Array, Array]:
        """log|cell| and its derivatives in the left and in the right edge, for any edges
        (…, n+1) that a law of this kind may have; three arrays (…, n)."""

    def log_density(self, at: ArrayLike | None = None) -> Array:
        """Log of the density with respect to Lebesgue measure of R^dim.

        Without ``at``: one value a cell. With ``at``, points of shape (m, 1) or (m,): the value
        of the cell that holds each point, and −inf outside the support.
        """
        with np.errstate(divide="ignore"):
            cells = self._log_mass - self.log_volumes()
        if at is None:
            return cells
        return self._of_cells(cells, at, outside=-np.inf)

    def cdf(self, at: ArrayLike) -> Array:
        """Mass to the left of each point, for the piecewise uniform density on the line."""
        levels = np.concatenate([[0.0], np.cumsum(self._mass)])
        return np.interp(_queries(at).ravel(), self._edges, levels / levels[-1])

    def ppf(self, levels: ArrayLike) -> Array:
        """Quantile function: piecewise linear, through the edges at the cumulated masses."""
        s = finite_array(levels, "levels")
        if ((s < 0) | (s > 1)).any():
            raise InvalidMeasure(f"levels must lie in [0, 1], not from {s.min():g} to {s.max():g}")
        cumulated = np.concatenate([[0.0], np.cumsum(self._mass)])
        return np.interp(s, cumulated / cumulated[-1], self._edges)

    def _of_cells(self, values: Array, at: ArrayLike, outside: float) -> Array:
        r = _queries(at)
        index = np.searchsorted(self._edges, r, side="right") - 1
        index = np.where(r == self._edges[-1], len(self._mass) - 1, index)
        inside = (index >= 0) & (index < len(self._mass))
        return np.where(inside, values[np.clip(index, 0, len(self._mass) - 1)], outside)


def _queries(at: ArrayLike) -> Array:
    """Points (m, 1) or (m,) of the line as a vector; infinite ones are welcome."""
    r = real_array(at, "points")
    r = r[:, 0] if r.ndim == 2 and r.shape[1] == 1 else r
    if r.ndim > 1:
        raise InvalidMeasure(f"points must have shape (m, 1) or (m,), not {r.shape}")
    if np.isnan(r).any():
        raise InvalidMeasure("points hold NaN: remove or replace those entries")
    return r


def graded_levels(n: int, grading: str) -> Array:
    """n+1 levels from 0 to 1 at which a quantile function is read.

    ``"uniform"``: equal masses. ``"cosine"``: c(c(u)) with c(u) = (1 − cos πu)/2, for densities
    that vanish at a finite edge: where that happens linearly, the points themselves are clustered
    like the cosine's, and the masses at both ends are of order n^-4. ``"tails"``: the regularised
    incomplete beta function I_u(4, 4), for laws with unbounded support: with equal masses the two
    outermost cells alone cost n^-½ in W2.
    """
    if not is_whole(n):
        raise InvalidMeasure(f"n must be a positive number of cells, but is {n!r}")
    if not is_among(grading, ("uniform", "cosine", "tails")):
        raise InvalidMeasure(f"grading must be 'uniform', 'cosine' or 'tails', not {grading!r:.50}")
    u = np.linspace(0.0, 1.0, int(n) + 1)
    if grading == "uniform":
        return u
    if grading == "cosine":
        return np.sin(0.5 * np.pi * np.sin(0.5 * np.pi * u) ** 2) ** 2
    from scipy.special import betainc

    return np.asarray(betainc(4.0, 4.0, u))


def level_masses(n: int, grading: str) -> tuple[Array, Array]:
    """Levels and the masses between them; the gradings are symmetric, and so are the masses.

    Only the lower half is computed: near 1, masses of order n^-4 would drown in rounding.
    """
    levels = graded_levels(n, grading)
    mass = np.diff(levels)
    half = len(mass) // 2
    mass[len(mass) - half :] = mass[:half][::-1]
    return levels, mass / mass.sum()


def edges_from_ppf(
    ppf: Callable[[Array], ArrayLike],
    levels: Array,
    mass: Array,
    isf: Callable[[Array], ArrayLike] | None = None,
) -> Array:
    """Edges at symmetric levels; an infinite end is put at the mean of its outer half cell.

    ``isf(s)`` = ppf(1 − s) reads the upper half where levels near 1 need more digits than 1 has.
    """
    end = _read(ppf, levels[-1:]) if isf is None else _read(isf, levels[:1])
    if isf is None:
        isf = lambda s: ppf(np.minimum(1.0 - s, 1.0 - _HALF_EPS))  # noqa: E731
    half = (len(levels) + 1) // 2
    lower = _read(ppf, levels[:half])
    upper = _read(isf, levels[: len(levels) - half])[::-1]
    x = np.concatenate([lower, upper])
    x[-1] = end[0]
    if not np.isfinite(x[0]):
        x[0] = tail_mean(ppf, 0.5 * mass[0])
    if not np.isfinite(x[-1]):
        x[-1] = tail_mean(isf, 0.5 * mass[0])
    return x


def tail_mean(quantile: Callable[[Array], ArrayLike], p: float) -> float:
    """Mean of the outermost mass p, ∫_0^∞ quantile(p e^{−t}) e^{−t} dt, by Gauss–Laguerre."""
    t, g = np.polynomial.laguerre.laggauss(40)
    return float(g @ _read(quantile, p * np.exp(-t)))


def _read(ppf: Callable[[Array], ArrayLike], levels: Array) -> Array:
    """A quantile function at some levels, infinite values included."""
    if not callable(ppf):
        raise InvalidMeasure(f"ppf must be a function of levels (k,), not {ppf!r:.100}")
    try:
        with np.errstate(all="ignore"):
            answer = ppf(levels)
    except Exception as error:  # a user's function may raise anything
        raise InvalidMeasure(f"ppf raised {type(error).__name__}: {error}") from error
    values = real_array(answer, "the answer of ppf")
    if values.shape != levels.shape:
        raise InvalidMeasure(f"ppf must map {len(levels)} levels to as many, not {values.shape}")
    return values


_HALF_EPS = float(np.finfo(float).epsneg)  # 1 − this is the last number below 1


def cells_from_arrays(arrays: Mapping[str, ArrayLike]) -> tuple[ArrayLike, ArrayLike]:
    return arrays["edges"], arrays["mass"]
