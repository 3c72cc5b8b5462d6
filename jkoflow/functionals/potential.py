"""Linear functionals: ∫V dρ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite
from ..measures.base import Array, Measure, a_measure, finite_array
from ..measures.grid import Grid
from ..status import InvalidFunctional, InvalidMeasure, NotDefined
from .answers import answer_of, claimed, require_functions
from .base import Smooth
from .curvature import Curvature
from .differences import difference_gradient, difference_hessian
from .grid_terms import ObstructedPotential
from .identity import describe
from .scale import with_scale

PointFunction = Callable[[Array], ArrayLike]


class Potential(Smooth):
    """∫ V dρ.

    Parameters
    ----------
    V : callable
        (n, d) → (n,). On a radial law the points are radii, (n, 1). On a grid V may be +∞ in
        obstacles, where there must be no mass.
    gradient, hessian : callable, optional
        (n, d) → (n, d) and (n, d) → (n, d, d); central differences where not given.
    convexity : float, optional
        Claimed λ with ∇²V ≥ λ; the judge attacks it.
    lower_bound : float, optional
        Claimed lower bound of V.

    Raises
    ------
    InvalidFunctional
        If V answers with a wrong shape, complex or non-finite values.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> F = Potential(lambda x: (x**4).sum(axis=1), gradient=lambda x: 4 * x**3)
    >>> mu = Particles([[1.0], [-2.0]])
    >>> F.value(mu), F.gradient(mu).ravel()
    (8.5, array([  4., -32.]))
    """

    convex_in_mixtures = True
    linear = True

    def __init__(
        self,
        V: PointFunction,
        gradient: PointFunction | None = None,
        hessian: PointFunction | None = None,
        convexity: float | None = None,
        lower_bound: float | None = None,
    ) -> None:
        if not callable(V):
            raise InvalidFunctional(f"V must be a function of points (n, d), not {V!r}")
        require_functions(gradient=gradient, hessian=hessian)
        self.V, self.V_gradient, self.V_hessian = V, gradient, hessian
        self.convexity = claimed(convexity, "convexity")
        self._lower_bound = claimed(lower_bound, "lower_bound")

    def at_scale(self, scale: float) -> Potential:
        return with_scale(self, scale, self.V_gradient is None or self.V_hessian is None)

    def lower_bound(self) -> float | None:
        return self._lower_bound

    def convexity_of_variation(self, mu: Measure) -> float | None:
        return self.convexity

    def spec(self) -> dict[str, Any]:
        return {"name": "Potential", "V": describe(self.V), "convexity": self.convexity}

    def __repr__(self) -> str:
        return f"Potential({getattr(self.V, '__name__', self.V)!s})"

    def _values(self, x: Array) -> Array:
        return checked(self.V, x, (len(x),), "V")

    def on(self, mu: Measure) -> Smooth:
        return ObstructedPotential(self) if isinstance(mu, Grid) else self

    def extended(self, x: Array) -> Array:
        """V, which may be +∞ here: obstacles on a grid."""
        values = answer_of(self.V, (x,), (len(x),), "V")
        if np.isnan(values).any() or (values == -np.inf).any():
            raise InvalidFunctional(f"V answered with NaN or −∞ at {_first_bad(values, x)}")
        return values

    def value_at_points(self, x: Array, w: Array) -> float:
        return float(w @ self._values(x))

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        return self._values(at)

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        if self.V_gradient is None:
            return difference_gradient(self._values, x, self.difference_scale)
        return checked(self.V_gradient, x, x.shape, "gradient of V")

    def curvature_at_points(self, x: Array, w: Array) -> Curvature:
        shape = (*x.shape, x.shape[1])
        if self.V_hessian is not None:
            hessian = checked(self.V_hessian, x, shape, "hessian of V")
        else:
            gradient = lambda p: self.gradient_at_points(p, w)  # noqa: E731
            hessian = difference_hessian(gradient, x, self.difference_scale)
        return Curvature(w[:, None, None] * hessian)


class QuadraticPotential(Smooth):
    """(λ/2) ∫ |x − center|² dρ.

    Parameters
    ----------
    strength : float
        λ; negative is allowed and makes the functional concave along geodesics.
    center : array_like, shape (d,), optional
        The origin if not given. Radial laws admit only the origin.

    Examples
    --------
    >>> from jkoflow import Gaussian
    >>> QuadraticPotential(3.0).value(Gaussian([0.0], [[2.0]]))
    3.0
    """

    convex_in_mixtures = True
    linear = True

    def __init__(self, strength: float, center: ArrayLike | None = None) -> None:
        if not is_finite(strength):
            raise InvalidFunctional(f"strength must be a finite number, not {strength!r:.100}")
        self.strength = float(strength)
        self.center = None if center is None else _center(center)
        self.convexity = self.strength
        self.concavity = self.strength

    def lower_bound(self) -> float | None:
        return 0.0 if self.strength >= 0 else None

    def convexity_of_variation(self, mu: Measure) -> float | None:
        return self.strength

    def spec(self) -> dict[str, Any]:
        center = None if self.center is None else self.center.tolist()
        return {"name": "QuadraticPotential", "strength": self.strength, "center": center}

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center.tolist()}"
        return f"QuadraticPotential({self.strength:g}{center})"

    def on(self, mu: Measure) -> Smooth:
        if mu.kind == "radial" and self.center is not None and self.center.any():
            raise NotDefined("a radial law admits a quadratic potential about the origin only")
        return QuadraticPotential(self.strength) if mu.kind == "radial" else self

    def _centred(self, x: Array) -> Array:
        if self.center is None:
            return x
        if self.center.shape != (x.shape[1],):
            raise InvalidFunctional(
                f"center has shape {self.center.shape}, but the points live in R^{x.shape[1]}"
            )
        return x - self.center

    def value(self, mu: Measure) -> float:
        if a_measure(mu).kind != "gaussian":
            return super().value(mu)
        away = self._centred(mu.mean()[None])[0]  # (λ/2)(|m − c|² + tr Σ): no cubature needed
        return 0.5 * self.strength * float(away @ away + np.trace(mu.cov()))

    def value_at_points(self, x: Array, w: Array) -> float:
        z = self._centred(x)
        return 0.5 * self.strength * float(w @ np.einsum("ij,ij->i", z, z))

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        z = self._centred(at)
        return 0.5 * self.strength * np.einsum("ij,ij->i", z, z)

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        return self.strength * self._centred(x)

    def curvature_at_points(self, x: Array, w: Array) -> Curvature:
        blocks = (self.strength * w)[:, None, None]
        return Curvature(blocks if x.shape[1] == 1 else blocks * np.eye(x.shape[1]))

    def value_and_gradient_at_points(self, x: Array, w: Array) -> tuple[float, Array]:
        z = self._centred(x)
        gradient = self.strength * z
        return 0.5 * float(w @ np.einsum("ij,ij->i", z, gradient)), gradient


def _center(center: ArrayLike) -> Array:
    try:
        point = np.atleast_1d(finite_array(center, "center"))
    except InvalidMeasure as error:
        raise InvalidFunctional(str(error)) from error
    if point.ndim != 1 or point.size == 0:
        raise InvalidFunctional(f"center must have shape (d,), not {point.shape}")
    return point


def checked(f: PointFunction, x: Array, shape: tuple[int, ...], name: str) -> Array:
    """f(x) as a real finite array of the wanted shape, or an error that says what came instead."""
    answer = answer_of(f, (x,), shape, name)
    if not np.isfinite(answer).all():
        raise InvalidFunctional(f"{name} answered with NaN or infinity at {_first_bad(answer, x)}")
    return answer


def _first_bad(answer: Array, x: Array) -> str:
    bad = ~np.isfinite(answer.reshape(len(x), -1)).all(axis=1)
    return f"x = {x[int(np.argmax(bad))].tolist()} (and {int(bad.sum()) - 1} other points)"
