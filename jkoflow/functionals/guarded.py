"""A smooth functional of one's own class, whose answers are checked wherever a stepper asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..measures.base import Array, Measure
from ..status import InvalidFunctional, JkoflowError
from .answers import answer_of, of_the_library, read_only, said
from .base import Expansion, Smooth
from .curvature import Curvature


def guarded(functional: Smooth) -> Smooth:
    """The functional itself if the library defines it; else one that checks what it answers."""
    return functional if of_the_library(type(functional)) else Guarded(functional)


class Guarded(Smooth):
    """Hands read-only arrays to ``inner`` and checks the shape and the type of its answers.

    A subclass that works in place would otherwise move the iterates of the stepper that asks it.
    """

    def __init__(self, inner: Smooth) -> None:
        self.inner = inner
        self.name = type(inner).__name__
        for claim in ("convexity", "concavity", "convex_in_mixtures", "linear"):
            if hasattr(inner, claim):
                setattr(self, claim, getattr(inner, claim))

    def spec(self) -> dict[str, Any]:
        return self.inner.spec()

    def __repr__(self) -> str:
        return repr(self.inner)

    def convexity_near(self, mu: Measure, radius: float) -> float | None:
        return self.inner.convexity_near(mu, radius)

    def lower_bound(self) -> float | None:
        return self.inner.lower_bound()

    def lower_bound_near(self, mu: Measure, radius: float) -> float | None:
        return self.inner.lower_bound_near(mu, radius)

    def convexity_of_variation(self, mu: Measure) -> float | None:
        return self.inner.convexity_of_variation(mu)

    def on(self, mu: Measure) -> Smooth:
        return guarded(self.inner.on(mu))

    def value_at_points(self, x: Array, w: Array) -> float:
        method = self.inner.value_at_points
        return float(answer_of(method, (x, w), (), f"{self.name}.value_at_points"))

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        name = f"{self.name}.first_variation_at_points"
        return answer_of(self.inner.first_variation_at_points, (x, w, at), (len(at),), name)

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        name = f"{self.name}.gradient_at_points"
        return answer_of(self.inner.gradient_at_points, (x, w), x.shape, name)

    def curvature_at_points(self, x: Array, w: Array) -> Curvature:
        name = f"{self.name}.curvature_at_points"
        return self._curvature(self._called(self.inner.curvature_at_points, x, w, name), x, name)

    def value_and_gradient_at_points(self, x: Array, w: Array) -> tuple[float, Array]:
        name = f"{self.name}.value_and_gradient_at_points"
        answer = self._called(self.inner.value_and_gradient_at_points, x, w, name)
        return self._value(answer[0], name), self._gradient(answer[1], x, name)

    def expansion(self, x: Array, w: Array) -> Expansion:
        name = f"{self.name}.expansion"
        value, gradient, curvature = self._called(self.inner.expansion, x, w, name)
        return Expansion(
            self._value(value, name),
            self._gradient(gradient, x, name),
            self._curvature(curvature, x, name),
        )

    def _called(self, method: Callable[..., Any], x: Array, w: Array, name: str) -> Any:
        try:
            return method(read_only(x), read_only(w))
        except JkoflowError:
            raise
        except Exception as error:  # a user's functional may raise anything
            raise InvalidFunctional(said(name, error)) from error

    def _value(self, value: Any, name: str) -> float:
        return float(answer_of(lambda: value, (), (), f"the value of {name}"))

    def _gradient(self, gradient: Any, x: Array, name: str) -> Array:
        return answer_of(lambda: gradient, (), x.shape, f"the gradient of {name}")

    def _curvature(self, curvature: Any, x: Array, name: str) -> Curvature:
        shape = (*x.shape, x.shape[1])
        if not isinstance(curvature, Curvature) or np.shape(curvature.blocks) != shape:
            raise InvalidFunctional(
                f"{name} must answer with a Curvature whose blocks have shape {shape}, not "
                f"{curvature!r:.100}"
            )
        return curvature
