"""The risk of isotropic classes in infinitely many dimensions, as a functional of the radius."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import is_finite
from ..functionals.risk import Risk
from ..status import InvalidFunctional, InvalidProblem
from .activations import Activation
from .hermite import bounded_part, growth
from .reduced_table import RadialTable

_NODES = 512


class LimitRisk(Risk):
    """What `limit_risk` returns: a `Risk` of two features, whose points are radii."""

    def __init__(self, std_plus: float, std_minus: float, activation: Activation) -> None:
        self.std_plus, self.std_minus, self.activation = std_plus, std_minus, activation
        scale = 1.0 / math.sqrt(std_plus * std_minus)
        r = RadialTable.radii(_NODES, scale)
        stds = np.array([std_plus, std_minus])
        values = np.concatenate([bounded_part(activation, s * r, 1) for s in stds])
        table = RadialTable(growth(activation, 1)[0] * stds, values, scale)
        super().__init__(table, [1.0, -1.0], [0.5, 0.5])

    def spec(self) -> dict[str, Any]:
        return {
            "name": "limit_risk",
            "std_plus": self.std_plus,
            "std_minus": self.std_minus,
            "activation": self.activation.spec(),
        }


def limit_risk(std_plus: float, std_minus: float, activation: Activation) -> LimitRisk:
    """The limit d → ∞ of `radial_risk`: R = ½ Σ_± (q̄(τ_±) − (±1))², q̄(τ) = ∫E σ(τ r G) ρ̄(dr).

    In high dimension |x| concentrates at τ_±√d, and two typical inputs of a class are orthogonal:
    of the series of `radial_risk` only the term m = 0 is left. Its points are radii, (n, 1).

    Parameters
    ----------
    std_plus, std_minus : float
        τ_±, standard deviations.
    activation : Activation

    Raises
    ------
    InvalidProblem, InvalidFunctional
        For standard deviations that are not positive, or what is no activation.

    Examples
    --------
    >>> from jkoflow.networks import GaussianClasses, radial_risk, truncated_relu
    >>> many = radial_risk(GaussianClasses(100_000, 1.5, 0.5), truncated_relu)
    >>> at = np.array([[0.5], [2.0]]), np.array([0.5, 0.5])
    >>> limit = limit_risk(1.5, 0.5, truncated_relu)
    >>> abs(many.value_at_points(*at) - limit.value_at_points(*at)) < 1e-4
    True
    """
    for std in (std_plus, std_minus):
        if not (is_finite(std) and std > 0):
            raise InvalidProblem(f"standard deviations must be positive, not {std!r:.100}")
    if not isinstance(activation, Activation):
        raise InvalidFunctional(f"activation must be one of jkoflow.networks', not {activation!r}")
    return LimitRisk(float(std_plus), float(std_minus), activation)


def limit_separation(activation: Activation, upper: float = 100.0) -> float:
    """Δ_∞ in the convention std: up to it a single radius is optimal in the limit d → ∞.

    There the curve r ↦ (q(τ_+ r), q(τ_− r)), q(r) = Eσ(rG), runs through the targets (1, −1): with
    q(r_±) = ±1 this is (1 + Δ)/(1 − Δ) = r_+/r_−. In the convention var it is the ratio's square.
    For the truncated ReLU Δ_∞ = .4742 (Mei, Montanari, Nguyen 2018).

    Raises
    ------
    InvalidProblem
        If q does not rise from below −1 to above 1 on (0, upper).

    Examples
    --------
    >>> from jkoflow.networks import truncated_relu
    >>> round(limit_separation(truncated_relu), 4)
    0.4742
    """
    from scipy.optimize import brentq

    def q(r: float) -> float:
        slope = growth(activation, 1)[0]
        return float(bounded_part(activation, np.array([r]), 1)[0, 0] + slope * r)

    if not (q(1e-6) < -1 and q(upper) > 1):
        raise InvalidProblem("q(r) = Eσ(rG) must rise from below −1 to above 1 on (0, upper)")
    plus, minus = (brentq(lambda r, y=y: q(r) - y, 1e-6, upper, xtol=1e-13) for y in (1.0, -1.0))
    return float((plus - minus) / (plus + minus))
