"""How wrong a step is: derivatives of the paths of points, from the steps before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...measures.base import Array, Measure
from ...measures.gaussian import Gaussian
from ...record import Witness
from ...status import NotDefined
from ...steppers.base import StepOutput
from ...transport.bures import distance_squared, optimal_map
from ...transport.motion import motion, pulled_back
from ..interpolation import plan_of

_REMEMBERED = 4


@dataclass(frozen=True)
class Paths:
    """Where the points of a law have been: the last four times and positions, the latest last.

    Particle i is followed through the couplings of the steps. Of a Gaussian, the rows are
    the mean and the columns of a root Rᵀ of its covariance that is moved by the optimal maps.
    ``weights`` belong to the rows, so that sums of squares are those of L²(ρ).
    """

    times: tuple[float, ...]
    positions: tuple[Array, ...]
    weights: Array
    on_cells: ClassVar[bool] = False

    @staticmethod
    def starting(mu: Measure) -> Paths:
        """The paths that begin at a law."""
        if isinstance(mu, Gaussian):
            rows = np.vstack([mu.mean(), mu.sqrt_cov])
            return Paths((0.0,), (rows,), np.ones(len(rows)))
        return Paths((0.0,), (mu.points,), mu.weights)

    def onwards(
        self, after: Measure, before: Measure, tau: float, witness: Witness | None
    ) -> Paths:
        """The paths after a step; older positions are put in the new points' order."""
        older = self.positions
        if isinstance(after, Gaussian) and isinstance(before, Gaussian):
            back = optimal_map(after, before)
            root = np.linalg.solve(back, older[-1][1:].T).T
            new = np.vstack([after.mean(), root])
        else:
            plan = plan_of(witness)
            motion(after, before, plan)  # raises where points have no paths
            older = tuple(pulled_back(plan, x) for x in older)
            new = after.points
        times = (*self.times, self.times[-1] + tau)
        return Paths(times[-_REMEMBERED:], (*older, new)[-_REMEMBERED:], self.weights)

    def difference(self, order: int) -> float:
        """Norm in L²(ρ) of the divided difference over the last order + 1 positions.

        Of smooth paths it is ‖x^(order)‖/order!.

        Examples
        --------
        >>> t = (0.0, 1.0, 3.0)
        >>> Paths(t, tuple(np.array([[5.0 * s * s]]) for s in t), np.ones(1)).difference(2)
        5.0
        """
        times, rows = self.times[-order - 1 :], list(self.positions[-order - 1 :])
        for k in range(1, order + 1):
            rows = [
                (rows[i + 1] - rows[i]) / (times[i + k] - times[i]) for i in range(len(rows) - 1)
            ]
        return float(np.sqrt(self.weights @ (rows[0] * rows[0]).sum(axis=1)))

    def error(self, output: StepOutput) -> float:
        """What the last step, with this output, is wrong by."""
        return local_error(self, float(output.stats.get("alpha", 0.0)))

    def hides(self, output: StepOutput, tau: float, error: float, bound: float) -> bool:
        """Shorter steps are always better."""
        return False


def local_error(paths: Paths, alpha: float) -> float:
    """What the last step of a path is wrong by, in L²(ρ), hence in W2.

    The step x_{n+1} = x_n + α(x_n − x_{n−1}) + τ'x'(t_{n+1}), with steps k, h, leaves
    ½[(1+α)h² − α(h+k)²]x'' − ⅙[(1+α)h³ − α(h+k)³]x''' of a smooth path. α = 0 is the JKO step,
    and BDF2's α makes the first bracket zero.

    Examples
    --------
    >>> t = (0.0, 1.0, 2.0, 3.0)
    >>> cubic = Paths(t, tuple(np.array([[s**3]]) for s in t), np.ones(1))
    >>> round(local_error(cubic, 1 / 3), 12) == round(2 / 9 * 6, 12)       # (2/9) h³ x'''
    True
    """
    h = paths.times[-1] - paths.times[-2]
    both = paths.times[-1] - paths.times[-3]
    second = (1.0 + alpha) * h**2 - alpha * both**2
    error = 0.0
    if abs(second) > 1e-12 * h**2:
        error = abs(second) * paths.difference(2)
    if alpha > 0.0:
        if len(paths.times) < _REMEMBERED:
            raise NotDefined("two steps before this one are needed to tell its error")
        error += abs((1.0 + alpha) * h**3 - alpha * both**3) * paths.difference(3)
    return error


def of_halves(whole: StepOutput, first: StepOutput, second: StepOutput) -> float:
    """What each of two steps is wrong by, from where the whole one ended: O(τ^{p+1}) of order p."""
    plans = tuple(output.witness for output in (whole, first, second))
    order = 2 if first.stats.get("stages") == second.stats.get("stages") == 2 else 1
    # (2^{p+1} − 2)·error is what the whole is wrong by more than both halves
    return _apart(whole.measure, second.measure, plans) / (2.0 ** (order + 1) - 2.0)


def _apart(mu: Measure, nu: Measure, plans: tuple[Witness | None, ...]) -> float:
    """The distance of two laws that came from one, point by point unless points changed order."""
    if isinstance(mu, Gaussian) and isinstance(nu, Gaussian):
        return float(distance_squared(mu, nu) ** 0.5)
    if any(plan is not None and _reorders(plan) for plan in map(plan_of, plans)):
        from ...transport import wasserstein

        return wasserstein(mu, nu)
    return float(np.sqrt(mu.weights @ ((mu.points - nu.points) ** 2).sum(axis=1)))


def _reorders(plan: Witness) -> bool:
    order = plan.arrays.get("order")
    if order is None:
        return plan.kind == "coupling"
    return not np.array_equal(order, np.arange(len(order)))
