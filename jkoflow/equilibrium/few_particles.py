"""The risk of N equal particles, minimised, and what N costs against all measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import generator, is_whole
from ..functionals.base import Functional
from ..measures.base import Array, Measure
from ..measures.particles import Particles
from ..status import InvalidProblem
from .convex_programme import Programme, as_box, grid


@dataclass(frozen=True)
class FewParticles:
    """The best of several descents: its N equal particles, its value, and the values of all."""

    measure: Particles
    value: float
    values: Array


def minimise_particles(
    F: Functional, neurons: int, domain: Sequence[Any], *, starts: Any = 8, rng: Any = None
) -> FewParticles:
    """Minimise R_N(θ_1, …, θ_N) = R(N⁻¹ Σ δ_{θ_i}) over a box, by descent from several starts.

    R_N is not convex: what is found is an upper bound of inf R_N, which is itself an upper bound
    of the infimum over all measures, and by the static lemma at most K/N above it.

    Parameters
    ----------
    F : Risk
        Or a sum of positive multiples of risks.
    neurons : int
        N.
    domain : (lower, upper)
        Numbers, or arrays (D,).
    starts : int or Measure
        A number of starts uniform on the box; or a measure ρ, from which 8 starts of N
        independent points are drawn, as in the lemma's proof.
    rng : seed or Generator

    Raises
    ------
    NotDefined
        If F is not made of risks.
    InvalidProblem
        For arguments that make no sense.

    Examples
    --------
    >>> from jkoflow import Risk
    >>> R = Risk(lambda r: np.stack([r[:, 0], r[:, 0] ** 2]), [0.5, 0.5], weights=[1.0, 1.0])
    >>> [round(minimise_particles(R, n, (0.0, 1.0), rng=0).value, 6) for n in (1, 2)]
    [0.02753, 0.0]
    """
    programme, box = Programme(F), as_box(domain)
    if not is_whole(neurons):
        raise InvalidProblem(f"neurons must be a positive integer, not {neurons!r:.50}")
    n, dim = int(neurons), len(box[0])
    first = _starts(starts, n, box, generator(rng))
    found = [_descend(programme, x, box) for x in first]
    values = np.array([value for value, _ in found])
    best = int(np.argmin(values))
    return FewParticles(Particles(found[best][1].reshape(n, dim)), float(values[best]), values)


def best_atom(F: Functional, domain: Sequence[Any], count: int = 4000) -> FewParticles:
    """The best single point: a grid of about ``count`` points, and descent from the lowest ten.

    Examples
    --------
    >>> from jkoflow import Risk
    >>> atom = best_atom(Risk(lambda r: np.cos(r[:, 0])[None], [-2.0]), (0.0, 4.0))
    >>> round(atom.value, 9), atom.measure.points.round(4).item()
    (1.0, 3.1416)
    """
    programme, box = Programme(F), as_box(domain)
    points = grid(box, count)
    heights = np.sum(programme.columns(points) ** 2, axis=0)
    lowest = points[np.argsort(heights)[:10]]
    found = [_descend(programme, x[None, :], box) for x in lowest]
    values = np.array([value for value, _ in found])
    best = int(np.argmin(values))
    return FewParticles(Particles(found[best][1]), float(values[best]), values)


def lemma_constant(F: Functional, rho: Measure) -> float:
    """K = ∫U(θ,θ)ρ(dθ) = Σ_q w_q ∫φ_q² dρ of the static lemma, for ρ a minimiser.

    With N independent points of ρ, E R_N = R(ρ) + (K − ∬U dρdρ)/N, so that some N points have
    R_N ≤ R(ρ) + K/N: inf R ≤ inf R_N ≤ inf R + K/N (Mei, Montanari, Nguyen 2018). The statement
    holds with `sampling_constant` instead of K too, which is smaller.

    Examples
    --------
    >>> from jkoflow import Risk
    >>> R = Risk(lambda r: r.T, [0.0])
    >>> lemma_constant(R, Particles([1.0, 3.0])), sampling_constant(R, Particles([1.0, 3.0]))
    (5.0, 1.0)
    """
    return float(sum(np.sum((root[:, None] * phi) ** 2, axis=0) @ rho.weights
                     for root, phi in _features(F, rho)))  # fmt: skip


def sampling_constant(F: Functional, rho: Measure) -> float:
    """∫U(θ,θ)ρ(dθ) − ∬U dρdρ = Σ_q w_q Var_ρ(φ_q): N·E[R_N − R(ρ)] for independent points."""
    total = 0.0
    for root, phi in _features(F, rho):
        centred = phi - (phi @ rho.weights)[:, None]
        total += float(np.sum((root[:, None] * centred) ** 2, axis=0) @ rho.weights)
    return total


def _features(F: Functional, rho: Measure) -> list[tuple[Array, Array]]:
    return [(root, risk.features(rho.points)) for root, risk in Programme(F).terms]


def _starts(
    starts: Any, n: int, box: tuple[Array, Array], rng: np.random.Generator
) -> list[Array]:
    """Arrays (n, D) to descend from."""
    lower, upper = box
    if isinstance(starts, Measure):
        if starts.points.shape[1] != len(lower):
            raise InvalidProblem("the measure of starts must live where the domain does")
        p = starts.weights / starts.weights.sum()
        draws = [rng.choice(len(p), size=n, p=p) for _ in range(8)]
        # a little off, since points that coincide would stay together for ever
        off = [1e-3 * (upper - lower) * rng.standard_normal((n, len(lower))) for _ in draws]
        drawn = [starts.points[k] + e for k, e in zip(draws, off, strict=True)]
        return [np.clip(x, lower, upper) for x in drawn]
    if not is_whole(starts):
        raise InvalidProblem(f"starts must be a positive integer or a measure, not {starts!r:.50}")
    return [lower + (upper - lower) * rng.random((n, len(lower))) for _ in range(int(starts))]


def _descend(programme: Programme, x: Array, box: tuple[Array, Array]) -> tuple[float, Array]:
    """R_N after L-BFGS from the points x, and the points."""
    from scipy.optimize import minimize

    n, dim = x.shape

    def objective(z: Array) -> tuple[float, Array]:
        points = z.reshape(n, dim)
        r = programme.columns(points).mean(axis=1)
        return float(r @ r), (2.0 / n * programme.vjp(points, r)).ravel()

    done = minimize(
        objective, x.ravel(), jac=True, method="L-BFGS-B",
        bounds=list(zip(*box, strict=True)) * n,
        options={"ftol": 1e-15, "gtol": 1e-12, "maxiter": 1000},
    )  # fmt: skip
    return float(done.fun), np.asarray(done.x).reshape(n, dim)
