"""Exact population risks as functionals of reduced laws: of the radius, for isotropic classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import is_finite
from ..functionals.base import Smooth
from ..functionals.risk import Risk
from ..measures.base import Array, Measure
from ..status import InvalidFunctional, NotDefined
from .activations import Activation, PiecewiseLinear
from .hermite import bounded_part, growth
from .populations import GaussianClasses
from .reduced_table import RadialTable

_NODES = 512  # of the table; the interpolation error is below 1e-10 of the features' size
_MOST_TERMS = {True: 1024, False: 128}  # piecewise linear σ in closed form; others by quadrature


class RadialRisk(Risk):
    """What `radial_risk` returns: a `Risk` whose points are radii.

    ``accuracy`` bounds what its compression leaves out, ``truncation`` estimates what the Hermite
    series left out before; both as parts of R that are missing, for every law of the radius.
    """

    def __init__(
        self, classes: GaussianClasses, activation: Activation, accuracy: float
    ) -> None:
        self.classes, self.activation, self.accuracy = classes, activation, accuracy
        table, self.truncation = _compressed_table(classes, activation, accuracy)
        q = len(table.slope_bounds)  # type: ignore[arg-type]
        targets = np.zeros(q)
        targets[:2] = [1.0, -1.0]
        weights = np.ones(q)
        weights[:2] = 0.5
        super().__init__(table, targets, weights)

    def on(self, mu: Measure) -> Smooth:
        if mu.points.shape[1] != 1:
            raise NotDefined(
                "a radial risk is a functional of the law of |θ|: use Radial, not "
                f"{type(mu).__name__} in R^{mu.points.shape[1]}"
            )
        if mu.points.min() < 0:  # where the features are no continuation of what they are
            raise NotDefined("a radial risk is a functional of a law of |θ|, which is not negative")
        if mu.kind == "radial" and mu.dim != self.classes.dim:
            raise NotDefined(
                f"this risk is for classes in R^{self.classes.dim}, but the radial law lives in "
                f"R^{mu.dim}"
            )
        return self

    def spec(self) -> dict[str, Any]:
        # by the question, not by the table, whose last digits depend on the linear algebra used
        return {
            "name": "radial_risk",
            "classes": self.classes.spec(),
            "activation": self.activation.spec(),
            "accuracy": self.accuracy,
        }

    def __repr__(self) -> str:
        return f"radial_risk({self.classes!r}, {self.activation!r})"


def radial_risk(
    classes: GaussianClasses, activation: Activation, *, accuracy: float = 1e-9
) -> RadialRisk:
    """The population risk E(y − ∫σ(⟨w, x⟩)ρ(dw))² for rotation-invariant ρ and isotropic classes.

    With h_k(r) = Eσ(rG)He_k(G)/√k! and μ_{2m} = (2m−1)!!/[d(d+2)…(d+2m−2)],

        R = ½ Σ_± [(∫h_0(τ_± r)dρ̄ − y)² + Σ_{m≥1} μ_{2m} (∫h_{2m}(τ_± r)dρ̄)²]

    for the law ρ̄ of r = |w| (Mei, Montanari, Nguyen 2018, by Parseval). The first two features are
    h_0(τ_± r), with targets ±1 and weights ½. The others have target 0, so they may be rotated:
    the singular vectors of the whole series that matter at the given accuracy are kept: 10
    features for d = 40, where Gauss quadrature over |x| needs 26 for the same accuracy.

    Parameters
    ----------
    classes : GaussianClasses
        Isotropic: ``active`` is None or dim.
    activation : Activation
    accuracy : float
        What may be missing of R/(1 + r²) for every radius (of R itself for bounded σ). In
        dimension 1 to 4 the series of a σ with kinks converges slowly: see ``.truncation``.

    Returns
    -------
    RadialRisk

    Raises
    ------
    NotDefined
        For classes that are not isotropic.
    InvalidFunctional
        For an activation or an accuracy that is not one.

    Examples
    --------
    >>> from jkoflow import Radial
    >>> from jkoflow.networks import GaussianClasses, truncated_relu
    >>> R = radial_risk(GaussianClasses.std(40, 0.8), truncated_relu)
    >>> round(R.value(Radial.normal(0.8 / 40**0.5, 40, 500)), 3)
    1.704
    """
    if not isinstance(classes, GaussianClasses):
        raise InvalidFunctional(f"classes must be GaussianClasses, not {classes!r}")
    if not classes.isotropic:
        raise NotDefined(
            f"{classes!r} is not isotropic: radial_risk needs active=None; for ReLU units and "
            "anisotropic classes there is reduced_relu_risk"
        )
    if not isinstance(activation, Activation):
        raise InvalidFunctional(f"activation must be one of jkoflow.networks', not {activation!r}")
    if not (is_finite(accuracy) and accuracy > 0):
        raise InvalidFunctional(f"accuracy must be positive, not {accuracy!r}")
    return RadialRisk(classes, activation, float(accuracy))


def sphere_moments(dim: int, count: int) -> Array:
    """E u_1^{2m} for u uniform on the sphere of R^dim, m = 1 … count.

    Examples
    --------
    >>> sphere_moments(3, 2)
    array([0.33333333, 0.2       ])
    """
    m = np.arange(1, count + 1)
    return np.asarray(np.cumprod((2 * m - 1) / (dim + 2 * m - 2.0)))


def _compressed_table(
    classes: GaussianClasses, activation: Activation, accuracy: float
) -> tuple[RadialTable, float]:
    stds = _spreads(classes)
    scale = 1.0 / math.sqrt(stds[0] * stds[1])
    r = RadialTable.radii(_NODES, scale)
    size = 1.0 if not growth(activation, 1).any() else 1.0 + r
    terms, truncation, bounded, linear = _enough_terms(classes, activation, r, size, accuracy)
    root = np.sqrt(0.5 * sphere_moments(classes.dim, terms - 1))[:, None]
    tails = np.concatenate([root * bounded[0][1:], root * bounded[1][1:]])
    slopes = np.concatenate([root[:, 0] * linear[0][1:], root[:, 0] * linear[1][1:]])
    directions = _principal((tails + slopes[:, None] * r) / size, accuracy)
    values = np.concatenate([bounded[0][:1], bounded[1][:1], directions.T @ tails])
    growths = np.concatenate([linear[0][:1], linear[1][:1], directions.T @ slopes])
    return RadialTable(growths, values, scale), truncation


def _enough_terms(
    classes: GaussianClasses, activation: Activation, r: Array, size: Any, accuracy: float
) -> tuple[int, float, list[Array], list[Array]]:
    """Double the number of terms until their second half adds less than a quarter of accuracy."""
    terms, most = 32, _MOST_TERMS[isinstance(activation, PiecewiseLinear)]
    while True:
        bounded = [bounded_part(activation, std * r, terms) for std in _spreads(classes)]
        linear = [growth(activation, terms) * std for std in _spreads(classes)]
        half = slice(terms // 2, None)
        moments = 0.5 * sphere_moments(classes.dim, terms - 1)[terms // 2 - 1 :]
        energy = sum(
            moments @ (b[half] + a[half, None] * r) ** 2
            for a, b in zip(linear, bounded, strict=True)
        )
        added = float((energy / np.square(size)).max())
        if added <= 0.25 * accuracy or terms >= most:
            return terms, added, bounded, linear
        terms *= 2


def _spreads(classes: GaussianClasses) -> tuple[float, float]:
    return classes.std_plus, classes.std_minus


def _principal(functions: Array, accuracy: float) -> Array:
    """Orthonormal combinations of the rows that leave Σ f² ≤ accuracy in every column."""
    u = np.linalg.svd(functions[:, ::2], full_matrices=False)[0]
    kept = (u.T @ functions) ** 2
    left = (functions**2).sum(axis=0) - np.cumsum(kept, axis=0)
    enough = np.flatnonzero(left.max(axis=1) <= accuracy)
    count = int(enough[0]) + 1 if enough.size else u.shape[1]
    if (functions**2).sum(axis=0).max() <= accuracy:
        count = 0
    return u[:, :count]
