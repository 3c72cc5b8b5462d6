"""Explicit gradient flow of particles, by an exact functional or by batches, also on manifolds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import generator, is_finite, is_whole
from ..functionals.base import Functional
from ..measures.base import Array, Measure, finite_array
from ..measures.particles import Particles
from ..networks.manifolds import Manifold
from ..networks.populations import Population
from ..networks.units import Unit
from ..status import InvalidMeasure, InvalidProblem, NotDefined, StepFailed

Velocity = Callable[[Array, np.random.Generator], Array]


@dataclass(frozen=True)
class ParticleFlow:
    """What `particle_flow` returns: particles (N, D) at the recorded JKO times, and the end."""

    times: Array
    snapshots: list[Array] = field(repr=False)

    @property
    def theta(self) -> Array:
        """The particles at the end."""
        return self.snapshots[-1]

    @property
    def measure(self) -> Particles:
        """Their empirical measure."""
        return Particles(self.theta)

    def values(self, F: Functional) -> Array:
        """F at every recorded time."""
        return np.array([F.value(Particles(theta)) for theta in self.snapshots])


def of_functional(F: Functional) -> Velocity:
    """v = −∇δF/δρ at the particles: gradient descent."""
    if F.internal.terms:
        raise NotDefined("particles have no internal energy: give the other terms of F only")

    def velocity(theta: Array, rng: np.random.Generator) -> Array:
        w = np.full(len(theta), 1.0 / len(theta))
        return np.asarray(-F.smooth.gradient_at_points(theta, w))

    return velocity


def of_batches(unit: Unit, population: Population, batch: int) -> Velocity:
    """v_i = mean of (y − ŷ)∇_θσ*(x; θ_i) over fresh samples: ½R's gradient flow plus noise.

    On this clock, T = Σ dt, plain SGD has s = dt/2.
    """
    if not is_whole(batch):
        raise InvalidProblem(f"a batch has at least one sample, not {batch!r}")

    def velocity(theta: Array, rng: np.random.Generator) -> Array:
        x, y = population.sample(int(batch), rng)
        residual = (y - unit.value(theta, x).mean(axis=1)) / len(y)
        return unit.vjp(theta, x, residual)

    return velocity


def particle_flow(
    velocity: Functional | Velocity,
    theta0: ArrayLike | Measure,
    *,
    dt: float,
    steps: int,
    manifold: Manifold | None = None,
    record: ArrayLike | None = None,
    rng: Any = None,
) -> ParticleFlow:
    """θ ← retract(θ, dt·tangent part of v(θ)), as often as asked: Euler's method on a manifold.

    The W2 gradient flow of F in the JKO time T = k·dt, of first order in dt; `jkoflow.flow` is
    the implicit method with certificates, in all of R^D.

    Parameters
    ----------
    velocity : Functional, or callable
        F stands for `of_functional(F)`; otherwise (θ (N, D), rng) → v (N, D).
    theta0 : array_like (N, D), or Particles
    dt, steps : float, int
    manifold : Manifold, optional
        All of R^D if not given.
    record : array_like, optional
        JKO times, rounded to steps; only the end if not given.
    rng : seed or Generator

    Raises
    ------
    InvalidProblem
        For arguments that make no sense.
    InvalidMeasure
        If theta0 is not finite, (N, D), of equal weights, and on the manifold.
    StepFailed
        If a particle becomes infinite or NaN: dt is too large.

    Examples
    --------
    >>> from jkoflow import QuadraticPotential
    >>> run = particle_flow(QuadraticPotential(1.0), [[1.0]], dt=0.5, steps=2, record=[0.0, 0.5])
    >>> run.times, np.ravel(run.snapshots)
    (array([0. , 0.5, 1. ]), array([1.  , 0.5 , 0.25]))
    """
    if not (is_finite(dt) and dt > 0 and is_whole(steps, least=0)):
        raise InvalidProblem(f"dt must be positive and steps ≥ 0, not {dt!r} and {steps!r}")
    v = of_functional(velocity) if isinstance(velocity, Functional) else velocity
    theta, random = _start(theta0, manifold), generator(rng)
    due = {*_due(record, dt, int(steps)), int(steps)}
    times, snapshots = [], []
    for k in range(int(steps) + 1):
        if k in due:
            times.append(k * dt)
            snapshots.append(theta)
        if k < int(steps):
            with np.errstate(over="ignore", invalid="ignore"):  # the error below tells it
                theta = _moved(theta, dt * np.asarray(v(theta, random)), manifold)
            if not np.isfinite(theta).all():
                raise StepFailed(f"particles diverged at T = {(k + 1) * dt:g}: take a smaller dt")
    return ParticleFlow(np.array(times), snapshots)


def _start(theta0: ArrayLike | Measure, manifold: Manifold | None) -> Array:
    if isinstance(theta0, Measure):
        equal = np.ptp(theta0.weights) <= 1e-12 / len(theta0.weights)
        if not (isinstance(theta0, Particles) and equal):
            raise InvalidMeasure("theta0 must be particles of equal weights, 1/N each")
        theta0 = theta0.points
    theta = np.array(finite_array(theta0, "theta0"))
    if theta.ndim != 2 or theta.size == 0:
        raise InvalidMeasure(f"theta0 must have shape (N, D) with N, D ≥ 1, not {theta.shape}")
    if manifold is not None and not manifold.contains(theta):
        raise InvalidMeasure(f"theta0 must lie on {manifold!r}: retract it first")
    return theta


def _due(record: ArrayLike | None, dt: float, steps: int) -> list[int]:
    if record is None:
        return []
    times = finite_array(record, "record", ndim=1)
    counts = np.rint(times / dt).astype(int)
    if (counts < 0).any() or (counts > steps).any():
        raise InvalidProblem(f"times to record must lie in [0, {steps * dt:g}], not {times}")
    return [int(k) for k in counts]


def _moved(theta: Array, v: Array, manifold: Manifold | None) -> Array:
    if v.shape != theta.shape:
        raise InvalidProblem(f"velocities must have shape {theta.shape}, not {v.shape}")
    if manifold is None:
        return theta + v
    return manifold.retract(theta, manifold.tangent(theta, v))
