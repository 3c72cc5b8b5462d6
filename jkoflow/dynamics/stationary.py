"""Where a gradient flow of particles would end: a stationary point, by quasi-Newton descent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import whole
from ..functionals.base import Functional
from ..measures.base import Array, finite_array
from ..measures.particles import Particles
from ..status import InvalidMeasure, NotDefined


@dataclass(frozen=True)
class StationaryPoint:
    """What `stationary_point` returns.

    ``slope`` is (mean |∇δF(θ_i)|²)^½, the metric slope of F where the descent ended.
    """

    measure: Particles = field(repr=False)
    value: float
    slope: float
    iterations: int


def stationary_point(
    F: Functional, theta0: ArrayLike, *, max_iterations: int = 3000
) -> StationaryPoint:
    """Descend F over n equally weighted particles from theta0 until it goes down no further.

    L-BFGS in the positions, from scipy. A flow converges to stationary points too, but slowly
    where its Hessian is nearly singular; which of them is reached may differ from the flow's.
    Nothing is claimed about minimality: look at ``slope``.

    Parameters
    ----------
    F : Functional
        Of weighted points: no internal energy.
    theta0 : array_like, shape (n, D)
    max_iterations : int

    Raises
    ------
    InvalidMeasure, InvalidProblem, NotDefined
        For a start that is not a finite (n, D) array, fewer than one iteration, or an F that
        particles have not.

    Examples
    --------
    >>> from jkoflow import QuadraticPotential
    >>> round(stationary_point(QuadraticPotential(2.0), [[1.0], [-3.0]]).value, 12)
    0.0
    """
    from scipy.optimize import minimize

    theta = np.array(finite_array(theta0, "theta0"))
    if theta.ndim != 2 or theta.size == 0:
        raise InvalidMeasure(f"theta0 must have shape (n, D) with n, D ≥ 1, not {theta.shape}")
    whole(max_iterations, "max_iterations")
    if F.internal.terms:
        raise NotDefined("particles have no internal energy: give the other terms of F only")
    smooth, w = F.smooth.on(Particles(theta)), np.full(len(theta), 1.0 / len(theta))

    def objective(flat: Array) -> tuple[float, Array]:
        value, gradient = smooth.value_and_gradient_at_points(flat.reshape(theta.shape), w)
        return value, gradient.ravel() / len(theta)

    # tolerances of 0: it stops where rounding leaves no decrease
    options: Any = {"maxiter": int(max_iterations), "maxfun": 4 * int(max_iterations),
                    "ftol": 0.0, "gtol": 0.0, "maxcor": 30}  # fmt: skip
    done = minimize(objective, theta.ravel(), jac=True, method="L-BFGS-B", options=options)
    x = done.x.reshape(theta.shape)
    gradient = smooth.gradient_at_points(x, w)
    slope = float(np.sqrt(np.mean(np.sum(gradient**2, axis=1))))
    return StationaryPoint(Particles(x), float(done.fun), slope, int(done.nit))
