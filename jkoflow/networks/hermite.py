"""Hermite coefficients of r ↦ σ(rG), G ~ N(0, 1): what isotropic populations see of a unit.

h_k(r) = E σ(rG) He_k(G)/√k!. Only even k matter for rotation-invariant laws. For piecewise linear
σ = v_0 + Σ_j D_j (t − t_j)_+ (odd parts aside) they are closed:
h_0 = v_0 + Σ_j D_j g(t_j, r) with g(c, s) = E(sG − c)_+ = sϕ(c/s) − cΦ(−c/s), and
h_k = r Σ_j D_j ϕ(t_j/r) He_{k−2}(t_j/r)/√k!, k ≥ 2. All are analytic in r > 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from ..measures.base import Array
from .activations import Activation, PiecewiseLinear

_FAR = 40.0  # ϕ(40) = 0 in float64
_REACH = 12.5  # |ϕ He_k/√k!| ≤ exp(−g²/4), which is 1e-17 there, for every k (Cramér)


def hermite_functions(x: Array, count: int) -> Array:
    """ϕ(x) He_k(x)/√k! for k < count, shape (count, *x.shape); the recurrence is stable.

    Examples
    --------
    >>> hermite_functions(np.array([0.0]), 3)[:, 0].round(6)
    array([ 0.398942,  0.      , -0.282095])
    """
    result = np.empty((max(count, 2), *x.shape))
    result[0] = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    result[1] = x * result[0]
    for k in range(1, count - 1):
        result[k + 1] = (x * result[k] - np.sqrt(k) * result[k - 1]) / np.sqrt(k + 1)
    return result[:count]


def growth(activation: Activation, terms: int) -> Array:
    """a_m with h_{2m}(r) = a_m r + O(1) for large r, m < terms; zero for a bounded σ."""
    far = np.array([-1e8, 1e8])
    left, right = activation.derivative(far)
    if right == left:
        return np.zeros(terms)
    at_zero = hermite_functions(np.zeros(1), 2 * terms)[::2, 0]
    even = 2.0 * np.arange(1, terms)
    first = at_zero[:1]
    return np.asarray((right - left) * np.concatenate([first, at_zero[:-1] / _root(even)]))


def bounded_part(activation: Activation, r: Array, terms: int) -> Array:
    """h_{2m}(r) − a_m r for m < terms, shape (terms, len(r)).

    Examples
    --------
    >>> from jkoflow.networks.activations import relu
    >>> bool(abs(bounded_part(relu, np.array([2.0]), 3)).max() < 1e-15)
    True
    """
    if isinstance(activation, PiecewiseLinear):
        return _piecewise(activation, r, terms)
    return _by_quadrature(activation, r, terms)


def _piecewise(activation: PiecewiseLinear, r: Array, terms: int) -> Array:
    knots, jumps = activation.knots, np.diff(activation.slopes)
    radius = np.maximum(r, 1e-300)
    with np.errstate(over="ignore"):
        x = np.clip(knots[:, None] / radius, -_FAR, _FAR)
    functions = hermite_functions(x, 2 * terms)[::2]
    result = np.empty((terms, len(r)))
    # v_0 = σ(t_1) − left slope·t_1: the line left of all knots at t = 0
    start = activation.values[0] - activation.slopes[0] * knots[0]
    result[0] = start + jumps @ (r * functions[0] - knots[:, None] * ndtr(-x))
    even = 2.0 * np.arange(1, terms)
    result[1:] = r * np.einsum("j,mjr->mr", jumps, functions[:-1]) / _root(even)[:, None]
    return result - growth(activation, terms)[:, None] * r


def _by_quadrature(activation: Activation, r: Array, terms: int) -> Array:
    """2∫_0^∞ [even part of σ(rg), less its growth] ϕ(g) He_{2m}(g)/√(2m)! dg."""
    g, weight = half_line_rule()
    left, right = activation.derivative(np.array([-1e8, 1e8]))
    t = g[:, None] * r
    even = 0.5 * (activation(t) + activation(-t)) - 0.5 * (right - left) * t
    functions = hermite_functions(g, 2 * terms)[::2]
    return np.asarray(2.0 * (functions * weight) @ even)


def half_line_rule() -> tuple[Array, Array]:
    """Gauss–Legendre panels on (0, 12.5), geometric below 1, where σ(rg) is steep for large r.

    Panels this short give 1e-9 even where a C² activation has its joints.
    """
    x, w = np.polynomial.legendre.leggauss(8)
    near = 2.0 ** (np.arange(-24 * 8, 0) / 8)
    ends = np.concatenate([[0.0], near, np.arange(1.0, _REACH + 0.1, 0.125)])
    length = np.diff(ends)
    nodes = ends[:-1, None] + 0.5 * length[:, None] * (x + 1)
    return nodes.ravel(), (0.5 * length[:, None] * w).ravel()


def _root(even: Any) -> Array:
    """√(k(k−1)), the ratio of √k! and √(k−2)!."""
    return np.asarray(np.sqrt(even * (even - 1)))
