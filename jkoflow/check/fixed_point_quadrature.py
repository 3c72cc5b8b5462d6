"""Laws by quadrature: where a density lives, its integral, cells, and W2 on the line."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from ..functionals.answers import answer_of
from ..measures.base import Array, Measure
from ..measures.radial import log_ball_volume
from ..status import InvalidFunctional, InvalidProblem, MissingStructure, NotDefined
from . import policy

LogFunction = Callable[[Array], Array]
NODES = {1: (2400, 3600), 2: (64, 96), 3: (32, 48)}
"""Nodes an axis, coarse and fine. 32 midpoints on ±9.6 standard deviations of a normal law leave
exp(−2π²/0.6²) = 1e-24 of it, and 1e-6 where they are twice as far apart."""
CELL_NODES = (3, 5)
STANDARD = 9.6  # where the density of N(0, 1) is policy.NEGLIGIBLE
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

    def distances(self, x: Array) -> Array:
        """|x − mean|², (k, d) → (k,)."""
        return np.asarray(((x - self.masses @ self.points) ** 2).sum(axis=1))


class Space(NamedTuple):
    """Coordinates z (m, D) of points x: a box to look in first and the ends of z (walls, or r = 0),
    both (2, D); nodes an axis, coarse and fine; the map z ↦ x, and the log of dx/dz."""

    box: Array
    ends: Array
    nodes: tuple[int, int]
    place: LogFunction = lambda z: z
    log_volume: LogFunction = lambda z: np.zeros(len(z))

    def heights(self, log_f: LogFunction, z: Array) -> Array:
        """log of f dx/dz."""
        values = log_f(self.place(z)) + self.log_volume(z)
        if np.isnan(values).any() or (values == np.inf).any():
            raise InvalidFunctional("a log density is NaN or +inf where it has to be integrated")
        return values

    def support(self, log_f: LogFunction) -> Array:
        """A box beyond which f is negligible, as far as three times its width shows."""
        box, probes = self.box, _PROBES[self.box.shape[1]]
        for _ in range(80):
            wide = np.clip(box + np.outer([-1.0, 1.0], box[1] - box[0]), *self.ends)
            step = (wide[1] - wide[0]) / probes
            z = _grid([_midpoints(a, b, probes)[0] for a, b in wide.T])
            heights = self.heights(log_f, z)
            alive = z[heights >= heights.max() - policy.NEGLIGIBLE]
            box = np.clip([alive.min(axis=0) - step, alive.max(axis=0) + step], *wide)
            seen = (box != wide) | (box == self.ends)
            if seen.all() and (box[1] - box[0] >= 0.3 * (wide[1] - wide[0])).all():
                return box
        raise MissingStructure("a density does not decay, or is too narrow to be found; walls=True "
                               "with a domain says that the space ends")  # fmt: skip

    def integrated(self, log_f: LogFunction, box: Array, level: int) -> Rule:
        """exp(log f)/∫ f without what is negligible, by Gauss–Legendre on panels of 8 nodes; or,
        where f vanishes at the ends, by midpoints, which converge faster than any power."""
        line = len(box.T) == 1
        rule = _panels if line or np.isfinite(self.ends).any() else _midpoints
        axes = [rule(a, b, self.nodes[level]) for a, b in box.T]
        z, volumes = _grid([x for x, _ in axes]), np.log(_grid([w for _, w in axes])).sum(axis=1)
        logs = self.heights(log_f, z) + volumes
        total = float(logsumexp(logs))
        kept = logs > total - policy.NEGLIGIBLE
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


def domain_of(domain: ArrayLike | None, mu: Any) -> Array | None:
    """(lower, upper), numbers or vectors, as an array (2, D); D is that of ``mu``'s points."""
    if domain is None:
        return None
    try:
        ends = np.atleast_2d(np.array(domain, dtype=float).T).T
    except (TypeError, ValueError) as error:
        raise InvalidProblem(f"a domain is (lower, upper), in numbers: {error}") from error
    right = ends.ndim == 2 and len(ends) == 2 and np.isfinite(ends).all()
    if not (right and (ends[0] < ends[1]).all()):
        raise InvalidProblem(f"a domain is (lower, upper), lower < upper, not {domain!r:.90}")
    if isinstance(mu, Measure) and mu.points.shape[1] != ends.shape[1]:
        raise InvalidProblem(f"the domain has dimension {ends.shape[1]}, but {mu!r} has not")
    return ends


def rules_of(
    mu: Any, domain: Array | None, closed: bool, nodes: int | None
) -> tuple[Space, list[Rule]]:
    """The coordinates, and ρ by the coarse and by the fine rule."""
    if isinstance(mu, Measure) and mu.kind not in ("quantiles", "radial", "gaussian"):
        raise NotDefined(f"{type(mu).__name__} have no density, so ρ = exp(−β δS/δρ)/Z cannot hold "
                         "(check_samples tests points against a density)")  # fmt: skip
    box = mu.points[[0, -1]] if isinstance(mu, Measure) else np.asarray(domain)
    dim = box.shape[1]
    if dim > 3:
        raise NotDefined(f"quadrature in dimension {dim} > 3: take a Radial law, or a Gaussian "
                         "where δS/δρ is quadratic")  # fmt: skip
    count = NODES[dim] if nodes is None else (int(nodes), math.ceil(1.5 * nodes))
    ends = np.outer([-np.inf, np.inf], np.ones(dim))
    if getattr(mu, "kind", "") == "gaussian":
        half, box = 0.5 * mu.log_det(), np.outer([-STANDARD, STANDARD], np.ones(dim))
        space = Space(box, ends, count, lambda z: mu.mean() + z @ mu.sqrt_cov,
                      lambda z: np.full(len(z), half))  # fmt: skip
    else:
        if getattr(mu, "kind", "") == "radial":
            ends[0] = 0.0
        if domain is not None:
            box = np.stack([np.minimum(box[0], domain[0]), np.maximum(box[1], domain[1])])
            ends = np.clip(domain, *ends) if closed else ends
        space = Space(np.clip(box, *ends), ends, count)
    if hasattr(mu, "edges"):
        if mu.kind == "radial":
            sphere = math.log(mu.dim) + log_ball_volume(mu.dim)
            space = space._replace(
                log_volume=lambda r: sphere + (mu.dim - 1) * np.log(r[:, 0]))  # fmt: skip
        return space, [cells_rule(mu, level) for level in (0, 1)]

    def log_density(x: Array) -> Array:
        f: Any = getattr(mu, "log_density", mu)
        return answer_of(f, (x,), (len(x),), "log_density")

    space = space._replace(box=space.support(log_density))
    return space, [space.integrated(log_density, space.box, level) for level in (0, 1)]


def cells_rule(mu: Any, level: int) -> Rule:
    """Gauss–Legendre in the volume of each cell, over which the mass is spread evenly."""
    t, g = np.polynomial.legendre.leggauss(CELL_NODES[level])
    a, b, log_density = mu.points[:-1], mu.points[1:], np.repeat(mu.log_density(), len(t))
    if not np.isfinite(log_density).all():
        raise NotDefined("a cell without volume has no density")

    def at(s: Array) -> Array:
        """The point below which the fraction s of a cell lies."""
        if mu.kind != "radial":
            return np.asarray(a + (b - a) * s)
        return np.asarray(b * np.exp(np.log1p(np.expm1(mu.dim * np.log(a / b)) * (1 - s)) / mu.dim))

    cuts = at(np.clip(0.5 * np.append(0.0, np.cumsum(g)), 0.0, 1.0))
    pieces = np.stack([cuts[:, :-1].ravel(), cuts[:, 1:].ravel()], axis=1)
    masses = np.outer(mu.to_arrays()["mass"], 0.5 * g).ravel()
    return Rule(at(0.5 * (1.0 + t)).reshape(-1, 1), masses, log_density, pieces, 0.0)


def quantile_distance(one: Rule, other: Rule) -> float:
    """W2 of two laws on the line, each uniform on its pieces: ∫(Q_1 − Q_2)² ds, exactly."""
    levels = [np.append(0.0, np.cumsum(r.masses) / np.cumsum(r.masses)[-1]) for r in (one, other)]
    s, ends = np.unique(np.concatenate(levels)), []
    for rule, level in zip((one, other), levels, strict=True):
        i = np.searchsorted(level, s[:-1], side="right") - 1
        slope = (rule.pieces[i, 1] - rule.pieces[i, 0]) / (level[i + 1] - level[i])
        ends.append(rule.pieces[i, 0] + slope * (np.stack([s[:-1], s[1:]]) - level[i]))
    a, b = ends[0] - ends[1]
    return math.sqrt(float(np.diff(s) @ (a * a + a * b + b * b)) / 3.0)


def quadratic_form(f: LogFunction, dim: int) -> tuple[float, Array, Array, float]:
    """f = c + ⟨b, z⟩ + ½⟨z, Az⟩ by differences, and the largest deviation at random points."""
    eye, rng = np.eye(dim), np.random.default_rng(0)
    c, up = float(f(np.zeros((1, dim)))[0]), f(eye)
    A = np.array([f(eye + e) - up - f(e[None]) + c for e in eye])
    b, z = up - c - 0.5 * np.diag(A), rng.normal(size=(64, dim))
    z *= np.repeat([0.3, 1.0, 3.0, 10.0], 16)[:, None]
    values = f(z)
    gap = np.abs(values - c - z @ b - 0.5 * np.einsum("ij,jk,ik->i", z, A, z))
    if not (gap <= policy.QUADRATIC * (np.abs(values) + abs(c) + np.abs(up).max())).all():
        raise NotDefined("the dimension is above 3 and δS/δρ is not quadratic: a law that is "
                         "invariant under rotations can be judged as Radial")  # fmt: skip
    return c, b, 0.5 * (A + A.T), float(gap[:32].max())
