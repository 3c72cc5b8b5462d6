"""A functional at many measures that differ in their positions only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..measures.base import Array, Measure
from ..measures.many import Laws
from ..status import InvalidFunctional, NotDefined
from .answers import of_the_library
from .base import Functional, Smooth
from .internal import Entropy, Internal, PowerEnergy
from .potential import Potential, QuadraticPotential


class AtMany(NamedTuple):
    """F at K measures, with the sizes from which errors of rounding come.

    ``energy`` (K,); ``gradient`` ∇δF (K, n, d), on Gaussians as `Laws.tangents`; ``slope`` (K,)
    its norm in L²(ρ); ``scale`` (K,), Σ|c_k F_k| + ‖x‖‖∇δS‖, S the smooth part; ``size`` (K,), the
    norms of the gradients of the smooth and the internal part before they cancel.
    """

    energy: Array
    gradient: Array
    slope: Array
    scale: Array
    size: Array


def at_many(F: Functional, laws: Laws) -> AtMany:
    """Value and gradient of F at alike measures, all at once where a term's structure allows it.

    Raises
    ------
    InvalidFunctional
        If an answer is not real and finite, or has another shape.
    NotDefined
        Where cells have an energy and no gradient: fast diffusion, from edges that are tied.

    Examples
    --------
    >>> from jkoflow import Gaussian
    >>> found = at_many(QuadraticPotential(2.0), Laws([Gaussian(0.0, 1.0), Gaussian(3.0, 1.0)]))
    >>> found.energy, found.slope.round(3)
    (array([ 1., 10.]), array([2.   , 6.325]))
    """
    energy, scale, size, inner = np.zeros((4, len(laws)))
    gradients = []
    with np.errstate(all="ignore"):
        for group in (F.smooth, F.internal):
            if not group.terms:
                continue
            found = [(c, *_term(f, laws)) for c, f in group.terms]
            gradients.append(_sum([c * g if c != 1.0 else g for c, _, g in found]))
            length = laws.lengths(gradients[-1])
            size = size + length
            if isinstance(group, Smooth):
                scale = scale + laws.extents * length
            else:
                inner = length
            for c, value, _ in found:
                energy, scale = energy + c * value, scale + np.abs(c * value)
        gradient = _sum(gradients) if gradients else laws.tangents(np.zeros_like(laws.x))
        slope = laws.lengths(gradient) if len(gradients) > 1 else size
    if laws.cells and np.isfinite(energy).all() and not np.isfinite(inner).all():
        raise NotDefined("in cells without length the pressure is infinite: F has no gradient here")
    if not (np.isfinite(energy).all() and np.isfinite(slope).all()):
        raise InvalidFunctional("F or its gradient is NaN or infinite here")
    return AtMany(energy, gradient, slope, scale, size)


def values_at(F: Functional, laws: Laws) -> Array:
    """F at alike measures, (K,), as ``F.value`` gives it up to rounding, without its gradient.

    Raises whatever F raises at any of them.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> mu = Quantiles([0.0, 1.0, 2.0])
    >>> values_at(Entropy(), Laws([mu, mu.with_edges(2 * mu.edges)])).round(6)
    array([-0.693147, -1.386294])
    """
    if not of_the_library(type(F)):
        return np.array([F.value(mu) for mu in laws.measures])
    return _sum([c * _values(f, laws) for c, f in F.terms] or [np.zeros(len(laws))])


def _values(f: Functional, laws: Laws) -> Array:
    """Of one term."""
    kind = type(f)
    if laws.cells and isinstance(f, Internal) and kind.value is Internal.value:
        density = laws.mu.log_mass - laws.mu.volume_slopes(laws.x[..., 0])[0]
        return np.asarray(f.energy_per_mass(density)[0] @ laws.mu.mass)
    if laws.gaussian and kind in _CLOSED and not laws.singular:
        return _CLOSED[kind](f, laws)[0]
    if isinstance(f, Smooth) and kind in (Potential, QuadraticPotential) and laws.mu.kind != "grid":
        return _variations(f.on(laws.mu), laws.w, laws.x) @ laws.w
    return np.array([f.value(mu) for mu in laws.measures])


def _sum(arrays: list[Array]) -> Array:
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total


Part = tuple[Array, Array]


def _term(f: Functional, laws: Laws) -> Part:
    """Values (K,) and gradients of one term."""
    if isinstance(f, Internal) and laws.cells:
        return _on_cells(f, laws.mu, laws.x)
    if laws.gaussian and type(f) in _CLOSED:
        return _CLOSED[type(f)](f, laws)
    x = laws.x
    if isinstance(f, Smooth):
        S = f.on(laws.mu)
        if getattr(S, "linear", False):
            values, gradients = _linear(S, laws.w, x)
        else:
            found = [S.value_and_gradient_at_points(y, laws.w) for y in x]
            values, gradients = np.array([v for v, _ in found]), np.array([g for _, g in found])
    else:
        values = np.array([f.value(nu) for nu in laws.measures])
        gradients = np.array([f.gradient(nu) for nu in laws.measures])
    if np.iscomplexobj(values) or np.iscomplexobj(gradients):
        raise InvalidFunctional(f"{f!r} is complex here")
    if values.shape != (len(laws),) or gradients.shape != x.shape:
        raise InvalidFunctional(
            f"{f!r} gives values of shape {values.shape[1:]} and gradients of shape "
            f"{gradients.shape[1:]}, not () and {x.shape[1:]}"
        )
    return values, laws.tangents(gradients)


def _entropy(f: Any, laws: Laws) -> Part:
    """−½ log det(2πe Σ), and ∇log ρ = −R⁻²(x − m)."""
    values = -0.5 * laws.mu.dim * (np.log(2.0 * np.pi) + 1.0) - np.log(laws.std).sum(axis=1)
    return values, laws.stretches(0.0, -1.0 / laws.std)


def _power(f: Any, laws: Laws) -> Part:
    """E = c/(m−1) ∫ρ^m in closed form, and −P R⁻²(x − m), P = (m−1)E the mean pressure: E falls
    with log det Σ by ½P. Cubature of ∇ρ^(m−1), which is no polynomial, may miss it by half."""
    values = np.array([f.value_on_gaussian(mu) for mu in laws.measures])
    return values, laws.stretches(0.0, -(f.m - 1.0) * values[:, None] / laws.std)


def _quadratic(f: Any, laws: Laws) -> Part:
    """(λ/2)(|m − c|² + tr Σ), and λ(x − c)."""
    away = laws.means - (0.0 if f.center is None else f.center)
    values = 0.5 * f.strength * ((away**2).sum(axis=1) + (laws.std**2).sum(axis=1))
    return values, laws.stretches(f.strength * away, f.strength * laws.std)


_CLOSED: dict[type[Functional], Callable[[Any, Laws], Part]] = {
    Entropy: _entropy,
    PowerEnergy: _power,
    QuadraticPotential: _quadratic,
}
"""Terms whose value and gradient on Gaussians need no cubature."""


def is_exact(F: Functional, laws: Laws) -> bool:
    """Whether value and gradient of F belong together exactly: on Gaussians not those of a user's
    internal energy, whose value is in closed form and whose gradient is taken by cubature."""
    return not laws.gaussian or all(type(f) in _CLOSED for _, f in F.internal.terms)


def gradient_of(F: Functional, mu: Measure) -> Array:
    """∇δF at the points of μ, (n, d); of powers of a Gaussian the affine field −P Σ⁻¹(x − m) that
    is the derivative of their value, and not what cubature would make of ∇ρ^(m−1)."""
    if mu.kind != "gaussian" or not any(type(f) is PowerEnergy for _, f in F.terms):
        return F.gradient(mu)
    return _sum([c * (_pushed(f, mu) if type(f) is PowerEnergy else f.gradient(mu))
                 for c, f in F.terms])  # fmt: skip


def _pushed(f: PowerEnergy, mu: Any) -> Array:
    return np.asarray((f.m - 1.0) * f.value_on_gaussian(mu) * mu.score(mu.points))


def _on_cells(f: Internal, mu: Any, x: Array) -> Part:
    """An internal energy of cells, as a function of the edges."""
    log_volume, left, right = mu.volume_slopes(x[..., 0])
    e, de, _ = f.energy_per_mass(np.subtract(mu.log_mass, log_volume, out=log_volume))
    pressure, w = -mu.mass * de, mu.weights
    gradient = np.empty(x.shape[:2])
    np.multiply(pressure / w[:-1], left, out=gradient[:, :-1])
    gradient[:, -1] = 0.0
    gradient[:, 1:] += np.multiply(pressure / w[1:], right, out=right)
    return np.asarray(e @ mu.mass), gradient[..., None]


def _variations(S: Any, w: Array, x: Array) -> Array:
    """δS at the points of all measures, (K, n), for S that is linear."""
    flat = x.reshape(-1, x.shape[2])
    return np.asarray(S.first_variation_at_points(x[0], w, flat)).reshape(x.shape[:2])


def _linear(S: Any, w: Array, x: Array) -> Part:
    """∫V dρ: points of all measures at once, V from δF up to a constant that one value fixes: the
    least, whose rounding the others then have besides their own."""
    flat = x.reshape(-1, x.shape[2])
    values = _variations(S, w, x) @ w
    k = int(np.argmin(np.abs(values)))
    values = values + (S.value_at_points(x[k], w) - values[k])
    any_weights = np.broadcast_to(1.0 / len(flat), len(flat))
    return values, np.asarray(S.gradient_at_points(flat, any_weights)).reshape(x.shape)
