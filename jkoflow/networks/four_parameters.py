"""Laws of (a, b, r1, r2): the parameters of ReLU units on two blocks of inputs, up to rotations."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv

from ..arguments import is_finite, is_whole
from ..measures.base import Array, finite_array
from ..measures.particles import Particles
from ..status import InvalidMeasure, InvalidProblem

_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)


def four_parameters(theta: ArrayLike, active: int) -> Array:
    """(a, b, w) ↦ (a, b, |w on the first ``active`` coordinates|, |w on the others|), (N, 4).

    Raises
    ------
    InvalidMeasure
        If theta is not (N, 2 + d) with 1 ≤ active < d.

    Examples
    --------
    >>> four_parameters([[1.0, 2.0, 3.0, 4.0, -5.0]], active=2)
    array([[1., 2., 5., 5.]])
    """
    points = finite_array(theta, "theta", ndim=2)
    if not is_whole(active) or points.shape[1] < active + 3:
        raise InvalidMeasure(
            f"theta (N, 2 + d) needs 1 ≤ active < d, but has shape {points.shape} and active is "
            f"{active!r}"
        )
    first, second = points[:, 2 : 2 + active], points[:, 2 + active :]
    norms = [np.linalg.norm(part, axis=1) for part in (first, second)]
    return np.stack([points[:, 0], points[:, 1], *norms], axis=1)


def normal_four_parameters(
    n: int, dim: int, active: int, kappa: float, *, a: float = 1.0, b: float = 1.0
) -> Particles:
    """The law of (a, b, r1, r2) for w ~ N(0, κ²/d I) and given a and b, as n equal particles.

    Quantiles of the two χ laws at the points ((i + ½)/n, {(i + ½)·golden ratio}) of a plane
    lattice: means are right to about 1/n, where independent draws leave 1/√n. That matters:
    flows leave plateaus along unstable directions, and along those errors of the start grow.

    Parameters
    ----------
    n, dim, active : int
        Particles; dimension d of w; its first coordinates, 1 ≤ active < dim.
    kappa, a, b : float

    Raises
    ------
    InvalidProblem
        For numbers that make no sense.

    Examples
    --------
    >>> law = normal_four_parameters(1000, dim=320, active=60, kappa=0.8)
    >>> (law.points[:, 2] ** 2).mean().round(3), 0.8**2 * 60 / 320         # E r1² = κ² s0/d
    (np.float64(0.12), 0.12000000000000002)
    """
    if not (is_whole(n) and is_whole(dim) and is_whole(active) and active < dim):
        raise InvalidProblem(f"needs n ≥ 1 and 1 ≤ active < dim, not {n!r}, {active!r}, {dim!r}")
    if not (is_finite(kappa) and kappa > 0 and is_finite(a) and is_finite(b)):
        raise InvalidProblem(f"needs kappa > 0 and finite a, b, not {kappa!r}, {a!r}, {b!r}")
    at = np.arange(n) + 0.5
    levels = (at / n, np.mod(at * _GOLDEN, 1.0))
    scale = kappa / math.sqrt(dim)
    r1, r2 = (
        scale * np.sqrt(2.0 * gammaincinv(0.5 * k, u))
        for k, u in zip((active, dim - active), levels, strict=True)
    )
    return Particles(np.stack([np.full(n, float(a)), np.full(n, float(b)), r1, r2], axis=1))
