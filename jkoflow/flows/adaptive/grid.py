"""How wrong a step of a density on a grid is: velocities before and after, by dual potentials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy.ndimage import correlate1d

from ...measures.base import Array, Measure
from ...measures.grid import Grid
from ...record import Witness
from ...status import NotDefined
from ...steppers.base import StepOutput
from ...transport.legendre import AT_NODES, CTransform, spline_coefficients

_SLOPES = np.array([-0.5, 0.0, 0.5])  # of a quadratic spline at its nodes, in units of the spacing
_SPREAD = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0  # of variance 1


@dataclass(frozen=True)
class GridPaths:
    """Where the mass of a density comes from and goes to, as seen at its cells' centres.

    A step of size τ from ρ to ρ⁺ has a potential ψ on the old cells. By it, mass leaves a cell of
    ρ with the velocity −∇ψ, and arrives in a cell of ρ⁺ with the velocity
    (x − S(x))/τ, S(x) = argmin_y |x − y|²/2τ − ψ(y). So the law between two steps, k and then h,
    knows the paths x through its cells at three times, and

        x[t_{n−1}, t_n, t_{n+1}] = (leaving − arriving)/(h + k).

    ``arrived`` is (N, d), or None before the first step.
    """

    law: Grid
    cells: Resolution
    last: float = 0.0
    arrived: Array | None = None
    second: float | None = None
    """‖x[t_{n−1}, t_n, t_{n+1}]‖ in L²(ρ_n), as `seen`, once there have been two steps."""
    on_cells: ClassVar[bool] = True

    @staticmethod
    def starting(mu: Grid) -> GridPaths:
        """The paths that begin at a density."""
        return GridPaths(mu, Resolution(float(mu.spacing.min())))

    def onwards(
        self, after: Measure, before: Measure, tau: float, witness: Witness | None
    ) -> GridPaths:
        """The paths after a step.

        Raises
        ------
        NotDefined
            If the step has no witness with a potential on the cells.
        """
        psi = potential_of(witness, self.law)
        assert isinstance(after, Grid)
        second = None
        if self.arrived is not None:
            apart = (leaving(psi, self.law) - self.arrived) / (tau + self.last)
            second = seen(apart, self.law)
        arrived = arriving(psi, after, tau)
        return replace(GridPaths.starting(after), last=tau, arrived=arrived, second=second)

    def error(self, output: StepOutput) -> float:
        """What the last step is wrong by: h²‖x[t_{n−1}, t_n, t_{n+1}]‖, which tends to ½h²‖x''‖.

        It bounds W2 between the step and the end of paths that go on as they arrived. What a
        kernel moves mass by comes on top.
        """
        if self.second is None:
            raise NotDefined("a step before this one is needed to tell its error")
        return self.last**2 * self.second + _blur_of(output)

    def hides(self, output: StepOutput, tau: float, error: float, bound: float) -> bool:
        """Whether a shorter step from here would be no better: the kernel's blur would be as large,
        or the cells hide what is left."""
        if _blur_of(output) > 0.5 * bound:
            return True
        return self.cells.hides(tau, error, output.distance_squared**0.5)


def _blur_of(output: StepOutput) -> float:
    """What a kernel moves mass by in a step, in L²(ρ), however short it is: `EntropicScaling`."""
    return float(output.stats.get("blur", 0.0))


def potential_of(witness: Witness | None, mu: Grid) -> Array:
    """ψ on the old cells of a step's dual, from the evidence for it.

    Raises
    ------
    NotDefined
    """
    psi = None if witness is None else witness.arrays.get("potential")
    if psi is None or np.shape(psi) != mu.shape:
        raise NotDefined(
            "on a grid the error of a step is told from the potential in its witness, and this "
            "stepper gives none: BackAndForth does, and EntropicScaling(witnessed=True)"
        )
    return np.asarray(psi, dtype=float)


def leaving(psi: Array, mu: Grid) -> Array:
    """Velocities −∇ψ at the cells' centres, (N, d), of the quadratic spline through ψ there.

    Examples
    --------
    >>> mu = Grid(np.ones(4) / 2, 0.0, 2.0)
    >>> leaving(np.array([0.0, 1.0, 2.0, 3.0]), mu)[1:3].ravel().round(1)
    array([-2.1, -2.1])
    """
    c, columns = spline_coefficients(psi), []
    for axis in range(psi.ndim):
        slope = c
        for other, h in enumerate(mu.spacing):
            kernel = _SLOPES / h if other == axis else AT_NODES
            slope = correlate1d(slope, kernel, axis=other, mode="reflect")
        columns.append(-slope.ravel())
    return np.stack(columns, axis=1)


def arriving(psi: Array, mu: Grid, tau: float) -> Array:
    """Velocities (x − S(x))/τ at the cells' centres, (N, d).

    Examples
    --------
    >>> mu = Grid(np.ones(4) / 2, 0.0, 2.0)
    >>> arriving(np.zeros(4), mu, 0.1).ravel()
    array([0., 0., 0., 0.])
    """
    images = CTransform(spline_coefficients(psi), mu.spacing, tau).minimisers()
    here = np.indices(mu.shape)
    columns = [h * (i - s).ravel() / tau
               for h, i, s in zip(mu.spacing, here, images, strict=True)]  # fmt: skip
    return np.stack(columns, axis=1)


def seen(v: Array, mu: Grid) -> float:
    """‖v‖ in L²(ρ) of a field (N, d) at the cells' centres, of its means over neighbours.

    Momenta and masses are both spread by a kernel of variance h² on each axis before one is divided
    by the other. At free boundaries velocities differ between neighbours by some hundredths,
    back and forth, however short the steps: that is the cells', and moves no mass anywhere.

    Examples
    --------
    >>> mu = Grid(np.ones(64), 0.0, 1.0)
    >>> seen(np.ones((64, 1)), mu), seen((-1.0) ** np.arange(64.0)[:, None], mu) < 0.1
    (1.0, True)
    """
    mass, squared = mu.weights.reshape(mu.shape), 0.0
    under = _spread(mass)
    for column in v.T:
        momentum = _spread(mass * column.reshape(mu.shape))
        squared += float(
            np.divide(momentum**2, under, out=np.zeros(mu.shape), where=under > 0).sum()
        )
    return squared**0.5


def _spread(f: Array) -> Array:
    for axis in range(f.ndim):
        f = correlate1d(f, _SPREAD, axis=axis, mode="reflect")
    return f


@dataclass
class Resolution:
    """Whether what is left of the errors in time of steps from one law is the cells'.

    Where mass moves by less than a tenth of a cell, paths that are smooth as the cells see them
    are parabolas, and errors fall like τ². Where a shorter step is refused too, and its error fell
    by less than τ^1.25, it is not one of time any more, and shorter steps will not make it smaller.
    """

    spacing: float
    refused: tuple[float, float] | None = None

    def hides(self, tau: float, error: float, moved: float) -> bool:
        """Whether the cells hide what a step is wrong by; ``moved`` is its W2.

        Examples
        --------
        >>> cells = Resolution(spacing=0.1)
        >>> [cells.hides(tau, error, moved=1e-3) for tau, error in ((1.0, 2.0), (0.5, 1.5))]
        [False, True]
        """
        last, self.refused = self.refused, (tau, error)
        if last is None or tau >= last[0] or moved > 0.1 * self.spacing:
            return False
        return error > last[1] * (tau / last[0]) ** 1.25
