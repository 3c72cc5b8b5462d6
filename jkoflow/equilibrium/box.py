"""The Gibbs fixed point of a network with one, two or three parameters a neuron, on a grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from ..arguments import generator, is_finite, is_whole
from ..functionals.base import Functional, Smooth
from ..functionals.risk import Risk
from ..measures.base import Array, finite_array
from ..measures.particles import Particles
from ..status import InvalidProblem, NotDefined, Status
from .dual import Dual, ascend
from .parts import classify, split_free_energy

_NEGLIGIBLE = 1e-15
"""Share of the mass in the outermost layer of cells that is cut off with what lies beyond."""


@dataclass(frozen=True)
class Box:
    """Midpoints (k, D) of the cells of a box, with equal weights: the trapezoidal rule shifted.

    For smooth densities that vanish at the faces its error falls faster than any power of the
    spacing.
    """

    lower: Array
    upper: Array
    n: int
    points: Array = field(repr=False)
    log_weights: Array = field(repr=False)

    @classmethod
    def of(cls, lower: Array, upper: Array, n: int) -> Box:
        """n cells an axis."""
        axes = [a + (b - a) * (np.arange(n) + 0.5) / n for a, b in zip(lower, upper, strict=True)]
        points = np.stack([m.ravel() for m in np.meshgrid(*axes, indexing="ij")], axis=-1)
        volume = float(np.log((upper - lower) / n).sum())
        return cls(lower, upper, n, points, np.full(len(points), volume))

    def log_integral(self, log_f: Array) -> float:
        """log ∫ exp(log f)."""
        return float(logsumexp(log_f + self.log_weights))

    def masses(self, log_density: Array) -> Array:
        """Mass of each cell of a density that is already normalised."""
        return np.exp(log_density + self.log_weights)

    def at_faces(self, log_density: Array) -> Array:
        """Mass in the outermost cells at each face, shape (D, 2)."""
        mass = self.masses(log_density).reshape((self.n,) * self.points.shape[1])
        return np.array([[np.take(mass, end, axis=i).sum() for end in (0, -1)]
                         for i in range(mass.ndim)])  # fmt: skip


@dataclass(frozen=True)
class GibbsDensity:
    """What `solve_gibbs_density` returns: ρ* as a function, and the evidence for it.

    Call it for the normalised log density at points (m, D). ``free_energy`` is F(ρ*), ``gap``
    bounds F(ρ*) − min F, ``residuals`` are the q numbers y − ∫φ dρ* that determine ρ*.
    """

    free_energy: float
    gap: float
    log_partition: float
    beta: float
    residuals: Array
    iterations: int
    status: Status
    box: Box = field(repr=False)
    _linear: Smooth = field(repr=False)
    _risks: list[tuple[float, Risk]] = field(repr=False)

    def __call__(self, at: ArrayLike) -> Array:
        """log ρ* at points (m, D), shape (m,)."""
        x = finite_array(at, "points", ndim=2)
        exponent = _exponent(self._linear, self._risks, self.beta, self.residuals, x)
        return exponent - self.log_partition

    @property
    def log_density(self) -> Array:
        """log ρ* at the box's points."""
        return self(self.box.points)

    @property
    def domain(self) -> tuple[Array, Array]:
        """Corners of the box, as `check_fixed_point` wants them."""
        return self.box.lower, self.box.upper

    @property
    def measure(self) -> Particles:
        """ρ* as weighted points: the quadrature rule with which it was found."""
        mass = self.box.masses(self.log_density)
        return Particles(self.box.points, mass / mass.sum())

    def sample(self, n: int, rng: Any) -> Array:
        """n independent points (n, D): a cell by its mass, uniform inside."""
        random, mass = generator(rng), self.measure.weights
        chosen = self.box.points[random.choice(len(mass), size=n, p=mass)]
        width = (self.box.upper - self.box.lower) / self.box.n
        return chosen + width * (random.random(chosen.shape) - 0.5)


def solve_gibbs_density(
    F: Functional,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    n: int | None = None,
    start: ArrayLike | None = None,
    tolerance: float = 1e-12,
    max_iterations: int = 200,
) -> GibbsDensity:
    """Solve ρ* = exp(−βδS/δρ(·;ρ*))/Z on R^D, D ≤ 3, for S made of potentials and risks.

    As `solve_gibbs`, by Newton's method in the q residuals; quadrature is on a box that grows
    until the density is negligible on its faces.

    Parameters
    ----------
    F : Functional
        Potentials and risks, plus a positive multiple 1/β of `Entropy`.
    lower, upper : float or array_like (D,)
        A box to look in first.
    n : int, optional
        Cells an axis: 2000, 160 or 48 in one, two or three dimensions.
    start : array_like (q,), optional
        Residuals e to start from, all risks' together; zeros if not given. As D(e) is strictly
        concave, the answer is the same.
    tolerance : float
        On the gap, relative to 1 + |F|.

    Raises
    ------
    NotDefined
        If F has no entropy, or other terms than potentials and risks.
    InvalidProblem
        For a box that is none, and where the density does not vanish far away.

    Examples
    --------
    >>> from jkoflow import Entropy, QuadraticPotential
    >>> star = solve_gibbs_density(QuadraticPotential(2.0) + Entropy() / 3.0, [-1, -1], [1, 1])
    >>> round(float(np.exp(star.log_partition)) * 3 * 2 / (2 * np.pi), 10), bool(star.gap < 1e-12)
    (1.0, True)
    """
    a, b = finite_array(lower, "lower"), finite_array(upper, "upper")
    a, b = np.atleast_1d(a).astype(float), np.atleast_1d(b).astype(float)
    if a.ndim != 1 or a.shape != b.shape or not 1 <= len(a) <= 3 or not (a < b).all():
        raise InvalidProblem(f"a box in R^D, D ≤ 3, has corners lower < upper, not {a}, {b}")
    n = (2000, 160, 48)[len(a) - 1] if n is None else n
    if not (is_whole(n, 8) and is_whole(max_iterations) and is_finite(tolerance) and tolerance > 0):
        raise InvalidProblem("n ≥ 8 and max_iterations are whole numbers, tolerance is positive")
    smooth, beta = split_free_energy(F)
    linear, risks, other = classify(smooth.on(Particles(a[None])))
    if other:
        raise NotDefined(f"a density is solved for from potentials and risks, not with {other[0]}")
    q = sum(len(risk.targets) for _, risk in risks)
    e = np.zeros(q) if start is None else finite_array(start, "start", shape=(q,)).copy()
    iterations = 0
    for _ in range(40):
        box = Box.of(a, b, int(n))
        dual = Dual(linear, risks, beta, box)
        e, gap, used, status = ascend(dual, e, tolerance, int(max_iterations))
        iterations += used
        log_density, log_z = dual.log_density(e)
        beyond = box.at_faces(log_density) > _NEGLIGIBLE
        if not beyond.any():
            break
        width = 0.3 * (b - a)
        a, b = a - width * beyond[:, 0], b + width * beyond[:, 1]
    else:
        raise InvalidProblem(
            "exp(−β δS/δρ) does not vanish as far as can be seen: the functional needs a "
            "confining potential, for instance weight decay lam > 0"
        )
    mass = box.masses(log_density)
    energy = linear.value_at_points(box.points, mass) + float(mass @ log_density) / beta
    energy += sum(c * risk.value_at_points(box.points, mass) for c, risk in risks)
    return GibbsDensity(float(energy), gap, log_z, beta, e, iterations, status, box, linear, risks)


def _exponent(
    linear: Smooth, risks: list[tuple[float, Risk]], beta: float, e: Array, x: Array
) -> Array:
    """−β(V − Σ 2c w e φ) at points x."""
    total, start = -linear.first_variation_at_points(x[:0], np.zeros(0), x), 0
    for c, risk in risks:
        q = len(risk.targets)
        total = total + (2.0 * c * risk.weights * e[start : start + q]) @ risk.features(x)
        start += q
    return np.asarray(beta * total)
