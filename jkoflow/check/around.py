"""What a functional is attacked with: random displacements of a measure, mixtures with others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..functionals.base import Functional
from ..functionals.curves import Curve, mixture, remassed
from ..functionals.many import values_at
from ..measures.base import Array
from ..measures.cells import Cells
from ..measures.displacements import (
    Companion,
    monotone_displacements,
    random_companions,
    random_displacements,
)
from ..measures.grid import Grid
from ..measures.many import Laws
from ..measures.mesh import Mesh
from ..measures.particles import Particles
from .evaluate import Evaluated, evaluate, norm

_SHARES = 4.0 ** np.arange(-1.0, -7.0, -1.0)


def breadth(here: Evaluated) -> float:
    """The standard deviation, but not below a thousandth of the coordinates; 1 for δ_0."""
    x, w = here.measure.points, here.measure.weights
    return max(norm(x - w @ x, w), 1e-3 * norm(x, w), here.unit) or 1.0


@dataclass(frozen=True)
class Around:
    """F near a measure: random displacements of it and mixtures with it, which all tests share."""

    F: Functional
    here: Evaluated
    rng: np.random.Generator

    @cached_property
    def of_points(self) -> Around:
        """Itself; on a grid, where moving masses blurs them, the smooth part at the centres."""
        F, mu = self.F.smooth, self.here.measure
        if not isinstance(mu, Grid):
            return self
        return Around(F, evaluate(F, Particles(mu.points, mu.weights)), self.rng)

    @cached_property
    def fields(self) -> list[Array]:
        """Displacements, of norm at most the breadth."""
        return random_displacements(self.here.measure, breadth(self.here), self.rng)

    @cached_property
    def tangents(self) -> list[Array]:
        """What displacing the measure by the fields needs of them."""
        return [self.here.measure.tangent(v) for v in self.fields]

    @cached_property
    def monotone(self) -> list[Array]:
        """Those tangents along which internal energies may claim to be convex."""
        if self.here.measure.kind != "mesh" or not self.F.internal.terms:
            return self.tangents
        return monotone_displacements(self.here.measure, breadth(self.here), self.rng)

    @cached_property
    def moved(self) -> Laws:
        """Where they lead."""
        return Laws(self.here.measure.all_moved(self.tangents))

    @cached_property
    def values(self) -> Array:
        """F there."""
        return values_at(self.F, self.moved)

    def at(self, tangents: Sequence[Array]) -> Array:
        """F where these lead."""
        return values_at(self.F, Laws(self.here.measure.all_moved(tangents)))

    @cached_property
    def others(self) -> list[Companion]:
        """Three laws on some of μ's points, displaced."""
        return random_companions(self.here.measure, self.fields[:3], self.rng)

    @cached_property
    def mixtures(self) -> list[Curve]:
        """Of the smooth part with other laws; of the internal part with other masses of cells."""
        F, mu, found = self.F, self.here.measure, []
        if F.smooth.terms:
            S, x, w = F.smooth.on(mu), mu.points, mu.weights
            found += [mixture(S, x, w, nu.points(), nu.weights) for nu in self.others]
        if F.internal.terms and isinstance(mu, (Cells, Grid, Mesh)) and len(mu.mass) > 1:
            shares = mu.mass * self.rng.uniform(0.1, 1.9, (3, len(mu.mass)))
            found += [remassed(F.internal, mu, s / s.sum()) for s in shares]
        return found

    def nearer(self, number: int) -> Iterator[tuple[float, Curve]]:
        """Shares of the way to the other law, and its mixture there; none of masses of cells."""
        mu, S = self.here.measure, self.F.smooth.on(self.here.measure)
        for nu in self.others[number : number + 1] if self.F.smooth.terms else ():
            for share in _SHARES:
                yield share, mixture(S, mu.points, mu.weights, nu.points(share), nu.weights)
