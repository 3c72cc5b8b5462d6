"""What finitely many particles cost: the mean excess of a quadratic functional, exactly."""

from __future__ import annotations

import numpy as np

from ..arguments import is_whole
from ..measures.base import Measure
from ..status import InvalidFunctional
from .base import Functional
from .risk import Risk


def finite_size_correction(F: Functional, mu: Measure, n: int) -> float:
    """E F(ρ̂_n) − F(ρ) for the empirical measure ρ̂_n of n independent points of ρ.

    For F = const + 2∫V dρ + ∬U dρdρ this is (1/n)(∫U(θ,θ)dρ − ∬U dρdρ), exactly and for every
    n; equivalently (1/n)(∫F(δ_θ)ρ(dθ) − F(ρ)). For a `Risk` it is (1/n) Σ_q w_q Var_ρ(φ_q).
    Any F that is quadratic in ρ may be given, linear terms included: sums of `Risk`, `Potential`,
    `Interaction`. That it is quadratic is not checked.

    Parameters
    ----------
    F : Functional
        Quadratic in ρ, and of weighted points: no internal energy.
    mu : Measure
        ρ. Measures on cells count as their weighted points.
    n : int
        Number of points, n ≥ 1.

    Raises
    ------
    InvalidFunctional
        For internal energies, which no particles have, and n < 1.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> R = Risk(lambda theta: theta.T, targets=[1.0])
    >>> finite_size_correction(R, Particles([[-1.0], [3.0]]), 8)  # variance 4
    0.5
    """
    if not is_whole(n):
        raise InvalidFunctional(f"the number of points must be an integer ≥ 1, not {n!r}")
    if F.internal.terms:
        raise InvalidFunctional(
            "an empirical measure has no internal energy: leave those terms out of F"
        )
    return sum(c * _excess(f, mu) for c, f in F.terms) / int(n)


def _excess(f: Functional, mu: Measure) -> float:
    """∫F(δ_θ)ρ(dθ) − F(ρ)."""
    smooth = f.smooth.on(mu)  # which refuses measures that F is not for
    if isinstance(f, Risk):
        w, phi = mu.weights, f.features(mu.points)
        centred = phi - (phi @ w)[:, None]
        return float(f.weights @ (centred**2 @ w))
    one = np.ones(1)
    alone = [smooth.value_at_points(x[None, :], one) for x in mu.points]
    return float(np.dot(mu.weights, alone)) - float(smooth.value_at_points(mu.points, mu.weights))
