"""What a functional is: a value, a first variation, a Wasserstein gradient; and its algebra."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite
from ..measures.base import Array, Measure, a_measure
from ..status import InvalidFunctional, MissingStructure
from .answers import answer_of, of_the_library, points_at
from .curvature import Curvature


class Functional(ABC):
    """F : P(R^d) → R ∪ {+∞}, with the structure that steppers and the judge may use.

    ``value(mu)`` is F(ρ). ``first_variation(mu, at)`` is δF/δρ at points (m, d), up to a constant.
    ``gradient(mu)`` is the Wasserstein gradient ∇δF/δρ at ``mu.points``: seen as a function of
    the points, ∂F/∂x_i = w_i gradient_i. Functionals add, and scale by real numbers.
    """

    __array_ufunc__ = None  # an array times a functional is an error, not an array of functionals

    convexity: float | None = None
    """Claimed modulus λ along generalised geodesics; None where nothing is claimed."""

    convex_in_mixtures: bool | None = None
    """Whether ρ ↦ F(ρ) is claimed convex along (1−s)ρ + sν; None where nothing is claimed."""

    difference_scale: float = 1.0
    """A length on which F changes: differences, where they stand for derivatives, are taken over
    a small part of it."""

    @abstractmethod
    def value(self, mu: Measure) -> float: ...

    @abstractmethod
    def first_variation(self, mu: Measure, at: ArrayLike) -> Array: ...

    @abstractmethod
    def gradient(self, mu: Measure) -> Array: ...

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Identity of the functional: its name and parameters, JSON without floats lost."""

    def at_scale(self, scale: float) -> Functional:
        """F with this `difference_scale`; F itself where no differences are taken."""
        return self

    def convexity_near(self, mu: Measure, radius: float) -> float | None:
        """A claimed modulus valid on the W2 ball of this radius around ``mu``."""
        return self.convexity

    def lower_bound(self) -> float | None:
        """A number below every value, or None where none is claimed."""
        return None

    def lower_bound_near(self, mu: Measure, radius: float) -> float | None:
        """A claimed lower bound on the W2 ball of this radius around ``mu``.

        Convex in the radius and not increasing, as a constant is.
        """
        return self.lower_bound()

    def convexity_of_variation(self, mu: Measure) -> float | None:
        """A claimed λ with y ↦ δF/δρ(y), at ``mu``, λ-convex on all of space; None: no claim."""
        return None

    @property
    def terms(self) -> tuple[tuple[float, Functional], ...]:
        """The functional as a sum of (coefficient, simple functional)."""
        return ((1.0, self),)

    @property
    def smooth(self) -> Smooth:
        """The part that needs weighted points only."""
        return SmoothSum([(c, f) for c, f in self.terms if isinstance(f, Smooth)])

    @property
    def internal(self) -> Functional:
        """The part that needs a density."""
        return Sum([(c, f) for c, f in self.terms if not isinstance(f, Smooth)])

    def __add__(self, other: Functional) -> Functional:
        if not isinstance(other, Functional):
            return NotImplemented
        return make_sum([*self.terms, *other.terms])

    def __radd__(self, other: object) -> Functional:
        """For ``sum([F, G])``, which begins with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __mul__(self, c: float) -> Functional:
        if not isinstance(c, (int, float, np.integer, np.floating)):
            return NotImplemented
        if not is_finite(c):
            raise InvalidFunctional(
                f"a functional can only be scaled by a finite number, not {c!r:.100}"
            )
        return make_sum([(float(c) * b, f) for b, f in self.terms])

    __rmul__ = __mul__

    def __truediv__(self, c: float) -> Functional:
        if not isinstance(c, (int, float, np.integer, np.floating)):
            return NotImplemented
        if c == 0 or c != c:
            raise InvalidFunctional(f"a functional cannot be divided by {c}")
        return self * (1.0 / float(c) if is_finite(c) else 0.0)

    def __sub__(self, other: Functional) -> Functional:
        return self + (-1.0) * other

    def __neg__(self) -> Functional:
        return -1.0 * self


class Expansion(NamedTuple):
    """Value, Wasserstein gradient (n, d) and Hessian in the positions, at one set of points."""

    value: float
    gradient: Array
    curvature: Curvature


class Smooth(Functional):
    """A functional of weighted points (x, w), hence defined on every measure.

    Value, first variation and gradient ``_at_points`` are its definition; `curvature_at_points`
    is optional structure for Newton methods.
    """

    @abstractmethod
    def value_at_points(self, x: Array, w: Array) -> float: ...

    @abstractmethod
    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array: ...

    @abstractmethod
    def gradient_at_points(self, x: Array, w: Array) -> Array:
        """∇δF/δρ at the points, shape (n, d)."""

    def curvature_at_points(self, x: Array, w: Array) -> Curvature:
        """Hessian of x ↦ F(Σ w_i δ_{x_i})."""
        raise MissingStructure(
            f"{type(self).__name__} has no curvature; use a method that needs gradients only, "
            "or give it a Hessian"
        )

    def value_and_gradient_at_points(self, x: Array, w: Array) -> tuple[float, Array]:
        """Both together; override it where they share work."""
        return self.value_at_points(x, w), self.gradient_at_points(x, w)

    def expansion(self, x: Array, w: Array) -> Expansion:
        """Value, gradient and curvature together; override it where they share work."""
        value, gradient = self.value_and_gradient_at_points(x, w)
        return Expansion(value, gradient, self.curvature_at_points(x, w))

    def on(self, mu: Measure) -> Smooth:
        """The functional of weighted points that this one is on measures of ``mu``'s kind.

        Itself, unless a kind stores something else than points of R^d (radii, for instance).
        """
        return self

    def value(self, mu: Measure) -> float:
        return float(self._asked("value", mu, ()))

    def first_variation(self, mu: Measure, at: ArrayLike) -> Array:
        points = points_at(a_measure(mu), at)
        return self._asked("first_variation", mu, (len(points),), points)

    def gradient(self, mu: Measure) -> Array:
        return self._asked("gradient", mu, a_measure(mu).points.shape)

    def _asked(self, what: str, mu: Measure, shape: tuple[int, ...], *more: Array) -> Array:
        """A definition at the points of ``mu``, as a subclass gave it: shape and type checked."""
        method = getattr(self.on(a_measure(mu)), f"{what}_at_points")
        arguments = (mu.points, mu.weights, *more)
        if of_the_library(type(self)):  # which checks what it is given itself
            return method(*arguments)
        return answer_of(method, arguments, shape, f"{type(self).__name__}.{what}_at_points")


class Sum(Functional):
    """Σ c_k F_k; the empty sum is the zero functional."""

    def __init__(self, terms: Sequence[tuple[float, Functional]]) -> None:
        self._terms = tuple(terms)

    @property
    def terms(self) -> tuple[tuple[float, Functional], ...]:
        return self._terms

    def at_scale(self, scale: float) -> Functional:
        terms = tuple((c, f.at_scale(scale)) for c, f in self._terms)
        if all(f is g for (_, f), (_, g) in zip(terms, self._terms, strict=True)):
            return self
        other = copy.copy(self)
        other._terms, other.difference_scale = terms, scale
        vars(other).pop("_smooth", None)  # which was made of the old terms
        return other

    def value(self, mu: Measure) -> float:
        return float(sum(c * f.value(mu) for c, f in self._terms))

    def first_variation(self, mu: Measure, at: ArrayLike) -> Array:
        a = points_at(mu, at)
        return sum((c * f.first_variation(mu, a) for c, f in self._terms), np.zeros(len(a)))

    def gradient(self, mu: Measure) -> Array:
        zero = np.zeros_like(a_measure(mu).points)
        return sum((c * f.gradient(mu) for c, f in self._terms), zero)

    @property
    def convexity(self) -> float | None:  # type: ignore[override]
        return _combined([(c, f, f.convexity) for c, f in self._terms])

    def convexity_near(self, mu: Measure, radius: float) -> float | None:
        return _combined([(c, f, f.convexity_near(mu, radius)) for c, f in self._terms])

    @property
    def convex_in_mixtures(self) -> bool | None:  # type: ignore[override]
        claimed = all(
            bool(f.convex_in_mixtures) and (c >= 0 or _linear(f)) for c, f in self._terms
        )
        return True if claimed else None

    def convexity_of_variation(self, mu: Measure) -> float | None:
        claims = [(c, f, f.convexity_of_variation(mu)) for c, f in self._terms]
        if any(c < 0 and not _linear(f) for c, f in self._terms):
            return None  # `concavity` speaks of the variation only where F is linear
        return _combined(claims)

    def lower_bound(self) -> float | None:
        return _bounded([(c, f.lower_bound()) for c, f in self._terms])

    def lower_bound_near(self, mu: Measure, radius: float) -> float | None:
        return _bounded([(c, f.lower_bound_near(mu, radius)) for c, f in self._terms])

    def spec(self) -> dict[str, Any]:
        return {"sum": [[c, f.spec()] for c, f in self._terms]}

    def __repr__(self) -> str:
        return " + ".join(f"{c:g}*{f!r}" for c, f in self._terms) or "0"


def _combined(claims: list[tuple[float, Functional, float | None]]) -> float | None:
    """Modulus of Σ c F: the sum of c λ, if each is claimed.

    For c < 0 the modulus has to hold from above: `concavity`, which few functionals have.
    """
    total = 0.0
    for c, f, modulus in claims:
        if modulus is None:
            return None
        if c < 0:
            modulus = getattr(f, "concavity", None)
            if modulus is None:
                return None
        total += c * modulus
    return total


def _bounded(bounds: list[tuple[float, float | None]]) -> float | None:
    """A lower bound of Σ c F, if each has one and no c is negative."""
    if any(c < 0 or bound is None for c, bound in bounds):
        return None
    return sum((c * bound for c, bound in bounds if bound is not None), 0.0)


class SmoothSum(Sum, Smooth):
    """A sum of smooth functionals, itself smooth."""

    def on(self, mu: Measure) -> Smooth:
        return SmoothSum([(c, f.on(mu)) for c, f in self._smooth])

    def value_at_points(self, x: Array, w: Array) -> float:
        return float(sum(c * f.value_at_points(x, w) for c, f in self._smooth))

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        parts = (c * f.first_variation_at_points(x, w, at) for c, f in self._smooth)
        return sum(parts, np.zeros(len(at)))

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        return sum((c * f.gradient_at_points(x, w) for c, f in self._smooth), np.zeros_like(x))

    def value_and_gradient_at_points(self, x: Array, w: Array) -> tuple[float, Array]:
        value, gradient = 0.0, np.zeros_like(x)
        for c, f in self._smooth:
            part = f.value_and_gradient_at_points(x, w)
            value += c * part[0]
            gradient = gradient + c * part[1]
        return value, gradient

    def curvature_at_points(self, x: Array, w: Array) -> Curvature:
        total = Curvature(np.zeros((*x.shape, x.shape[1])))
        for c, f in self._smooth:
            total = total + f.curvature_at_points(x, w).scaled(c)
        return total

    def expansion(self, x: Array, w: Array) -> Expansion:
        if len(self._smooth) == 1 and self._smooth[0][0] == 1.0:
            return self._smooth[0][1].expansion(x, w)
        value, gradient = 0.0, np.zeros_like(x)
        curvature = Curvature(np.zeros((*x.shape, x.shape[1])))
        for c, f in self._smooth:
            part = f.expansion(x, w)
            value += c * part.value
            gradient = gradient + c * part.gradient
            curvature = curvature + part.curvature.scaled(c)
        return Expansion(value, gradient, curvature)

    @cached_property
    def _smooth(self) -> tuple[tuple[float, Smooth], ...]:
        if all(of_the_library(type(f)) for _, f in self._terms):
            return self._terms  # type: ignore[return-value]
        from .guarded import guarded

        return tuple((c, guarded(f)) for c, f in self._terms)  # type: ignore[arg-type]


def _linear(f: Functional) -> bool:
    """Whether ρ ↦ F(ρ) is affine, so that its negative is convex too."""
    return bool(getattr(f, "linear", False))


def make_sum(terms: Sequence[tuple[float, Functional]]) -> Functional:
    """The sum of the terms, without those of coefficient zero; smooth if all are."""
    kept = [(c, f) for c, f in terms if c != 0.0]
    if all(isinstance(f, Smooth) for _, f in kept):
        return SmoothSum(kept)
    return Sum(kept)
