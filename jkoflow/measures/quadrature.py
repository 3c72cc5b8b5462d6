"""Densities by quadrature in at most three coordinates: where they live, and their integral."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from ..status import InvalidFunctional, InvalidProblem, MissingStructure
from .base import Array, Measure
from .grid import Grid

LogFunction = Callable[[Array], Array]
NEGLIGIBLE = 45.0
"""A density is integrated until its logarithm is this far below its maximum (3e-20)."""
NODES = {1: (2400, 3600), 2: (64, 96), 3: (32, 48)}
"""Nodes an axis, coarse and fine. 32 midpoints on ±9.6 standard deviations of a normal law leave
exp(−2π²/0.6²) = 1e-24 of it, and 1e-6 where they are twice as far apart."""
_PROBES = {1: 1024, 2: 80, 3: 32}  # an axis: the grid on which a box is found
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


class Rule(NamedTuple):
    """A law by quadrature: points (m, d), masses with sum 1, log density at the points.

    ``pieces`` (m, 2), where there is one coordinate: the part of the axis that each mass stands
    for. ``log_total``: log of the integral that was divided out.
    """

    points: Array
    masses: Array
    log_density: Array
    pieces: Array
    log_total: float

    def mean_of(self, values: Array) -> float:
        """Σ masses·values (m,), of whatever value where there is no mass."""
        return float(self.masses @ np.where(self.masses > 0, values, 0.0))

    def distances(self, x: Array) -> Array:
        """|x − mean|², (k, d) → (k,)."""
        return np.asarray(((x - self.masses @ self.points) ** 2).sum(axis=1))


class Space(NamedTuple):
    """Coordinates z (m, D) of points x, and the box of them to look in first, (2, D).

    ``ends`` (2, D) of z (walls, or r = 0); ``nodes`` an axis, coarse and fine; ``place``, the map
    z ↦ x; ``log_volume``, the log of dx/dz.

    Examples
    --------
    >>> line = Space(np.array([[-1.0], [1.0]]), np.array([[-np.inf], [np.inf]]), NODES[1])
    >>> log_f = lambda x: -0.5 * x[:, 0] ** 2
    >>> rule = line.integrated(log_f, line.support(log_f), 0)
    >>> bool(abs(2 * rule.log_total - np.log(2 * np.pi)) < 1e-12)
    True
    """

    box: Array
    ends: Array
    nodes: tuple[int, int]
    place: LogFunction = lambda z: z
    log_volume: LogFunction = lambda z: np.zeros(len(z))

    def heights(self, log_f: LogFunction, z: Array) -> Array:
        """log of f dx/dz.

        Raises
        ------
        InvalidFunctional
            Where it is NaN or +∞.
        """
        values = log_f(self.place(z)) + self.log_volume(z)
        if np.isnan(values).any() or (values == np.inf).any():
            raise InvalidFunctional("a log density is NaN or +inf where it has to be integrated")
        return values

    def support(self, log_f: LogFunction) -> Array:
        """A box beyond which f is negligible, as far as three times its width shows.

        Raises
        ------
        MissingStructure
            If there is none: f does not decay, or is too narrow to be found.
        """
        box, probes = self.box, _PROBES[self.box.shape[1]]
        for _ in range(80):
            wide = np.clip(box + np.outer([-1.0, 1.0], box[1] - box[0]), *self.ends)
            step = (wide[1] - wide[0]) / probes
            z = _grid([_midpoints(a, b, probes)[0] for a, b in wide.T])
            heights = self.heights(log_f, z)
            top, far = heights.max(), np.abs(wide).max(axis=0)
            if not (top - NEGLIGIBLE < top and (far + step > far).all()):
                break  # nothing is there, or heights or places that rounding does not tell apart
            alive = z[heights >= top - NEGLIGIBLE]
            before, box = box, np.clip([alive.min(axis=0) - step, alive.max(axis=0) + step], *wide)
            grown = np.maximum(before[0] - box[0], box[1] - before[1]) > 2.0 * step
            # a box that has grown is looked around again: whoever begins with it sees no more
            if not grown.any() and (box[1] - box[0] >= 0.3 * (wide[1] - wide[0])).all():
                return box
        raise MissingStructure("a density does not decay, or is too narrow to be found; walls=True "
                               "with a domain says that the space ends")  # fmt: skip

    def hides(self, log_f: LogFunction, box: Array) -> bool:
        """Whether there is more of f, seen from another box, beyond a gap around this one."""
        try:
            seen = self._replace(box=box).support(log_f)
        except MissingStructure:  # too narrow to be found from there
            return False
        gap = 0.5 * (self.box[1] - self.box[0])  # what is nearer was seen from here
        return bool(((seen[0] < self.box[0] - gap) | (seen[1] > self.box[1] + gap)).any())

    def integrated(self, log_f: LogFunction, box: Array, level: int) -> Rule:
        """exp(log f)/∫ f without what is negligible, by Gauss–Legendre on panels of 8 nodes; or,
        where f vanishes at the ends, by midpoints, which converge faster than any power."""
        line = len(box.T) == 1
        rule = _panels if line or np.isfinite(self.ends).any() else _midpoints
        axes = [rule(a, b, self.nodes[level]) for a, b in box.T]
        z, volumes = _grid([x for x, _ in axes]), np.log(_grid([w for _, w in axes])).sum(axis=1)
        logs = self.heights(log_f, z) + volumes
        total = float(logsumexp(logs))
        kept = logs > total - NEGLIGIBLE
        z, masses = z[kept], np.exp(logs[kept] - total)
        log_density = logs[kept] - total - volumes[kept] - self.log_volume(z)
        cuts = self.place(box[0] + np.append(0.0, np.cumsum(axes[0][1]))[:, None]) if line else z
        pieces = np.hstack([cuts[:-1], cuts[1:]])[kept] if line else z
        return Rule(self.place(z), masses / masses.sum(), log_density, pieces, total)


def _panels(a: float, b: float, nodes: int) -> tuple[Array, Array]:
    ends = np.linspace(a, b, math.ceil(nodes / 8) + 1)
    half = 0.5 * np.diff(ends)[:, None]
    return (ends[:-1, None] + half * (1.0 + _NODES)).ravel(), (half * _WEIGHTS).ravel()


def _midpoints(a: float, b: float, nodes: int) -> tuple[Array, Array]:
    h = (b - a) / nodes
    return np.asarray(a + h * (np.arange(nodes) + 0.5)), h * np.ones(nodes)


def _grid(axes: list[Array]) -> Array:
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def domain_of(domain: ArrayLike | None, mu: object) -> Array | None:
    """(lower, upper), numbers or vectors, as an array (2, D); D is that of ``mu``'s points, and a
    grid's own box is its domain where none is given.

    Raises
    ------
    InvalidProblem
        If it is none.

    Examples
    --------
    >>> domain_of((0, 1), None)
    array([[0.],
           [1.]])
    """
    if domain is None:
        return np.stack([mu.lower, mu.upper]) if isinstance(mu, Grid) else None
    try:
        ends = np.atleast_2d(np.array(domain, dtype=float).T).T
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidProblem(f"a domain is (lower, upper), in numbers: {error}") from error
    right = ends.ndim == 2 and len(ends) == 2 and np.isfinite(ends).all()
    if not (right and (ends[0] < ends[1]).all()):
        raise InvalidProblem(f"a domain is (lower, upper), lower < upper, not {domain!r:.90}")
    if isinstance(mu, Measure) and mu.points.shape[1] != ends.shape[1]:
        raise InvalidProblem(f"the domain has dimension {ends.shape[1]}, but {mu!r} has not")
    return ends
