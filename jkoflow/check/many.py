"""F at many measures that differ in their positions only: arrays with an axis for the measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..functionals.base import Functional, Smooth
from ..measures.base import Array, Measure
from ..measures.cubature import normal_cubature
from ..status import InvalidFunctional
from .evaluate import evaluate, name_of, real


class Noise(NamedTuple):
    """Rounding errors of the energy and of the gradient, relative to the parts they come from."""

    energy: float
    gradient: float

    @staticmethod
    def at(F: Functional, mu: Measure) -> Noise:
        """Measured at one measure, by `evaluate`."""
        here = evaluate(F, mu)
        return Noise(
            here.margin / here.scale if here.scale > 0 else here.margin,
            here.blur / here.size if here.size > 0 else 0.0,
        )


class Rows(NamedTuple):
    """What is remembered of K measures once the next ones are looked at; arrays of shape (K,).

    Energy and its rounding error, norm of the gradient and its error, norm of the positions.
    """

    energy: Array
    margin: Array
    slope: Array
    blur: Array
    extent: Array

    def before(self, later: Rows) -> Rows:
        """The rows of the measures that come one step before the later ones."""
        return Rows(*(np.append(a[-1:], b[:-1]) for a, b in zip(self, later, strict=True)))

    def last(self) -> Rows:
        """The last of them."""
        return Rows(*(a[-1:].copy() for a in self))


class Laws:
    """K alike measures, with points ``x`` (K, n, d), not to be written to, and weights ``w``.

    Of Gaussians, fields v at the points m + Rz are kept as `coefficients` (Σw v, Σw z vᵀ),
    (K, 1+d, d); ``std`` (K, d) and ``vectors`` (K, d, d) are those of R.
    """

    def __init__(self, measures: Sequence[Any]) -> None:
        self.measures, self.mu, self.w = measures, measures[0], measures[0].weights
        self.gaussian = self.mu.kind == "gaussian"
        if self.gaussian:
            self.std = np.sqrt(np.array([mu.eigen[0] for mu in measures]))
            self.vectors = np.array([mu.eigen[1] for mu in measures])
            self.means = np.array([mu.mean() for mu in measures])

    @cached_property
    def x(self) -> Array:
        """The points."""
        x = np.array([mu.points for mu in self.measures])
        x.setflags(write=False)
        return x

    def __len__(self) -> int:
        return len(self.measures)

    def powers(self, exponent: float) -> Array:
        """R^exponent, (K, d, d)."""
        scaled = self.vectors * (self.std**exponent)[:, None, :]
        return np.asarray(scaled @ np.swapaxes(self.vectors, 1, 2))

    def lengths(self, v: Array) -> Array:
        """‖v‖ in L²(ρ), (K,); of Gaussians, of the tangent vector that the coefficients stand for.

        That vector is b + H(x − m), H symmetric. The points are m + Rz, and a change of R by δR
        changes the objective by ⟨G, δR⟩, G the second coefficient; so HR + RH = G + Gᵀ, and the
        squared norm is |b|² + tr(HR²H).
        """
        if not self.gaussian:
            return norms(v, self.w)
        G = np.swapaxes(self.vectors, 1, 2) @ v[:, 1:] @ self.vectors
        G = G + np.swapaxes(G, 1, 2)
        sums = self.std[:, :, None] + self.std[:, None, :]
        H = np.divide(G, sums, out=np.zeros_like(G), where=sums > 0) * self.std[:, None, :]
        return np.asarray(np.sqrt((v[:, 0] ** 2).sum(axis=1) + (H * H).sum(axis=(1, 2))))

    def extents(self) -> Array:
        """‖X‖ in L²(ρ)."""
        if not self.gaussian:
            return norms(self.x, self.w)
        return np.asarray(np.sqrt((self.means**2).sum(axis=1) + (self.std**2).sum(axis=1)))


@dataclass(frozen=True)
class Stack:
    """F at K alike measures: ∇δF (K, n, d), or its coefficients, and the norm ``size`` (K,) of
    the gradient's parts before they cancel."""

    laws: Laws
    gradient: Array
    size: Array
    rows: Rows


def alike(mu: Any, nu: Any) -> bool:
    """Whether two measures can stand in one stack."""
    return (
        type(mu) is type(nu)
        and mu.dim == nu.dim
        and _same(mu.weights, nu.weights)
        and _same(getattr(mu, "mass", None), getattr(nu, "mass", None))
    )


def _same(a: Any, b: Any) -> bool:
    return a is b or np.array_equal(a, b)


def stack(F: Functional, laws: Laws, noise: Noise) -> Stack:
    """Value and gradient of F at alike measures, and their rounding errors.

    Raises
    ------
    InvalidFunctional
        If an answer is not real and finite, or has another shape.
    """
    energy, scale, size = np.zeros((3, len(laws)))
    total: Array | float = 0.0
    with np.errstate(all="ignore"):
        extent = laws.extents()
        groups = [group for group in (F.smooth, F.internal) if group.terms]
        for group in groups:
            found = [_weighted(c, _part(f, laws)) for c, f in group.terms]
            gradient = found[0][1] if len(found) == 1 else np.sum([g for _, g in found], axis=0)
            length = laws.lengths(gradient)
            total, size = gradient + total if np.ndim(total) else gradient, size + length
            scale = scale + (extent * length if isinstance(group, Smooth) else 0.0)
            for value, _ in found:
                energy, scale = energy + value, scale + np.abs(value)
        slope = laws.lengths(np.asarray(total)) if len(groups) > 1 else size
    if not (np.isfinite(energy).all() and np.isfinite(slope).all()):
        raise InvalidFunctional("F or its gradient is NaN or infinite here")
    rows = Rows(energy, noise.energy * scale, slope, noise.gradient * size, extent)
    return Stack(laws, np.asarray(total) if groups else np.zeros_like(laws.x), size, rows)


Part = tuple[Array, Array]


def _weighted(c: float, part: Part) -> Part:
    return part if c == 1.0 else (c * part[0], c * part[1])


def _part(f: Functional, laws: Laws) -> Part:
    """Values (K,) and gradients of one term, at once where its structure allows for it."""
    mu = laws.mu
    if hasattr(f, "energy_per_mass") and hasattr(mu, "volume_slopes"):
        return _on_cells(f, mu, laws.x)
    if laws.gaussian and name_of(f) in _CLOSED:
        return _CLOSED[name_of(f)](f, laws)
    x = laws.x
    if isinstance(f, Smooth):
        S = f.on(mu)
        if getattr(S, "linear", False):
            values, gradients = _linear(S, laws.w, x)
        else:
            found = [S.value_and_gradient_at_points(y, laws.w) for y in x]
            values = np.array([real(v) for v, _ in found])
            gradients = np.array([g for _, g in found])
    else:
        values = np.array([real(f.value(nu)) for nu in laws.measures])
        gradients = np.array([f.gradient(nu) for nu in laws.measures])
    if gradients.shape != x.shape or np.iscomplexobj(gradients) or np.iscomplexobj(values):
        raise InvalidFunctional(f"the gradient has shape {gradients.shape[1:]}, or F is complex")
    return values, coefficients(mu.dim, gradients) if laws.gaussian else gradients


def _entropy(f: Functional, laws: Laws) -> Part:
    """−½ log det(2πe Σ), and the coefficients of ∇log ρ = −R⁻¹z."""
    values = -0.5 * laws.mu.dim * (np.log(2.0 * np.pi) + 1.0) - np.log(laws.std).sum(axis=1)
    inverse = laws.powers(-1.0)
    return values, np.concatenate([np.zeros_like(inverse[:, :1]), -inverse], axis=1)


def _quadratic(f: Functional, laws: Laws) -> Part:
    """(λ/2)(|m − c|² + tr Σ), and the coefficients of λ(x − c)."""
    spec, strength = f.spec(), f.spec()["strength"]
    away = laws.means - (0.0 if spec["center"] is None else np.array(spec["center"]))
    values = 0.5 * strength * ((away**2).sum(axis=1) + (laws.std**2).sum(axis=1))
    return values, strength * np.concatenate([away[:, None], laws.powers(1.0)], axis=1)


_CLOSED = {"Entropy": _entropy, "QuadraticPotential": _quadratic}
"""Terms whose value and gradient on Gaussians need no cubature."""


def _on_cells(f: Any, mu: Any, x: Array) -> Part:
    """An internal energy of cells, as a function of the edges."""
    log_volume, left, right = mu.volume_slopes(x[..., 0])
    e, de, _ = f.energy_per_mass(mu.log_mass - log_volume)
    pressure, w = -mu.mass * de, mu.weights
    gradient = np.zeros(x.shape[:2])
    gradient[:, :-1] = pressure / w[:-1] * left
    gradient[:, 1:] += pressure / w[1:] * right
    return e @ mu.mass, gradient[..., None]


def _linear(S: Any, w: Array, x: Array) -> Part:
    """∫V dρ: points of all measures at once, V from δF up to a constant that one value fixes."""
    flat = x.reshape(-1, x.shape[2])
    V = S.first_variation_at_points(x[0], w, flat).reshape(x.shape[:2])
    values = V @ w
    values += real(S.value_at_points(x[0], w)) - values[0]
    any_weights = np.broadcast_to(1.0 / len(flat), len(flat))
    return values, np.asarray(S.gradient_at_points(flat, any_weights)).reshape(x.shape)


def coefficients(dim: int, v: Array) -> Array:
    """(Σw v, Σw z vᵀ), (K, 1+d, d), of fields v at the points m + Σ^½z of Gaussians."""
    z, w = normal_cubature(dim)
    return np.asarray(np.vstack([w, (z * w[:, None]).T]) @ v)


def norms(v: Array, w: Array) -> Array:
    """(Σ w_i |v_ki|²)^½ for v of shape (K, n, d)."""
    squares = v * v
    return np.sqrt((squares[..., 0] if v.shape[-1] == 1 else squares.sum(axis=-1)) @ w)
