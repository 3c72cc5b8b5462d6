"""Transport on the line, where sorting is optimal and W2 is the L2 distance of quantile functions.

Two distances, told apart by name: `distance_squared` is W2² between the laws as they are (cells
are spread out, points are atoms); `lumped_distance_squared` is Σ w_i |x_i − y_i|² over the edges
of two laws with the same masses, the quadrature of W2² that the scheme minimises. They differ by
the square of the cells' distortion, and agree for translations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..measures.base import Array, Measure, finite_array, probability_weights
from ..measures.cells import Cells
from ..measures.particles import Particles
from ..status import InvalidMeasure, NotDefined

Indices = NDArray[np.intp]


class Pieces(NamedTuple):
    """A quantile function: linear from ``left[i]`` to ``right[i]`` over a mass ``mass[i]``."""

    mass: Array
    left: Array
    right: Array


def pieces(mu: Measure) -> Pieces:
    """The quantile function of a law on the line, or of the radius of a radial law.

    Raises
    ------
    NotDefined
        For measures in more than one dimension, and for Gaussians, whose quantile function is
        not piecewise linear: see `distance_squared_to_ppf`.
    """
    if isinstance(mu, Cells):
        return Pieces(mu.mass, mu.edges[:-1], mu.edges[1:])
    if isinstance(mu, Particles) and mu.dim == 1:
        x = mu.points[:, 0]
        order = np.argsort(x, kind="stable")
        return Pieces(mu.weights[order], x[order], x[order])
    raise NotDefined(f"{mu!r} has no piecewise linear quantile function")


def distance_squared(mu: Measure, nu: Measure) -> float:
    """W2² between two laws on the line, exactly: ∫_0^1 |q_μ(s) − q_ν(s)|² ds.

    Cells and points mix; numbers and masses of cells may differ. Between radial laws it is the
    W2² of their radii, spread over each cell so that the radius is uniform.

    Raises
    ------
    NotDefined
        See `pieces`.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> distance_squared(Quantiles([0.0, 1.0]), Quantiles([0.0, 0.5, 1.0]))
    0.0
    >>> round(distance_squared(Quantiles([0.0, 1.0]), Particles([0.0])), 12)      # ∫ s² ds
    0.333333333333
    """
    p, q = pieces(mu), pieces(nu)
    if np.array_equal(p.mass, q.mass):
        return _integral(p.mass, p.left - q.left, p.right - q.right)
    mass, i, j, levels = _merged(p.mass, q.mass)
    left = _at(p, i, levels[:-1]) - _at(q, j, levels[:-1])
    right = _at(p, i, levels[1:]) - _at(q, j, levels[1:])
    return _integral(mass, left, right)


def _integral(mass: Array, left: Array, right: Array) -> float:
    """∫ of the square of a piecewise linear function."""
    return float(mass @ (left * left + left * right + right * right)) / 3.0


def _merged(a: Array, b: Array) -> tuple[Array, Indices, Indices, Array]:
    """Common refinement of two sequences of masses: masses, indices in both, levels."""
    upper_a, upper_b = np.cumsum(a), np.cumsum(b)
    upper_a, upper_b = upper_a / upper_a[-1], upper_b / upper_b[-1]
    levels = np.concatenate([[0.0], np.union1d(upper_a, upper_b)])
    i = np.searchsorted(upper_a, levels[1:], side="left")
    j = np.searchsorted(upper_b, levels[1:], side="left")
    return np.diff(levels), i, j, levels


def _at(p: Pieces, index: Indices, levels: Array) -> Array:
    """The quantile function at levels inside (or at the ends of) the pieces ``index``."""
    upper = np.cumsum(p.mass)
    lower = np.concatenate([[0.0], upper[:-1]]) / upper[-1]
    share = np.clip((levels - lower[index]) / p.mass[index], 0.0, 1.0)
    return np.asarray(p.left[index] + share * (p.right[index] - p.left[index]))


def lumped_distance_squared(mu: Cells, nu: Cells) -> float:
    """Σ_i w_i (x_i − y_i)² over the edges, for two laws with the same masses.

    Raises
    ------
    InvalidMeasure
        If the masses differ.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> lumped_distance_squared(Quantiles([0.0, 1.0]), Quantiles([0.0, 3.0]))
    2.0
    """
    if not np.array_equal(mu.mass, nu.mass):
        raise InvalidMeasure(
            "a lumped distance needs the same masses on both sides: use distance_squared"
        )
    moved = mu.edges - nu.edges
    return float(mu.weights @ (moved * moved))


class MonotoneCoupling(NamedTuple):
    """Mass ``values[k]`` goes from point ``rows[k]`` to point ``columns[k]``."""

    rows: Indices
    columns: Indices
    values: Array


def monotone_coupling(
    x: ArrayLike, y: ArrayLike, a: ArrayLike | None = None, b: ArrayLike | None = None
) -> MonotoneCoupling:
    """The optimal coupling of weighted points on the line, for every convex cost of x − y.

    Parameters
    ----------
    x, y : array_like, shapes (n,) and (m,)
        In any order.
    a, b : array_like, optional
        Weights with sum 1; uniform if not given.

    Examples
    --------
    >>> coupling = monotone_coupling([3.0, 0.0], [1.0, 2.0, 5.0], b=[0.25, 0.25, 0.5])
    >>> coupling.rows, coupling.columns, coupling.values
    (array([1, 1, 0]), array([0, 1, 2]), array([0.25, 0.25, 0.5 ]))
    """
    u, v = finite_array(x, "x", ndim=1), finite_array(y, "y", ndim=1)
    order, other = np.argsort(u, kind="stable"), np.argsort(v, kind="stable")
    p = probability_weights(a, len(u), "a")[order]
    q = probability_weights(b, len(v), "b")[other]
    if np.array_equal(p, q):
        return MonotoneCoupling(order, other, p)
    values, i, j, _ = _merged(p, q)
    return MonotoneCoupling(order[i], other[j], values)


def distance_squared_to_ppf(
    mu: Measure,
    ppf: Callable[[Array], ArrayLike],
    isf: Callable[[Array], ArrayLike] | None = None,
    nodes: int = 12,
) -> float:
    """W2² between a law on the line and the law with quantile function ``ppf``.

    Gauss–Legendre in the levels of each piece; the first and the last, where a quantile function
    may be singular, in the logarithm of the level (Gauss–Laguerre).

    Parameters
    ----------
    isf : callable, optional
        ppf(1 − s) for small s; ``ppf(1 − s)`` itself if not given, with its loss of digits.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> from scipy.special import ndtri
    >>> error = distance_squared_to_ppf(Quantiles.normal(0.0, 1.0, 1000), ndtri)
    >>> error < 1e-9
    True
    """
    p = pieces(mu)
    upper_tail = isf or (lambda s: ppf(np.minimum(1.0 - s, 1.0 - _HALF_EPS)))
    if len(p.mass) == 1:
        half = 0.5 * (p.left + p.right)
        p = Pieces(np.array([0.5, 0.5]), np.append(p.left, half), np.append(half, p.right))
    below = np.concatenate([[0.0], np.cumsum(p.mass)])[:-1]
    above = np.concatenate([np.cumsum(p.mass[::-1])[::-1][1:], [0.0]])
    total = _tail(p.mass[0], p.left[0], p.right[0], ppf)
    total += _tail(p.mass[-1], p.right[-1], p.left[-1], upper_tail)
    t, g = np.polynomial.legendre.leggauss(nodes)
    t, g = 0.5 * (1.0 + t), 0.5 * g
    inside = slice(1, len(p.mass) - 1)
    mass, left, right = p.mass[inside, None], p.left[inside, None], p.right[inside, None]
    levels, rest = below[inside, None] + t * mass, above[inside, None] + (1.0 - t) * mass
    lower = levels <= 0.5
    target = np.where(
        lower, np.asarray(ppf(np.where(lower, levels, 0.5))),
        np.asarray(upper_tail(np.where(lower, 0.5, rest))),
    )  # fmt: skip
    gap = left + t * (right - left) - target
    return total + float((mass * gap * gap * g).sum())


_HALF_EPS = float(np.finfo(float).epsneg)


def _tail(mass: float, end: float, inner: float, quantile: Callable[[Array], ArrayLike]) -> float:
    """∫_0^mass (end + (inner − end)s/mass − quantile(s))² ds."""
    t, g = np.polynomial.laguerre.laggauss(60)
    share = np.exp(-t)
    gap = end + (inner - end) * share - np.asarray(quantile(mass * share), dtype=float)
    used = g > 1e-30  # beyond, the nodes only overflow
    return float(mass * (g[used] @ gap[used] ** 2))
