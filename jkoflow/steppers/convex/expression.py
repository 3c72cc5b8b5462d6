"""Functionals of weighted points written as cvxpy expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...functionals.custom import CustomFunctional
from ...functionals.identity import describe
from ...measures.base import Array
from ...status import InvalidFunctional

_VIOLATION = 1e-6  # of a constraint, by what an interior-point solver leaves


class ConvexExpression(CustomFunctional):
    """F(x, w) given by cvxpy: a convex function of the positions x, with constraints if need be.

    A functional like any other (value, first variation, gradient), which `ConvexProgram` hands to
    a convex solver as it is: non-smooth terms and constraints are welcome there.

    Parameters
    ----------
    build : callable
        (x, w) → expression, or (expression, list of constraints): x is a ``cvxpy.Variable`` of
        shape (n, d), w an array (n,). The expression must be convex by cvxpy's rules (DCP) and
        must not depend on the order of the points.
    convexity : float, optional
        Claimed modulus along generalised geodesics; 0, as convexity in the positions gives.

    Raises
    ------
    InvalidFunctional
        If ``build`` answers with something else than a convex scalar expression.

    Notes
    -----
    The gradient is cvxpy's, one subgradient where there are several; constraints do not enter
    it. The value is infinite where a constraint is violated by more than 1e-6.

    Examples
    --------
    >>> import cvxpy as cp
    >>> from jkoflow import Particles
    >>> F = ConvexExpression(lambda x, w: w @ cp.abs(x)[:, 0])
    >>> F.value(Particles([-1.0, 3.0]))
    2.0
    """

    def __init__(
        self, build: Callable[[Any, Array], Any], convexity: float | None = 0.0
    ) -> None:
        if not callable(build):
            raise InvalidFunctional(f"build must be a function (x, w) → expression, not {build!r}")
        self.build = build
        self._built: tuple[Any, ...] | None = None
        super().__init__(self._value, self._gradient, convexity)
        self.name = getattr(build, "__name__", "expression")

    def spec(self) -> dict[str, Any]:
        return {
            "name": "ConvexExpression",
            "build": describe(self.build),
            "convexity": self.convexity,
        }

    def expression(self, x: Any, w: Array) -> tuple[Any, list[Any]]:
        """The checked expression and its constraints for a cvxpy variable x."""
        answer = self.build(x, w)
        expression, constraints = answer if isinstance(answer, tuple) else (answer, [])
        if not hasattr(expression, "is_convex") or expression.size != 1:
            raise InvalidFunctional(
                f"{self.name} must return a scalar cvxpy expression, not {expression!r}"
            )
        if not expression.is_convex() or not all(c.is_dcp() for c in constraints):
            raise InvalidFunctional(
                f"{self.name} is not convex in x by cvxpy's rules (DCP): rewrite it with convex "
                "atoms, or use @jkoflow.functional with another stepper"
            )
        return expression, list(constraints)

    def _at(self, x: Array, w: Array) -> tuple[Any, Any, list[Any]]:
        """Variable, expression and constraints, kept for the weights last seen."""
        import cvxpy as cp

        if self._built is None or self._built[0].shape != x.shape or (self._built[3] != w).any():
            variable = cp.Variable(x.shape)
            self._built = (variable, *self.expression(variable, w), w.copy())
        variable, expression, constraints, _ = self._built
        variable.value = x
        return variable, expression, constraints

    def _value(self, x: Array, w: Array) -> float:
        _, expression, constraints = self._at(x, w)
        if any(np.max(c.violation(), initial=0.0) > _VIOLATION for c in constraints):
            return np.inf
        return float(np.squeeze(expression.value))

    def _gradient(self, x: Array, w: Array) -> Array:
        variable, expression, _ = self._at(x, w)
        slope = expression.grad[variable]
        if slope is None:
            raise InvalidFunctional(f"{self.name} has no subgradient at these points")
        full = slope.toarray() if hasattr(slope, "toarray") else np.asarray(slope)
        return np.asarray(full.reshape(x.shape, order="F") / np.maximum(w, 1e-300)[:, None])
