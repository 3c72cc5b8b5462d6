"""The Bures–Wasserstein geometry of Gaussians: W2, optimal maps, geodesics, in closed form.

W2²(N(m,Σ), N(n,S)) = |m−n|² + min_Q ‖Σ^½ − S^½Q‖² over orthogonal Q (Bhatia, Jain & Lim 2019).
The minimiser is the polar factor of S^½Σ^½. Square roots come from symmetric eigendecompositions
and the polar factor from a singular value decomposition, which needs no inverse: nearly singular
covariances keep their digits, and small distances do not drown in tr Σ + tr S − 2 tr(…)^½.
"""

from __future__ import annotations

import numpy as np

from ..measures.base import Array
from ..measures.gaussian import Gaussian
from ..status import InvalidMeasure, NotDefined


def distance_squared(mu: Gaussian, nu: Gaussian) -> float:
    """W2² between two Gaussians, singular ones included.

    Raises
    ------
    InvalidMeasure
        If they live in different dimensions.

    Examples
    --------
    >>> distance_squared(Gaussian([0.0], [[1.0]]), Gaussian([3.0], [[4.0]]))
    10.0
    """
    _same_space(mu, nu)
    moved = nu.mean() - mu.mean()
    spread = nu.sqrt_cov @ polar_factor(mu, nu) - mu.sqrt_cov
    return float(moved @ moved) + float(np.vdot(spread, spread))


def polar_factor(mu: Gaussian, nu: Gaussian) -> Array:
    """Orthogonal Q with T Σ^½ = S^½ Q for the optimal map T from N(·,Σ) to N(·,S)."""
    from scipy.linalg import svd

    left, _, right = svd(nu.sqrt_cov @ mu.sqrt_cov, check_finite=False)
    return np.asarray(left @ right)


def optimal_map(mu: Gaussian, nu: Gaussian) -> Array:
    """The symmetric T with T Σ T = S; x ↦ n + T(x − m) is the optimal map from mu to nu.

    T = Σ^{-½}(Σ^½ S Σ^½)^½ Σ^{-½}.

    Raises
    ------
    NotDefined
        If Σ is singular: then no map need exist, see `geodesic` for what still does.

    Examples
    --------
    >>> zero = [0.0, 0.0]
    >>> optimal_map(Gaussian(zero, np.diag([1.0, 4.0])), Gaussian(zero, np.diag([9.0, 1.0])))
    array([[3. , 0. ],
           [0. , 0.5]])
    """
    from scipy.linalg import svd

    _same_space(mu, nu)
    if mu.is_singular():
        raise NotDefined("the optimal map starts from a Gaussian with a regular covariance")
    values, vectors = mu.eigen
    # in the eigenbasis of Σ, where Σ^{±½} are diagonal
    _, singular, right = svd((nu.sqrt_cov @ vectors) * np.sqrt(values), check_finite=False)
    root = right / np.sqrt(values)
    matrix = (root.T * singular) @ root
    missed = vectors.T @ nu.cov() @ vectors - (matrix * values) @ matrix
    matrix = vectors @ (matrix + _change(missed, singular, right, values)) @ vectors.T
    return np.asarray(0.5 * (matrix + matrix.T))


def _change(missed: Array, singular: Array, right: Array, values: Array) -> Array:
    """X with XΣT + TΣX = S − TΣT, one step of Newton's method in the eigenbasis of Σ.

    The decomposition is right to the rounding of ‖Σ^½ S^½‖, which leaves a map wrong across thin
    and broad directions by their ratio.
    """
    D = (right * np.sqrt(values)) @ missed @ (right * np.sqrt(values)).T
    sums = singular[:, None] + singular
    D = np.divide(D, sums, out=np.zeros_like(D), where=sums > 0)
    root = right / np.sqrt(values)
    return np.asarray(root.T @ D @ root)


def geodesic(mu: Gaussian, nu: Gaussian, t: float) -> Gaussian:
    """The point at t ∈ [0, 1] of the W2 geodesic from mu to nu.

    Examples
    --------
    >>> geodesic(Gaussian([0.0], [[1.0]]), Gaussian([2.0], [[9.0]]), 0.5)
    Gaussian(1, 4)
    """
    _same_space(mu, nu)
    if not 0.0 <= t <= 1.0:
        raise InvalidMeasure(f"a geodesic is defined for t in [0, 1], not at {t!r}")
    factor = (1.0 - t) * mu.sqrt_cov + t * (nu.sqrt_cov @ polar_factor(mu, nu))
    return Gaussian((1.0 - t) * mu.mean() + t * nu.mean(), factor @ factor.T)


def _same_space(mu: Gaussian, nu: Gaussian) -> None:
    if mu.dim != nu.dim:
        raise InvalidMeasure(f"the Gaussians live in R^{mu.dim} and R^{nu.dim}")
