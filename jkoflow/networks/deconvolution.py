"""Sparse deconvolution on the circle: spikes seen through a Dirichlet kernel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_whole
from ..functionals.features import FeatureMap
from ..functionals.risk import Risk
from ..measures.base import Array, finite_array
from ..status import InvalidFunctional


class SpikeFeatures(FeatureMap):
    """φ_q(r, θ) = r² p_q(θ) with p = (1/√2, cos kθ, sin kθ), k = 1 … K: a particle is a spike.

    r² ≥ 0 is the spike's mass and θ its place on the circle, any real number. The squared length
    of Σ_q y_q p_q in L²(dθ/π) is |y|²; the reproducing kernel is Dirichlet's,
    p(θ)·p(θ') = D(θ − θ')/2 with D(t) = Σ_{|k| ≤ K} e^{ikt}.

    Examples
    --------
    >>> phi = SpikeFeatures(2)
    >>> phi(np.array([[2.0, 0.0]]))[:, 0].round(6)
    array([2.828427, 4.      , 4.      , 0.      , 0.      ])
    """

    def __init__(self, order: int) -> None:
        if not is_whole(order):
            raise InvalidFunctional(f"the order of a Dirichlet kernel is an integer ≥ 1: {order!r}")
        self.order = int(order)

    def waves(self, theta: ArrayLike, derivative: int = 0) -> Array:
        """p, p' or p'' at angles (n,), shape (2K + 1, n)."""
        k = np.arange(1, self.order + 1)[:, None]
        angle = k * np.asarray(theta, dtype=float) + derivative * np.pi / 2
        constant = np.full((1, angle.shape[1]), 0.0 if derivative else np.sqrt(0.5))
        scale = k.astype(float) ** derivative
        return np.concatenate([constant, scale * np.cos(angle), scale * np.sin(angle)])

    def __call__(self, theta: Array) -> Array:
        return theta[:, 0] ** 2 * self.waves(theta[:, 1])

    def jacobian(self, theta: Array) -> Array:
        r, at = theta[:, 0], theta[:, 1]
        return np.stack([2 * r * self.waves(at), r**2 * self.waves(at, 1)], axis=-1)

    def vjp(self, theta: Array, c: Array) -> Array:
        r, at = theta[:, 0], theta[:, 1]
        return np.stack([2 * r * (c @ self.waves(at)), r**2 * (c @ self.waves(at, 1))], axis=-1)

    def jvp(self, theta: Array, v: Array) -> Array:
        r, at = theta[:, 0], theta[:, 1]
        return 2 * r * v[:, 0] * self.waves(at) + r**2 * v[:, 1] * self.waves(at, 1)

    def curvature(self, theta: Array, c: Array) -> Array:
        r, at = theta[:, 0], theta[:, 1]
        result = np.empty((len(theta), 2, 2))
        result[:, 0, 0] = 2 * (c @ self.waves(at))
        result[:, 0, 1] = result[:, 1, 0] = 2 * r * (c @ self.waves(at, 1))
        result[:, 1, 1] = r**2 * (c @ self.waves(at, 2))
        return result

    def spec(self) -> dict[str, Any]:
        return {"features": "SpikeFeatures", "order": self.order}


def spike_coefficients(angles: ArrayLike, masses: ArrayLike, order: int) -> Array:
    """Σ_j w_j p(θ_j), the 2K + 1 Fourier coefficients of a sum of spikes.

    Examples
    --------
    >>> spike_coefficients([0.0, np.pi], [1.0, 1.0], 1).round(6) + 0.0
    array([1.414214, 0.      , 0.      ])
    """
    theta = finite_array(angles, "angles", ndim=1)
    w = finite_array(masses, "masses", shape=theta.shape)
    return SpikeFeatures(order).waves(theta) @ w


def deconvolution_risk(coefficients: ArrayLike) -> Risk:
    """R(ρ) = |y − ∫r² p(θ) dρ|² for given coefficients y (2K + 1,), on laws of (r, θ).

    The positive, 2-homogeneous lift of fitting a measure on the circle: every positive measure ν
    is ∫r²ρ(dr, ·) for some ρ, so that inf R is the minimum over ν ≥ 0 of a convex problem, while
    R is not convex along transport. (Chizat and Bach 2018, section 4.)

    Raises
    ------
    InvalidFunctional
        If the number of coefficients is not odd and at least 3.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> R = deconvolution_risk(spike_coefficients([1.0], [4.0], 7))
    >>> R.value(Particles([[2.0, 1.0], [-2.0, 1.0]])) < 1e-28
    True
    """
    y = finite_array(coefficients, "coefficients", ndim=1)
    if len(y) < 3 or len(y) % 2 == 0:
        raise InvalidFunctional(f"2K + 1 ≥ 3 coefficients are needed, not {len(y)}")
    return Risk(SpikeFeatures(len(y) // 2), y, np.ones(len(y)))


class SpikeFit(NamedTuple):
    """Masses on a grid, their residual |y − Σ w p|², and a bound no positive measure goes below."""

    angles: Array
    masses: Array
    value: float
    lower_bound: float


def fit_on_grid(coefficients: ArrayLike, points: int = 2000) -> SpikeFit:
    """min over ν ≥ 0 on a grid of |y − ∫p dν|² by non-negative least squares, with a certificate.

    Weak duality: for any z with z·p(θ) ≤ 0 for all θ, |y − ∫p dν|² ≥ 2 y·z − |z|² for all
    ν ≥ 0. The residual e of the fit becomes such a z by lowering its constant coefficient by
    √2·max_θ e·p(θ), where the maximum off the grid is bounded through |(e·p)''| ≤ Σ k²|e_k|.

    Raises
    ------
    InvalidFunctional
        As `deconvolution_risk`, and for a grid of fewer points than coefficients.

    Examples
    --------
    >>> fit = fit_on_grid(spike_coefficients([1.0, 3.0], [1.0, 2.0], 7))
    >>> -1e-3 < fit.lower_bound <= fit.value < 1e-3
    True
    """
    from scipy.optimize import nnls

    risk = deconvolution_risk(coefficients)
    y, order = risk.targets, len(risk.targets) // 2
    if not is_whole(points, least=len(y)):
        raise InvalidFunctional(f"the grid needs at least {len(y)} points, not {points!r}")
    features = SpikeFeatures(order)
    angles = 2 * np.pi * np.arange(int(points)) / int(points)
    waves = features.waves(angles)
    masses, _ = nnls(waves, y, maxiter=50 * len(angles))
    e = y - waves @ masses
    k = np.arange(1, order + 1)
    bend = float(k**2 @ np.hypot(e[1 : order + 1], e[order + 1 :]))
    # between the nodes a maximum is at most half a cell from the nearest one
    highest = float((e @ waves).max()) + 0.5 * bend * (np.pi / len(angles)) ** 2
    z = e.copy()
    z[0] -= np.sqrt(2.0) * max(highest, 0.0)
    return SpikeFit(angles, masses, float(e @ e), max(0.0, float(2 * (y @ z) - z @ z)))
