"""What the functional says about measures, and how far rounding lets it be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..functionals.base import Functional
from ..functionals.many import at_many, gradient_of, is_exact
from ..measures.base import Array, Measure
from ..measures.many import Laws
from ..status import InvalidFunctional, InvalidMeasure
from . import policy


@dataclass(frozen=True)
class Evaluated:
    """F(μ) ± margin and ∇δF ± blur (in L²(ρ)); ``size`` is the norm of the gradient's parts
    before they cancel. ``exact`` is False where a Gaussian's internal energy is not that of its
    cubature, so that value and gradient agree only approximately. ``unit`` is a length that is
    known to matter, where the measure itself may be too small to show one."""

    measure: Measure
    energy: float
    margin: float
    gradient: Array
    blur: float
    size: float
    exact: bool = True
    unit: float = 0.0


def norm(v: Array, w: Array) -> float:
    """(Σ w_i |v_i|²)^½, the norm of L²(ρ)."""
    return float(np.sqrt(w @ np.einsum("ij,ij->i", v, v)))


def nudged(mu: Measure, units: float = 1.0) -> Measure:
    """μ with each coordinate moved by one unit of rounding, or several: up and down in turn, along
    each point and from point to point, lest all move together and F does not see it. Of Gaussians,
    of which that leaves the means where they are, every other point moves by two."""
    x, (i, j) = mu.points, np.indices(mu.points.shape) % 2
    turns = (1.0 - 2.0 * j) * (2.0 - 2.0 * i if mu.kind == "gaussian" else 1.0 - 2.0 * i)
    moved = x * (1.0 + units * policy.EPS * turns)
    return mu.displaced((np.sort(moved, axis=0) if hasattr(mu, "edges") else moved) - x)


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
    parts = [gradient_of(g, mu) for g in (F.smooth, F.internal) if g.terms]
    for part in parts:
        if np.shape(part) != mu.points.shape or np.iscomplexobj(part):
            raise InvalidFunctional(f"the gradient has shape {np.shape(part)}, or is complex")
        if not np.isfinite(part).all():
            raise InvalidFunctional("the gradient holds NaN or infinity here")
    return parts or [np.zeros_like(mu.points)]


def evaluate(F: Functional, mu: Measure) -> Evaluated:
    """Value and gradient with measured rounding errors.

    The gradient's error is what moving every coordinate by one unit of rounding changes, and
    taking its differences, if it has some, over four times the length; the energy's is EPS times
    Σ|c_k F_k| + Σ w|x||∇δF|, and what the same nudge changes.
    """
    with np.errstate(all="ignore"):
        energy, terms = real(F.value(mu)), F.terms
        values = [c * real(f.value(mu)) for c, f in terms] if len(terms) > 1 else [energy]
        parts, w = gradients(F, mu), mu.weights
        scale = float(sum(map(abs, values)) + w @ np.abs((mu.points * parts[0]).sum(axis=1)))
        try:
            there, longer = nudged(mu), F.at_scale(4.0 * F.difference_scale)
            blur = norm(np.asarray(sum(gradients(longer, there)) - sum(parts)), w)
            shift = abs(real(F.value(there)) - energy)
        except (InvalidFunctional, InvalidMeasure):  # too near to the edge of F's domain
            blur = shift = np.inf
    margin = policy.ROUNDING * policy.EPS * scale + 4.0 * shift
    size, gradient = sum(norm(p, w) for p in parts), np.asarray(sum(parts))
    return Evaluated(mu, energy, margin, gradient, 8.0 * blur, size, is_exact(F, Laws([mu])))


class Noise(NamedTuple):
    """Rounding errors of the energy and of the gradient, and the ``parts`` they come from:
    `AtMany`'s scale and size.

    Elsewhere they are in proportion to the parts, but no larger: as a run settles, gradients
    vanish while rounding stays, and what is all of them then is little of those before.
    """

    energy: float
    gradient: float
    parts: tuple[float, float]

    @staticmethod
    def at(F: Functional, mu: Measure) -> Noise:
        """Measured at one measure, as `evaluate` does, with the arithmetic of `at_many`."""
        laws = Laws([mu])
        here = at_many(F, laws)
        try:
            there = at_many(F.at_scale(4.0 * F.difference_scale), moved := Laws([nudged(mu)]))
            blur = laws.apart(here.gradient, moved, there.gradient)[0]
            shift = abs(there.energy[0] - here.energy[0])
            if not here.size[0] and at_many(F, Laws([nudged(mu, 4.0)])).size[0] < 2.0 * blur:
                blur = 0.0  # a gradient that jumps from 0 and stays: a kink, and no rounding
        except (InvalidFunctional, InvalidMeasure):  # too near to the edge of F's domain
            blur = shift = np.inf
        parts = float(here.scale[0]), float(here.size[0])
        return Noise(4.0 * shift, 8.0 * blur, parts)


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


class Stack(NamedTuple):
    """F at K alike measures: ∇δF as in `at_many`, the norm ``size`` (K,) of its parts, and the
    rounding errors that were taken for those of all."""

    laws: Laws
    gradient: Array
    size: Array
    rows: Rows
    noise: Noise


def values_only(F: Functional, laws: Laws) -> Stack:
    """F at densities on a grid, which do not move and need no gradient."""
    values = np.array([[c * real(f.value(mu)) for c, f in F.terms] for mu in laws.measures])
    margin, none = policy.ROUNDING * policy.EPS * np.abs(values).sum(axis=1), np.zeros(len(laws))
    rows = Rows(np.array([real(F.value(mu)) for mu in laws.measures]), margin, none, none, none)
    return Stack(laws, np.zeros((len(laws), 1, 1)), none, rows, Noise(0.0, 0.0, (0.0, 0.0)))


def stack(F: Functional, laws: Laws, noise: Noise | None = None) -> Stack:
    """F at alike measures, with rounding errors measured at the last one unless they are known."""
    if laws.mu.kind == "grid":
        return values_only(F, laws)
    noise = Noise.at(F, laws.measures[-1]) if noise is None else noise
    found = at_many(F, laws)
    shares = [np.where(new < old, new / (old or 1.0), 1.0)
              for old, new in zip(noise.parts, (found.scale, found.size), strict=True)]  # fmt: skip
    margin = policy.ROUNDING * policy.EPS * found.scale + noise.energy * shares[0]
    blur = noise.gradient * shares[1]
    rows = Rows(found.energy, margin, found.slope, blur, laws.extents)
    return Stack(laws, found.gradient, found.size, rows, noise)
