"""F at many measures that differ in their positions only: arrays with an axis for the measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..functionals.base import Functional, Smooth
from ..measures.base import Array, Measure
from ..measures.cubature import normal_cubature
from ..status import InvalidFunctional
from .evaluate import evaluate, real

Measures = Sequence[Any]


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


@dataclass(frozen=True)
class Stack:
    """K measures of one kind with the same weights, and F there.

    ``gradient`` is ∇δF at the points, (K, n, d); that of Gaussians in `coefficients`,
    (K, 1+d, d). ``size`` (K,) is the norm of its parts before they cancel.
    """

    measures: Measures
    x: Array
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


def positions(measures: Measures) -> Array:
    """The points of alike measures, (K, n, d), not to be written to."""
    x = np.array([mu.points for mu in measures])
    x.setflags(write=False)
    return x


def stack(F: Functional, measures: Measures, x: Array, noise: Noise) -> Stack:
    """Value and gradient of F at alike measures with points x, and their rounding errors.

    Raises
    ------
    InvalidFunctional
        If an answer is not real and finite, or has another shape.
    """
    zero = np.zeros(len(x))
    energy, scale, size, gradients = zero, zero, zero, []
    with np.errstate(all="ignore"):
        extent = _extents(measures, x)
        for group in (F.smooth, F.internal):
            found = [_weighted(c, _part(f, measures, x)) for c, f in group.terms]
            if not found:
                continue
            gradients.append(sum(g for _, g in found))
            length = lengths(measures, gradients[-1])
            size = size + length
            scale = scale + (extent * length if isinstance(group, Smooth) else 0.0)
            for value, _ in found:
                energy, scale = energy + value, scale + np.abs(value)
        total = np.asarray(sum(gradients[1:], gradients[0]) if gradients else 0.0 * x)
        slope = lengths(measures, total) if len(gradients) > 1 else size
    if not (np.isfinite(energy).all() and np.isfinite(slope).all()):
        raise InvalidFunctional("F or its gradient is NaN or infinite here")
    rows = Rows(energy, noise.energy * scale, slope, noise.gradient * size, extent)
    return Stack(measures, x, total, size, rows)


Part = tuple[Array, Array]


def _weighted(c: float, part: Part) -> Part:
    return part if c == 1.0 else (c * part[0], c * part[1])


def _part(f: Functional, measures: Measures, x: Array) -> Part:
    """Values (K,) and gradients of one term, at once where its structure allows for it."""
    mu = measures[0]
    S = f.on(mu) if isinstance(f, Smooth) else None
    if hasattr(f, "energy_per_mass") and hasattr(mu, "volume_slopes"):
        return _on_cells(f, mu, x)
    if getattr(S, "linear", False):
        values, gradients = _linear(S, mu.weights, x)
    elif S is not None:
        found = [S.value_and_gradient_at_points(y, mu.weights) for y in x]
        values, gradients = [real(v) for v, _ in found], np.array([g for _, g in found])
    else:
        values = [real(f.value(nu)) for nu in measures]
        if f.spec().get("name") == "Entropy" and mu.kind == "gaussian":
            return np.array(values), np.array([_entropic(nu) for nu in measures])
        gradients = np.array([f.gradient(nu) for nu in measures])
    if gradients.shape != x.shape or np.iscomplexobj(gradients) or np.iscomplexobj(values):
        raise InvalidFunctional(f"the gradient has shape {gradients.shape[1:]}, or F is complex")
    return np.array(values), coefficients(mu.dim, gradients) if mu.kind == "gaussian" else gradients


def _on_cells(f: Any, mu: Any, x: Array) -> Part:
    """An internal energy of cells, as a function of the edges."""
    log_volume, left, right = mu.volume_slopes(x[..., 0])
    e, de, _ = f.energy_per_mass(mu.log_mass - log_volume)
    pressure = mu.mass * de
    gradient = np.zeros(x.shape[:2])
    gradient[:, :-1] -= pressure * left
    gradient[:, 1:] -= pressure * right
    gradient /= mu.weights
    return e @ mu.mass, gradient[..., None]


def _linear(S: Any, w: Array, x: Array) -> Part:
    """∫V dρ: points of all measures at once, V from δF up to a constant that one value fixes."""
    flat = x.reshape(-1, x.shape[2])
    V = S.first_variation_at_points(x[0], w, flat).reshape(x.shape[:2])
    values = V @ w
    values += real(S.value_at_points(x[0], w)) - values[0]
    return values, np.asarray(S.gradient_at_points(flat, np.tile(w, len(x)))).reshape(x.shape)


def coefficients(dim: int, v: Array) -> Array:
    """(Σw v, Σw z vᵀ), (K, 1+d, d), of fields v at the points m + Σ^½z of Gaussians."""
    z, w = normal_cubature(dim)
    return np.asarray(np.vstack([w, (z * w[:, None]).T]) @ v)


def _entropic(mu: Any) -> Array:
    """`coefficients` of ∇log ρ = −Σ^{-½}z."""
    values, vectors = mu.eigen
    return np.vstack([np.zeros(mu.dim), -(vectors / np.sqrt(values)) @ vectors.T])


def lengths(measures: Measures, v: Array) -> Array:
    """‖v‖ in L²(ρ), (K,), of fields at the points (K, n, d), of Gaussians by `affine_norms`."""
    if measures[0].kind == "gaussian":
        return affine_norms(measures, v)
    return norms(v, measures[0].weights)


def norms(v: Array, w: Array) -> Array:
    """(Σ w_i |v_ki|²)^½ for v of shape (K, n, d)."""
    squares = v * v
    return np.sqrt((squares[..., 0] if v.shape[-1] == 1 else squares.sum(axis=-1)) @ w)


def affine_norms(measures: Measures, v: Array) -> Array:
    """Norms of the tangent vectors b + H(x − m), H symmetric, that `coefficients` (b, G) stand for.

    The points are m + Rz, and a change of R by δR changes the objective by ⟨G, δR⟩; so
    HR + RH = G + Gᵀ, and the squared norm is |b|² + tr(HR²H).
    """
    s = np.sqrt(np.array([mu.eigen[0] for mu in measures]))
    U = np.array([mu.eigen[1] for mu in measures])
    G = np.swapaxes(U, 1, 2) @ v[:, 1:] @ U
    sums = s[:, :, None] + s[:, None, :]
    H = np.divide(G + np.swapaxes(G, 1, 2), sums, out=np.zeros_like(G), where=sums > 0)
    scaled = H * s[:, None, :]
    squared = (v[:, 0] ** 2).sum(axis=1) + (scaled * scaled).sum(axis=(1, 2))
    return np.asarray(np.sqrt(squared))


def _extents(measures: Measures, x: Array) -> Array:
    """‖X‖ in L²(ρ)."""
    mu = measures[0]
    if mu.kind != "gaussian":
        return norms(x, mu.weights)
    squares = [nu.mean() @ nu.mean() + nu.cov().trace() for nu in measures]
    return np.sqrt(np.array(squares))
