"""The risk of a mean-field model: squared errors of integrals of features."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..measures.base import Array, Measure
from ..status import InvalidFunctional
from .base import Expansion, Smooth
from .curvature import Action, Curvature, LowRank
from .features import FeatureMap, FeaturesAt, as_feature_map
from .identity import array_digest
from .scale import with_scale

_LARGEST_FACTOR = 5_000_000  # entries of the low-rank factor; beyond it only its action is kept


class Risk(Smooth):
    """R(ρ) = Σ_q w_q (y_q − ∫φ_q dρ)², without a ½; every operation costs O(n·q).

    With e_q = y_q − ∫φ_q dρ, the first variation is δR/δρ = −2 Σ_q w_q e_q φ_q, which is 2Ψ up
    to a constant. The Hessian in the positions is the block diagonal −2 Σ_q w_q e_q w_i ∇²φ_q(θ_i)
    plus Σ_q 2 w_q J_q J_qᵀ with J_q = w_i ∇φ_q(θ_i).

    Parameters
    ----------
    features : callable
        φ : points (n, D) → (q, n). A function, or an object with more structure: see
        `jkoflow.functionals.features.FeatureMap`.
    targets : array_like, shape (q,)
    weights : array_like, shape (q,), optional
        Not negative; 1/q each if not given.
    gradient : callable, optional
        Points (n, D) → ∇φ_q(θ_i), (q, n, D). Central differences if not given.
    curvature : callable, optional
        (points (n, D), c (q,)) → Σ_q c_q ∇²φ_q(θ_i), (n, D, D).
    slope_bounds, curvature_bound : float or array_like (q,), optional
        Claims sup|∇φ_q| and sup‖∇²φ_q‖; with both, `convexity_near` is a number.

    Raises
    ------
    InvalidFunctional
        For targets, weights or features that make no sense; at evaluation, for features that
        raise, or answer with a wrong shape, NaN or complex numbers.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> R = Risk(lambda theta: np.stack([theta[:, 0], theta[:, 1]]), targets=[1.0, 0.0])
    >>> R.value(Particles([[0.0, 1.0], [0.0, 3.0]]))
    2.5
    """

    convex_in_mixtures = True

    def __init__(
        self,
        features: Any,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        gradient: Callable[[Array], ArrayLike] | None = None,
        curvature: Callable[[Array, Array], ArrayLike] | None = None,
        slope_bounds: ArrayLike | None = None,
        curvature_bound: ArrayLike | None = None,
    ) -> None:
        self._targets = _numbers(targets, "targets")
        q = len(self._targets)
        self._weights = _weights(weights, q)
        self._features = as_feature_map(features, q, gradient, curvature)
        self._slopes = _bounds(slope_bounds, self._features.slope_bounds, q, "slope_bounds")
        self._curvatures = _bounds(
            curvature_bound, self._features.curvature_bounds, q, "curvature_bound"
        )

    def at_scale(self, scale: float) -> Risk:
        if type(self) is not Risk:  # whose features know their derivatives
            return self
        other = with_scale(self, scale, True)
        if other is not self:
            other._features = copy.copy(self._features)
            other._features.difference_scale = scale
        return other

    @property
    def features(self) -> FeatureMap:
        """The map φ: points (n, D) → (q, n)."""
        return self._features

    @property
    def targets(self) -> Array:
        """y, shape (q,)."""
        return self._targets

    @property
    def weights(self) -> Array:
        """w, shape (q,)."""
        return self._weights

    def residual(self, mu: Measure | Array, w: Array | None = None) -> Array:
        """e_q = y_q − ∫φ_q dρ, shape (q,), for a measure, or for points (n, D) and weights (n,)."""
        if isinstance(mu, Measure):
            self.on(mu)
            return self._residual(self._values(mu.points), mu.weights)
        if w is None:
            raise InvalidFunctional("residual needs a measure, or points and their weights")
        return self._residual(self._values(mu), w)

    def value_at_points(self, x: Array, w: Array) -> float:
        return self._value(self._residual(self._values(x), w))

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        return self._slope(self._residual(self._values(x), w)) @ self._values(at)

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        here = self._features.at(x)
        return here.vjp(self._slope(self._residual(here.values, w)))

    def value_and_gradient_at_points(self, x: Array, w: Array) -> tuple[float, Array]:
        here = self._features.at(x)
        e = self._residual(here.values, w)
        return self._value(e), here.vjp(self._slope(e))

    def curvature_at_points(self, x: Array, w: Array) -> Curvature:
        here = self._features.at(x)
        return self._curvature(here, x, w, self._slope(self._residual(here.values, w)))

    def expansion(self, x: Array, w: Array) -> Expansion:
        here = self._features.at(x)
        e = self._residual(here.values, w)
        slope = self._slope(e)
        return Expansion(
            self._value(e), here.vjp(slope), self._curvature(here, x, w, slope)
        )

    def _values(self, x: Array) -> Array:
        values = self._features(x)
        if values.shape != (len(self._targets), len(x)):
            raise InvalidFunctional(
                f"features must have shape {(len(self._targets), len(x))} for {len(x)} points "
                f"and {len(self._targets)} targets, but have shape {values.shape}"
            )
        return values

    def _residual(self, values: Array, w: Array) -> Array:
        if values.shape != (len(self._targets), len(w)):
            raise InvalidFunctional(
                f"features must have shape {(len(self._targets), len(w))}, not {values.shape}"
            )
        e = self._targets - values @ w
        if not np.isfinite(e).all():
            bad = ~np.isfinite(values).all(axis=1)
            raise InvalidFunctional(
                f"{int(bad.sum())} of {len(e)} features answered with NaN or infinity (the first "
                f"is number {int(np.argmax(bad))}): check them at the points of the measure"
            )
        return np.asarray(e)

    def _value(self, e: Array) -> float:
        return float(self._weights @ (e * e))

    def _slope(self, e: Array) -> Array:
        """Coefficients of the features in the first variation."""
        return -2.0 * self._weights * e

    def _curvature(self, here: FeaturesAt, x: Array, w: Array, slope: Array) -> Curvature:
        blocks = w[:, None, None] * here.curvature(slope)
        strengths = 2.0 * self._weights
        if len(strengths) * x.size > _LARGEST_FACTOR:

            def apply(v: Array) -> Array:
                return w[:, None] * here.vjp(strengths * (here.jvp(v) @ w))

            return Curvature(blocks, [Action(apply)])
        factor = np.sqrt(strengths)[:, None, None] * (w[:, None] * here.jacobian())
        return Curvature(blocks, [LowRank(factor, np.ones(len(strengths)))])

    def lower_bound(self) -> float:
        return 0.0

    def convexity_near(self, mu: Measure, radius: float) -> float | None:
        """−2 sup‖Σ_q c_q ∇²φ_q‖ over |c_q| ≤ w_q (|e_q(μ)| + G_q·radius), G bounding the slopes.

        Along ρ_t = ((1−t)x + ty)#π the second derivative of R is at least
        −2 ∫⟨y − x, Σ_q w_q e_q(ρ_t) ∇²φ_q (y − x)⟩dπ, and e_q moves by at most G_q W2(ρ_t, μ). So
        the modulus holds along every coupling whose curve stays in the ball. None without bounds
        on the features' slopes and curvatures.
        """
        if self._curvatures is None or (radius > 0 and self._slopes is None):
            return None
        used = (self._weights > 0) & (self._curvatures > 0)
        largest = np.zeros_like(self._targets)
        largest[used] = np.abs(self.residual(mu)[used])
        if radius > 0 and self._slopes is not None:
            largest[used] += radius * self._slopes[used]
        c = self._weights * largest
        bound = float(c[used] @ self._curvatures[used])
        shared = self._features.hessian_bound(c)
        modulus = -2.0 * (bound if shared is None else min(bound, shared))
        return modulus if np.isfinite(modulus) else None

    def convexity_of_variation(self, mu: Measure) -> float | None:
        """−2 sup‖Σ_q w_q e_q ∇²φ_q‖: that of `convexity_near` with the errors at μ itself."""
        return Risk.convexity_near(self, mu, 0.0)

    def spec(self) -> dict[str, Any]:
        return {
            "name": "Risk",
            **self._features.spec(),
            "targets": array_digest(self._targets),
            "weights": array_digest(self._weights),
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}(q={len(self._targets)})"


def _numbers(values: ArrayLike, name: str) -> Array:
    try:
        array = np.array(values)
        if np.iscomplexobj(array):
            raise InvalidFunctional(f"{name} must be real, not complex")
        array = np.atleast_1d(array).astype(float)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidFunctional):
            raise
        raise InvalidFunctional(f"{name} must be numbers: {error}") from error
    if array.ndim != 1 or array.size == 0:
        raise InvalidFunctional(f"{name} must have shape (q,) with q ≥ 1, not {array.shape}")
    if not np.isfinite(array).all():
        raise InvalidFunctional(f"{name} hold NaN or infinity: remove or replace those entries")
    array.setflags(write=False)
    return array


def _weights(weights: ArrayLike | None, q: int) -> Array:
    array = _numbers(np.full(q, 1.0 / q) if weights is None else weights, "weights")
    if array.shape != (q,):
        raise InvalidFunctional(f"weights must have shape ({q},) as targets, not {array.shape}")
    if (array < 0).any():
        raise InvalidFunctional(
            f"weights must not be negative (smallest entry {array.min():.3g}): subtract another "
            "Risk if that is what you mean"
        )
    return array


def _bounds(given: ArrayLike | None, known: Any, q: int, name: str) -> Array | None:
    """Claimed bounds as (q,), infinite entries allowed; None where nothing is claimed."""
    claim = known if given is None else given
    if claim is None:
        return None
    try:
        array = np.broadcast_to(np.asarray(claim, dtype=float), (q,))
    except (TypeError, ValueError) as error:
        raise InvalidFunctional(f"{name} must be a number or have shape ({q},): {error}") from error
    if np.isnan(array).any() or (array < 0).any():
        raise InvalidFunctional(f"{name} must be bounds ≥ 0, but are {claim!r}")
    return array
