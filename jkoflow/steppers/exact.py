"""Closed-form JKO steps, as a stepper like any other: a reference for tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..functionals.base import Functional
from ..functionals.internal import PowerEnergy
from ..measures.base import Array, Measure
from ..measures.cells import Cells
from ..measures.gaussian import Gaussian
from ..measures.particles import Particles
from ..measures.profiles import Profile, barenblatt_profile, barenblatt_speed, normal_profile
from ..record import State, Witness
from ..status import NotDefined, Status
from .base import StepOutput, Stepper
from .bures.stepper import gaussian_step
from .quadratic import Quadratic, contraction, has_minimiser, next_mean, split

KNOWN = """\
Exact knows, for F the sum of any QuadraticPotential and QuadraticInteraction and
  - nothing else: every Particles, Quantiles, Radial and Gaussian measure;
  - Entropy: Gaussian measures, and normal laws on cells (Quantiles.normal, Radial.normal);
  - PowerEnergy(m), m > 1: Barenblatt laws of the same m on cells (measures.profiles.barenblatt).
On cells, quadratic potentials of radial laws are centred at the origin."""


@dataclass(frozen=True)
class Exact(Stepper):
    """The JKO step in closed form, where one is known; `NotDefined` says where.

    Quadratic functionals contract every measure about its mean: x ↦ m⁺ + (x − m)/(1 + (a+κ)τ).
    With entropy or a power energy, normal and Barenblatt laws are dilated: implicit Euler in the
    scale, (1 + (a+κ)τ)s⁺ − s = τK s⁺^{−q}, with K = g, q = 1 for the entropy and
    q = d(m−1) + 1 for the power.

    On cells it returns the exact law on the same masses, which is not quite the minimiser of the
    discretised step: `QuantileNewton` converges to it as the cells shrink. ``distance_squared``
    is then the lumped one, as in `QuantileNewton`.

    Examples
    --------
    >>> from jkoflow import PowerEnergy, Problem, flow
    >>> from jkoflow.measures.profiles import barenblatt
    >>> run = flow(Problem(PowerEnergy(2.0), barenblatt(2.0, 1.0, 100), 0.1, steps=1), Exact())
    >>> round(float(run.final.edges[-1]), 10)
    1.2061978578
    """

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: np.random.Generator
    ) -> StepOutput:
        parts = split(F.smooth.on(mu) + F.internal, mu.points.shape[1])
        if isinstance(mu, Gaussian) and not parts.others:
            return gaussian_step(parts, mu, tau, state)
        powers = [(c, f) for c, f in parts.others if isinstance(f, PowerEnergy)]
        if isinstance(mu, Gaussian) or len(powers) < len(parts.others):
            raise _unknown(F, mu)
        if not has_minimiser(parts, tau) or any(c < 0 for c, _ in powers):
            return StepOutput(mu, {}, None, {}, Status.UNBOUNDED)
        if not powers and parts.entropy == 0.0:
            return contracted(parts, mu, tau)
        if not isinstance(mu, Cells):
            raise _unknown(F, mu)
        return dilated(F, parts, powers, mu, tau)


def _unknown(F: Functional, mu: Measure) -> NotDefined:
    return NotDefined(f"no closed form is known for {F!r} on {mu!r}. {KNOWN}")


def contracted(parts: Quadratic, mu: Measure, tau: float) -> StepOutput:
    """x ↦ m⁺ + (x − m)/c, the resolvent of a quadratic functional, on points."""
    x, w, c = mu.points, mu.weights, contraction(parts, tau)
    mean = np.zeros(x.shape[1]) if mu.kind == "radial" else w @ x
    new_mean, shift = next_mean(parts, mean, tau)
    old = x - mean
    centred = old / c
    moved = shift - (c - 1.0) * centred
    squares = np.einsum("ij,ij->i", moved, moved)
    if isinstance(mu, Cells):
        new: Measure = mu.with_edges((new_mean + centred)[:, 0])
        witness = Witness("monotone")
    else:
        assert isinstance(mu, Particles)
        new = Particles(new_mean + centred, w)
        witness = _pairing(old, centred, shift, c)
    return _output(new, witness, float(w @ squares))


def _pairing(old: Array, new: Array, shift: Array, c: float) -> Witness:
    """Potentials of v ↦ v/c + shift: |u − v + Δ|² − f − g = |√c u − v/√c|² ≥ 0."""
    f = (1.0 - c) * (new * new).sum(axis=1) + 2.0 * new @ shift + shift @ shift
    g = (1.0 - 1.0 / c) * (old * old).sum(axis=1) - 2.0 * old @ shift
    arrays: dict[str, Any] = {"order": np.arange(len(old)), "f": f, "g": g}
    return Witness("pairing", arrays)


def dilated(
    F: Functional, parts: Quadratic, powers: list[tuple[float, PowerEnergy]], mu: Cells, tau: float
) -> StepOutput:
    """The step of a normal or Barenblatt law on cells, about its centre."""
    radial = mu.kind == "radial"
    profile, speed, decay = _profile(F, parts, powers, mu)
    fitted = profile.fit(mu)
    if fitted is None:
        raise _unknown(F, mu)
    centre, scale = fitted
    new_scale = next_scale(scale, contraction(parts, tau), tau * speed, decay)
    new_centre = 0.0
    if not radial:
        new_centre = float(next_mean(parts, np.array([centre]), tau)[0][0])
    new = mu.with_edges(new_centre + (new_scale / scale) * (mu.edges - centre))
    moved = new.edges - mu.edges
    return _output(new, Witness("monotone"), float(mu.weights @ (moved * moved)))


def _profile(
    F: Functional, parts: Quadratic, powers: list[tuple[float, PowerEnergy]], mu: Cells
) -> tuple[Profile, float, float]:
    """The family that F keeps, K and q."""
    dim = mu.dim if mu.kind == "radial" else None
    if not powers:
        return normal_profile(dim), parts.entropy, 1.0
    m = powers[0][1].m
    if parts.entropy > 0 or m <= 1 or any(f.m != m for _, f in powers):
        raise _unknown(F, mu)
    coefficient = sum(c * f.coefficient for c, f in powers)
    return (
        barenblatt_profile(m, dim),
        barenblatt_speed(m, coefficient, mu.dim),
        mu.dim * (m - 1.0) + 1.0,
    )


def next_scale(scale: float, c: float, strength: float, decay: float) -> float:
    """The root s > 0 of c s − scale = strength·s^{−decay}, for c > 0.

    The difference of both sides increases and is concave, so Newton's method from scale/c, which
    lies on the left, climbs to the root without overshooting.

    Examples
    --------
    >>> round(next_scale(1.0, 1.0, 0.3, 2.0), 10)
    1.2061978578
    """
    s = scale / c
    for _ in range(200):
        push = strength * s**-decay
        change = (scale + push - c * s) / (c + decay * push / s)
        s += change
        if change <= 4e-16 * s:
            break
    return float(s)


def _output(new: Measure, witness: Witness, distance_squared: float) -> StepOutput:
    stats = {"iterations": 0, "residual": 0.0}
    return StepOutput(new, {}, witness, stats, Status.EXACT, distance_squared)
