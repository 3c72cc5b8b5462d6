"""Which particle came from which: couplings of a step, and the proof that one is optimal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...measures.base import Array
from ...record import Witness
from ...transport.couplings import barycentres
from ...transport.distances import squared_distances
from ...transport.exact import Coupling, feasible_potentials, optimal_coupling, tolerated_gap
from ...transport.pairing import centred, line_coupling, pairing_potentials

Indices = np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True)
class Plan:
    """A coupling of the new points (rows) with the old ones (columns)."""

    rows: Indices
    columns: Indices
    values: Array
    order: Indices | None
    """order[i] is the one partner of i; None where some mass is split."""

    @classmethod
    def pairing(cls, order: Indices, w: Array) -> Plan:
        return cls(np.arange(len(w)), order, w, order)

    def centres(self, y: Array) -> Array:
        """Mean of each new point's partners."""
        if self.order is not None:
            return y[self.order]
        return barycentres(self.rows, self.columns, self.values, y, int(self.rows.max()) + 1)

    def spread(self, y: Array) -> float:
        """What the coupling costs beyond the distance to the means."""
        if self.order is not None:
            return 0.0
        return self.cost(self.centres(y), y)

    def cost(self, x: Array, y: Array) -> float:
        """∫|x − y|² dπ."""
        moved = x[self.rows] - y[self.columns]
        return float(self.values @ np.einsum("ij,ij->i", moved, moved))


class Judgement(NamedTuple):
    """An optimal plan with its potentials; ``improved`` where it is another plan than before."""

    plan: Plan
    f: Array
    g: Array
    improved: bool
    route: str


def judge(plan: Plan, x: Array, y: Array, w: Array, guess: Array) -> Judgement:
    """Prove the plan optimal, by the cheapest of three ways, or find a better one.

    ``guess`` is −2τ δF/δρ at the new points. On the line plans are compared with the monotone
    one; elsewhere a pairing is proved by potentials without a linear program; what remains goes
    to the exact solver.

    Raises
    ------
    TransportFailed
        If the exact solver's answer cannot be verified.
    """
    if x.shape[1] == 1:
        return _on_the_line(plan, x, y, w)
    if plan.order is not None:
        found = pairing_potentials(x, y[plan.order], guess)
        if found is None:  # where all points are nearest to their own partners, constants will do
            found = pairing_potentials(x, y[plan.order], np.zeros(len(x)))
        if found is not None:
            g = np.empty_like(found.g)
            g[plan.order] = found.g
            return Judgement(plan, found.f, g, False, "potentials")
    cost = squared_distances(x, y)
    best = optimal_coupling(cost, w, w, potentials=feasible_potentials(cost, centred(guess)))
    dual = float(best.f @ w + best.g @ w)
    if plan.cost(x, y) - dual <= tolerated_gap(dual, float(cost.max())):
        return Judgement(plan, best.f, best.g, False, "exact")
    return Judgement(_plan_of(best, w), best.f, best.g, True, "exact")


def _plan_of(best: Coupling, w: Array) -> Plan:
    order = best.permutation()
    if order is not None:
        return Plan.pairing(order, w)
    return Plan(best.rows, best.columns, best.values, None)


def _on_the_line(plan: Plan, x: Array, y: Array, w: Array) -> Judgement:
    rows, columns, values, found = line_coupling(x[:, 0], y[:, 0], w, w)
    best = Plan(rows, columns, values, None)
    if len(rows) == len(w):
        order = np.empty(len(w), dtype=np.intp)
        order[rows] = columns
        best = Plan.pairing(order, w)
    dual = float(found.f @ w + found.g @ w)
    excess = plan.cost(x, y) - best.cost(x, y)
    largest = float((np.ptp(x) + np.ptp(y) + abs(x[0, 0] - y[0, 0])) ** 2)
    if excess <= tolerated_gap(dual, largest):
        return Judgement(plan, found.f, found.g, False, "sorting")
    return Judgement(best, found.f, found.g, True, "sorting")


def witness_of(
    plan: Plan, f: Array, g: Array, live: Indices, x: Array, y: Array
) -> Witness:
    """The record's witness, in the numbering of all particles.

    ``live`` are the particles with mass. The others are paired with themselves; potentials
    extend to them by c-transforms.
    """
    n = len(x)
    if len(live) < n:
        f, g = _extended(f, g, live, x, y)
    if plan.order is not None:
        order = np.arange(n)
        order[live] = live[plan.order]
        pairing: dict[str, Any] = {"order": order, "f": f, "g": g}
        return Witness("pairing", pairing)
    rows, columns = live[plan.rows], live[plan.columns]
    coupling: dict[str, Any] = {"rows": rows, "columns": columns, "values": plan.values}
    return Witness("coupling", {**coupling, "f": f, "g": g})


def _extended(
    f: Array, g: Array, live: Indices, x: Array, y: Array
) -> tuple[Array, Array]:
    dead = np.setdiff1d(np.arange(len(x)), live)
    everywhere_f, everywhere_g = np.empty(len(x)), np.empty(len(x))
    everywhere_f[live], everywhere_g[live] = f, g
    everywhere_g[dead] = (squared_distances(x[live], y[dead]) - f[:, None]).min(axis=0)
    everywhere_f[dead] = (squared_distances(x[dead], y) - everywhere_g).min(axis=1)
    return everywhere_f, everywhere_g
