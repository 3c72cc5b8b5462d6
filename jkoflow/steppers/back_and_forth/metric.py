"""What a change of the potential weighs: θ1 − θ2Δ, weighted by a power of the old density."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...functionals.conjugate import Conjugate, OfEntropy
from ...measures.base import Array
from ...measures.grid import Grid
from ...transport.neumann import Neumann
from .dual import DualPoint


class Metric:
    """θ1 − θ2Δ between weights, which bounds the dual's Hessian: the energy's and the transport's
    part of it, as by Jacobs, Lee and Léger (2021)."""

    def __init__(self, mu: Grid, tau: float, conjugate: Conjugate) -> None:
        self.neumann, self.weight = Neumann(mu.shape, mu.spacing), _weight(mu, conjugate)
        self.tau, self.vacuum = tau, bool(mu.density.min() == 0.0)
        self.heavy = tau * float(mu.density.max())
        self.least = self.heavy / float((mu.upper - mu.lower).max()) ** 2

    def at(self, point: DualPoint) -> Callable[[Array], Array]:
        """The inverse, with the energy's part as it is at a point of the dual."""
        with np.errstate(all="ignore"):
            slope = point.dual.conjugate.slope(point.price, point.density)
        slope = slope[np.isfinite(slope) & (point.density > 0)]
        total = float(slope.sum())
        stiff = float((slope**2).sum()) / total if total > 0 else 0.0
        return lambda g: self._inverse(g, max(stiff, self.least), self.heavy)

    def arrival(self, point: DualPoint) -> float:
        """What it costs to move the mass to where it should arrive, ½⟨g, ψ⟩ with the potential ψ
        that does; from a start in few cells through the densities that there are after the step."""
        heavy = self.heavy
        if self.vacuum:
            heavy = min(heavy, self.tau * float(point.density.max()))
        moves = self._inverse(point.gradient, self.least, heavy)
        return 0.5 * float(np.vdot(point.gradient, moves))

    def _inverse(self, g: Array, stiff: float, heavy: float) -> Array:
        return self.neumann.solve(g / self.weight, stiff, heavy) / self.weight


def _weight(mu: Grid, conjugate: Conjugate) -> Array:
    """√ of what the metric is weighted with, a power of the old density.

    The dual's Hessian has a part of the transport, like ρ, and one of the energy, like
    1/u''(ρ), which in tails is ρ^(2−m). The powers are what took the fewest looks at the
    dual in a hundred steps from narrow, wide and heavy-tailed densities.
    """
    relative, m = mu.density / mu.density.max(), conjugate.tail
    power, least = np.clip(1.1 * (1.7 - m), 0.0, 0.75), 1e-3
    if relative.min() == 0.0:  # vacuum: more mass comes there than the old density knows of
        power, least = min(power, 0.5), 1e-2
    elif isinstance(conjugate, OfEntropy):
        least = 1e-4
    elif m < 1.0:
        power, least = 1.0, 1e-8
    return np.asarray(np.sqrt(np.clip(relative**power, least, 1.0) * mu.cell_volume))
