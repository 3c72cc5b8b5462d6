"""Some steps with ξ = ∇δF(X) + (X − T(X))/τ: how large it is over what may move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..functionals.base import Functional
from ..measures.base import Array
from ..measures.many import Laws
from ..measures.order import kept_sorted
from ..record import Witness
from ..verdict import Finding
from . import policy
from .evaluate import Rows, Stack
from .transport import Transport, certify_all

Walls = tuple[float, float] | None


@dataclass(frozen=True)
class Steps:
    """K steps between alike measures, as arrays of shape (K,).

    ``raw`` is ‖ξ‖ and ``r`` what counts of it over the admissible displacements; ``held`` leaves
    out the ends that stayed on walls, wherever they are pulled. Steps are numbered from ``first``
    on (0: they have no numbers).
    """

    F: Functional
    before: Laws
    old: Rows
    new: Stack
    tau: Array
    transport: Transport
    raw: Array
    r: Array
    held: Array
    walls: Walls
    first: int

    def with_spread(self, r: Array) -> Array:
        """‖∇δF(X) + (X − x)/τ‖ over the coupling, whose spread is orthogonal to ξ."""
        return np.hypot(r, np.sqrt(self.transport.spread) / self.tau)

    def somewhere(self, finding: Finding) -> Finding:
        """A finding about all of the steps, with their numbers."""
        last = self.first + len(self.tau) - 1
        named = f"step {last}" if last == self.first else f"steps {self.first} to {last}"
        return finding.at(named) if self.first else finding

    @property
    def blind(self) -> Array:
        """Rounding error of W2: differences of points carry EPS times the points."""
        return policy.ROUNDING * policy.EPS * (self.old.extent + self.new.rows.extent)

    @property
    def blind_square(self) -> Array:
        """Rounding error of W2²."""
        return self.blind * (2.0 * np.sqrt(self.transport.squared) + self.blind)

    @property
    def slope(self) -> Array:
        """W2/τ."""
        return np.asarray(np.sqrt(self.transport.squared) / self.tau)


def steps_of(
    F: Functional,
    before: Laws,
    old: Rows,
    new: Stack,
    tau: Array,
    witnesses: Sequence[Witness | None],
    first: int = 0,
    walls: Walls = None,
) -> Steps:
    """The steps from number ``first`` on; `Decided` where W2² is not certified."""
    transport = certify_all(new.laws, before, witnesses)
    xi = new.gradient + transport.away / tau[:, None, None]
    r = held = raw = new.laws.lengths(xi)
    if new.laws.cells:
        r, held = _on_edges(before, new.laws, xi[..., 0], raw, walls)
    return Steps(F, before, old, new, tau, transport, raw, r, held, walls, first)


def _on_edges(
    before: Laws, laws: Laws, xi: Array, raw: Array, walls: Walls
) -> tuple[Array, Array]:
    """‖ξ‖ over what may move: tied edges stay sorted, ends on walls and at r = 0 stay inside."""
    x, w, r, held, ends = laws.x[..., 0], laws.w, raw.copy(), raw.copy(), [0, -1]
    there = x[:, ends] == (walls or (np.nan, np.nan))
    stayed = there & (before.x[:, ends, 0] == x[:, ends])
    there[:, 0] |= (x[:, 0] == 0.0) & (laws.mu.kind == "radial")
    for k in np.flatnonzero((laws.least_gaps == 0.0) | there.any(axis=1)):
        v = kept_sorted(-xi[k], x[k], w)
        if there[k, 0]:
            v[x[k] == x[k, 0]] = np.maximum(v[x[k] == x[k, 0]], 0.0)
        if there[k, 1]:
            v[x[k] == x[k, -1]] = np.minimum(v[x[k] == x[k, -1]], 0.0)
        inner = slice(int(stayed[k, 0]), len(v) - int(stayed[k, 1]))
        r[k], held[k] = np.sqrt(w @ v**2), np.sqrt(w[inner] @ v[inner] ** 2)
    return r, held
