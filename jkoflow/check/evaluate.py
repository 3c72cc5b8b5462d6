"""What the functional says about one measure, and how far rounding lets it be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..functionals.base import Functional
from ..measures.base import Array, Measure
from ..status import InvalidFunctional, InvalidMeasure
from . import policy


@dataclass(frozen=True)
class Evaluated:
    """F(μ) ± margin and ∇δF ± blur (in L²(ρ)); ``size`` is the norm of the gradient's parts
    before they cancel. ``exact`` is False where a Gaussian's internal energy is not that of its
    cubature, so that value and gradient agree only approximately. ``unit`` is a length that is
    known to matter, where the measure itself may be too small to show one. ``scale`` is the sum of
    the absolute values that the energy is made of."""

    measure: Measure
    energy: float
    margin: float
    gradient: Array
    blur: float
    size: float
    exact: bool = True
    unit: float = 0.0
    scale: float = 0.0


def norm(v: Array, w: Array) -> float:
    """(Σ w_i |v_i|²)^½, the norm of L²(ρ)."""
    return float(np.sqrt(w @ np.einsum("ij,ij->i", v, v)))


def nudged(mu: Measure) -> Measure:
    """μ with each coordinate moved by one unit of rounding, up and down in turn."""
    x = mu.points
    signs = 1.0 - 2.0 * (np.arange(x.size) % 2).reshape(x.shape)
    if hasattr(mu, "edges"):
        return mu.displaced(np.sort(x * (1.0 + policy.EPS * signs), axis=0) - x)
    return mu.displaced(policy.EPS * x * signs)


def real(value: object) -> float:
    """The functional's answer as a finite float."""
    if np.iscomplexobj(value) or np.ndim(value) != 0:  # type: ignore[arg-type]
        raise InvalidFunctional(f"F.value must return one real number, but gave {value!r}")
    number = float(value)  # type: ignore[arg-type]
    if not np.isfinite(number):
        raise InvalidFunctional(f"F is {number} here")
    return number


def gradients(F: Functional, mu: Measure) -> list[Array]:
    """∇δF of the smooth and of the internal part at the points of μ, each finite."""
    parts = [g.gradient(mu) for g in (F.smooth, F.internal) if g.terms]
    for part in parts:
        if np.shape(part) != mu.points.shape or np.iscomplexobj(part):
            raise InvalidFunctional(f"the gradient has shape {np.shape(part)}, or is complex")
        if not np.isfinite(part).all():
            raise InvalidFunctional("the gradient holds NaN or infinity here")
    return parts or [np.zeros_like(mu.points)]


def evaluate(F: Functional, mu: Measure) -> Evaluated:
    """Value and gradient with measured rounding errors.

    The gradient's error is what moving every coordinate by one unit of rounding changes; the
    energy's is EPS times Σ|c_k F_k| + Σ w|x||∇δF|, and what the same nudge changes.
    """
    with np.errstate(all="ignore"):
        energy, terms = real(F.value(mu)), F.terms
        values = [c * real(f.value(mu)) for c, f in terms] if len(terms) > 1 else [energy]
        parts = gradients(F, mu)
        w = mu.weights
        scale = sum(abs(v) for v in values)
        scale += float(w @ np.abs(np.einsum("ij,ij->i", mu.points, parts[0])))
        try:
            there = nudged(mu)
            blur = np.asarray(sum(gradients(F, there)) - sum(parts))
            shift = abs(real(F.value(there)) - energy)
        except (InvalidFunctional, InvalidMeasure):  # too near to the edge of F's domain
            blur, shift = np.full_like(parts[0], np.inf), np.inf
    margin = policy.ROUNDING * policy.EPS * scale + 4.0 * shift
    size = sum(norm(p, w) for p in parts)
    gradient, blur_size = np.asarray(sum(parts)), 8.0 * norm(blur, w)
    return Evaluated(
        mu, energy, margin, gradient, blur_size, size, consistent(F, mu), scale=scale
    )


def consistent(F: Functional, mu: Measure) -> bool:
    """Whether value and gradient belong together exactly: not so for most internal energies of
    Gaussians, where the value is in closed form and the gradient taken by cubature."""
    return mu.kind != "gaussian" or {name_of(f) for _, f in F.internal.terms} <= {"Entropy"}


def name_of(f: Functional) -> str:
    """What a simple functional calls itself."""
    return str(f.spec().get("name"))
