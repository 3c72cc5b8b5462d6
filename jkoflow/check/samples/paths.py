"""Points that ρ* might as well have given: reversible paths through those at hand.

Random signs are what chance would give only where a statistic's terms are symmetric, or many. But a
point of ρ* is a uniform draw from the states of a stationary reversible path that was continued
from it both ways, with its own place on the path drawn too (Besag and Clifford 1989). Given the
paths of n independent points, all choices of one state from each are equally likely, whatever ρ* is
and however slowly the paths move: tests against them are exact for any n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ...measures.base import Array
from ...status import JkoflowError

Score = Callable[[Array], Array]
LogRatio = Callable[[Array, Array], Array]
STATES = 100
"""States of a path besides the point. Those near to it resemble it, and blur what it is worth."""

_STEPS = (0.1, 2.0)  # between these, at random, so that narrow parts of ρ* are left as well
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)


class Paths(NamedTuple):
    """States (K+1, n, D), the points first, and the scores there."""

    points: Array
    scores: Array

    @property
    def mixed(self) -> bool:
        """Whether states differ from their paths' means as much as half of all scores do.

        Choices from paths that hardly move tell nothing. Which state is the point is not asked.
        """
        centred = self.scores - self.scores.mean(axis=(0, 1))
        between = np.square(centred.mean(axis=0)).mean(axis=0)
        return bool((between <= 0.5 * np.square(centred).mean(axis=(0, 1))).all())

    def choices(self, copies: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """The points, and then one state from each path at random, with scores.

        Some choices at once, (b, n, D) each, so that memory is that of the paths.
        """
        count, n = self.points.shape[:2]
        yield self.points[:1], self.scores[:1]
        for k in range(0, copies, count):
            state = rng.integers(count, size=(min(count, copies - k), n))
            yield self.points[state, np.arange(n)], self.scores[state, np.arange(n)]


def ratio_of(log_density: Callable[[Array], Array]) -> LogRatio:
    """log ρ*(y) − log ρ*(x)."""
    return lambda x, y: log_density(y) - log_density(x)


def ratio_along(score: Score) -> LogRatio:
    """The same as ∫₀¹ ⟨∇log ρ*(x + t(y−x)), y−x⟩ dt, by Gauss–Legendre with five nodes.

    Examples
    --------
    >>> x, y = np.array([[0.0, 1.0]]), np.array([[2.0, 0.0]])
    >>> ratio_along(lambda x: -x)(x, y).round(12)
    array([-1.5])
    """

    def ratio(x: Array, y: Array) -> Array:
        way = y - x
        between = x + (0.5 + 0.5 * _NODES)[:, None, None] * way
        forces = score(between.reshape(-1, x.shape[1])).reshape(between.shape)
        return np.asarray(np.einsum("kid,id,k->i", forces, way, 0.5 * _WEIGHTS))

    return ratio


def paths_through(
    x: Array, score: Score, ratio: LogRatio, rng: np.random.Generator, states: int = STATES
) -> Paths | None:
    """Paths of Metropolis-adjusted Langevin steps; None where the law is not defined on the way.

    The steps are in units of a covariance, and no drift is longer than the noise in any coordinate,
    so that paths come back from where forces are large. Sizes of steps are random. The covariance
    is that of every other point: of a covariance that a point had a part in, its path would not be
    stationary (of 100 points in R^40 nothing would ever be rejected).
    """
    n = len(x)
    kernel = _Langevin(score, ratio, (_root(x[1::2]), _root(x[::2])), rng)
    turn = rng.integers(states + 1, size=n)  # from this step on, backwards from the point
    points, scores = np.empty((states + 1, *x.shape)), np.empty((states + 1, *x.shape))
    try:
        points[0], scores[0] = x, score(x)
        at, force = x, scores[0]
        for k in range(states):
            again = (turn == k)[:, None]
            at, force = np.where(again, x, at), np.where(again, scores[0], force)
            at, force = kernel.step(at, force)
            points[k + 1], scores[k + 1] = at, force
    except JkoflowError:
        return None
    return Paths(points, scores)


class _Langevin:
    """x → x + drift + noise, accepted with Metropolis and Hastings's probability."""

    def __init__(
        self,
        score: Score,
        ratio: LogRatio,
        roots: tuple[Array, Array],
        rng: np.random.Generator,
    ) -> None:
        self.score, self.ratio, self.roots, self.rng = score, ratio, roots, rng

    def step(self, x: Array, s: Array) -> tuple[Array, Array]:
        h = self.rng.uniform(*_STEPS, (len(x), 1)) / x.shape[1] ** (1 / 6)
        noise = self.rng.standard_normal(x.shape)
        forth = self._drift(s, h) + noise
        y = x + self._each(h * forth, [root.T for root in self.roots])
        with np.errstate(all="ignore"):
            gain = self.ratio(x, y)
        inside = np.isfinite(gain)
        t = np.zeros_like(s)
        if inside.any():
            t[inside] = self.score(y[inside])
        back = self._drift(t, h) + forth
        gain = np.where(inside, gain, -np.inf) + 0.5 * (noise**2 - back**2).sum(axis=1)
        taken = (np.log(self.rng.random(len(x))) < gain)[:, None]
        return np.where(taken, y, x), np.where(taken, t, s)

    def _drift(self, s: Array, h: Array) -> Array:
        """In units of the noise."""
        return np.clip(0.5 * h * self._each(s, self.roots), -1.0, 1.0)

    def _each(self, v: Array, matrices: Sequence[Array]) -> Array:
        """Rows in turn times the one and the other matrix."""
        product = np.empty_like(v)
        for k, matrix in enumerate(matrices):
            product[k::2] = v[k::2] @ matrix
        return product


def _root(x: Array) -> Array:
    """A root of the covariance; where points are few, halfway to its diagonal."""
    n, dim = x.shape
    centred = x - x.mean(axis=0)
    cov = centred.T @ centred / n
    spread = np.diag(np.where(np.diag(cov) > 0, np.diag(cov), 1.0))
    share = 0.5 if n <= 2 * dim else 1e-9  # by which Cholesky's root exists for repeated points
    return np.linalg.cholesky((1.0 - share) * cov + share * spread)
