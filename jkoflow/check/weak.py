"""The optimality condition of a step on a grid, against smooth fields that vanish at the walls.

With T(x) where the mass at x came from, the minimiser has (x − T)/τ + ∇δF = 0 on the new density ρ:

    (1/τ)∫⟨x − T, v⟩ρ + ∫⟨∇δS, v⟩ρ − ∫p(ρ) div v = 0   for v = ∇φ, φ a product of cosines,

S the smooth part of F, p(ρ) = ρ²(u/ρ)' the pressure of the internal one. A coupling between cells'
centres splits cells, so that T is known as a barycentre T_i only. What is missing of the first
term is ∫φ(T)ρ − ∫φμ to second order, which is added: that is what makes cells tell steps apart.
"""

from __future__ import annotations

from functools import partial, reduce
from itertools import accumulate, product
from typing import Any, NamedTuple

import numpy as np

from ..functionals.base import Functional
from ..functionals.internal import Congestion
from ..measures.base import Array
from ..measures.grid import Grid
from ..verdict import Finding, Verdict, worst
from . import policy

_WAVES, _ALONG = (8, 8, 4), 8  # half waves in the box: on all axes together, and along one


class Origin(NamedTuple):
    """Where mass came from: T_i (N, d), and by how much it was `torn` (d,)."""

    at: Array
    torn: Array


class Balance(NamedTuple):
    """Residuals of some fields over their norms in L²(ρ), what cells may make of them where ρ and
    forces vary less than the fields do, and what besides where they vary more; W2/τ."""

    residual: Array
    blur: Array
    hidden: Array
    slope: float


def weak_stationarity(
    F: Functional, before: Grid, after: Grid, came: Origin, tau: float, gap: float
) -> Finding | None:
    """The residual against ∇φ is small against the slope; by where mass ``came`` from.

    Where there is no ``gap`` (NaN), a residual is not rejected if the energy it costs, r²τ/2, is
    what cells hide, Σh²/(8τ): solvers of what is not convex in mixtures can see no more.
    None where bounds on the density press with forces that ρ does not tell. V is finite.
    """
    if presses(F, after):
        return None
    found = balance(F, before, after, came, tau)
    bound = policy.WEAK * found.slope + found.blur
    h = float(np.linalg.norm(after.spacing))
    least = 0.5 * h / tau if np.isnan(gap) else 0.0
    far = found.slope * tau > h  # else masses at centres may be stuck
    most = policy.WEAK_REJECTED * (bound + found.hidden)
    clear = far & (found.residual > np.maximum(most, least))
    reason = "forces and inertia do not balance on some smooth field, to what cells may hide"
    doubt = Verdict.REJECTED if clear.any() else Verdict.UNDECIDED
    return worst("weak stationarity", found.residual, bound, (), reason, doubt)


def balance(F: Functional, before: Grid, after: Grid, came: Origin, tau: float) -> Balance:
    """Forces and inertia on the fields ∇φ with up to eight half waves in the box; in space, where
    those are many, with up to four, or eight along one axis. Masses that spread alike to both
    sides of several places, and patterns along two axes, move no slower field.

    Means over cells of piecewise constant densities differ from values at centres by a share
    |qh|²/24, q the wave vector; a coupling's barycentres leave up to |qh|²/(32τ) of φ. Besides,
    forces and densities may change within a cell: see `within_cells`. And where an old cell's mass
    goes far apart, as from a start in one cell, the place o in that cell that it came from counts,
    which A lacks: ∫⟨o, v(x) − v(T)⟩ρ/τ, some Σ_ab (h_a/√12) |q_a||q_b| Σ_j m_jσ_jb/τ.
    """
    x, m, S = after.points, after.weights, F.smooth
    force = S.gradient_at_points(x, m) if S.terms else np.zeros_like(x)
    p, inside = pressures(F, after.density).ravel(), within_cells(F, after, force)
    inside.turned[...] += np.outer(after.spacing, came.torn) / (np.sqrt(12.0) * tau)
    here, there, away = _cosines(after, x), _cosines(after, came.at), x - came.at
    dot, residual, blur, hidden = partial(np.einsum, "ij,ij->i"), [], [], []
    for waves in product(range(_ALONG + 1), repeat=after.dim):
        if not 0 < sum(waves) <= (_ALONG if sum(waves) == max(waves) else _WAVES[after.dim - 1]):
            continue
        q = np.pi * np.array(waves) / (after.upper - after.lower)
        phi, v = _field(here, waves, q)
        inertia = m @ dot(away, v) + m @ _wave(there, waves)
        pushed, pressed = dot(force, v), (q @ q) * after.cell_volume * p * phi
        size, length = m @ np.abs(pushed) + np.abs(pressed).sum(), np.sqrt(m @ dot(v, v))
        total = (inertia - before.weights @ phi) / tau + m @ pushed + pressed.sum()
        residual.append(abs(total) / length)
        share = ((q * after.spacing) ** 2).sum() * (size / 4.0 + 1.0 / (32.0 * tau))
        blur.append(share / length)
        hidden.append(inside.of(q, phi, v) / length)
    slope = float(np.sqrt(m @ dot(away, away)) / tau)
    return Balance(np.array(residual), np.array(blur), np.array(hidden), slope)


class Hidden(NamedTuple):
    """What centres may miss of ∫ρ⟨∇δS, v⟩ − ∫p div v over cells, where ρ and ∇δS change in them:
    forces (N, d) that act on |v|, pressures (N,) that act on |q|²|φ|, and forces on masses that sit
    off the centre along an axis, where v is another (d, d). `balance` adds what is torn."""

    forces: Array
    pressures: Array
    turned: Array

    def of(self, q: Array, phi: Array, v: Array) -> float:
        """For v = ∇φ; it changes by |q_a||q| at most on the way h_a along an axis."""
        moved = np.vdot(self.forces, np.abs(v)) + (q @ q) * self.pressures @ np.abs(phi)
        return float(moved + np.abs(q) @ self.turned @ np.abs(q))


def torn(columns: Array, values: Array, moved: Array) -> Array:
    """Σ_j m_j σ_j (d,) of a coupling's entries, σ_j being the standard deviation of what those that
    leave the old cell j are ``moved``, x_i − T_i (entries, d)."""

    def mean(f: Any) -> Array:  # times m_j
        return np.asarray(np.bincount(columns, values * f))

    squares = [mean(1.0) * mean(f * f) - mean(f) ** 2 for f in moved.T]
    return np.sqrt(np.maximum(squares, 0.0)).sum(axis=1)


def within_cells(F: Functional, rho: Grid, force: Array) -> Hidden:
    """Of densities that are exponentials in each cell, of the steeper of the slopes to both sides.

    With the logarithm's slope s a cell and the changes δf, δ²f of the force from cell to cell, the
    mass of a cell sits off its centre by s/12, or ½ at most, which takes along ρδf; ρδ²f/8, a third
    of which smooth forces make and four times of it those that jump in a cell, and a third of
    what p gains, on average, from ρ to ρ(1 ± tanh ½s) come on top.
    """
    f, p = force.reshape(*rho.shape, rho.dim), pressures(F, rho.density)
    forces, squeezed, turned = np.zeros_like(f), np.zeros_like(p), np.zeros((rho.dim, rho.dim))
    for a in (a for a, n in enumerate(rho.shape) if n > 1):
        steep, bend = _steepness(rho.density, a), np.gradient(f, axis=a)
        off = rho.density * np.minimum(steep / 12.0, 0.5)
        forces += off[..., None] * np.abs(bend)
        forces += rho.density[..., None] * np.abs(np.gradient(bend, axis=a)) / 8.0
        turned[a] = rho.spacing[a] * np.tensordot(off, np.abs(f), rho.dim)
        ends = (pressures(F, rho.density * (1.0 + s * np.tanh(0.5 * steep))) for s in (-1.0, 1.0))
        squeezed += np.abs(sum(ends) / 2.0 - p) / 3.0
    volume = rho.cell_volume
    return Hidden(volume * forces.reshape(-1, rho.dim), volume * squeezed.ravel(), volume * turned)


def _steepness(density: Array, axis: int) -> Array:
    """The larger |log ρ'/ρ| of a cell and its two neighbours along an axis; ∞ beside vacuum."""
    with np.errstate(divide="ignore", invalid="ignore"):
        jumps = np.nan_to_num(np.abs(np.diff(np.log(density), axis=axis)), nan=0.0, posinf=np.inf)
    none = np.zeros_like(jumps.take([0], axis))
    return np.maximum(np.concatenate([none, jumps], axis), np.concatenate([jumps, none], axis))


def pressures(F: Functional, density: Array) -> Array:
    """Σ c p(ρ) of the internal energies."""
    free = [(c, f) for c, f in F.internal.terms if not isinstance(f, Congestion)]
    return sum((c * pressure(f, density) for c, f in free), np.zeros_like(density))


def presses(F: Functional, rho: Grid) -> bool:
    """Whether the density, at its slopes within the cells, reaches a bound."""
    bound = min((f.bound for _, f in F.internal.terms if isinstance(f, Congestion)), default=np.inf)
    slopes = (np.abs(np.gradient(rho.density, axis=a)) for a, n in enumerate(rho.shape) if n > 1)
    return bound < np.inf and bool((rho.density + 0.5 * sum(slopes)).max() >= bound)


def pressure(f: Functional, density: Array) -> Array:
    """ρ²(u/ρ)' = ρ e'(log ρ); nothing presses where nothing is."""
    with np.errstate(all="ignore"):
        slope = f.energy_per_mass(np.log(density))[1]  # type: ignore[attr-defined]
        return np.where(density > 0, density * slope, 0.0)


def _cosines(grid: Grid, x: Array) -> list[tuple[Array, Array]]:
    """cos and sin of k half waves on each axis at the points, (d, n) for k = 0, 1, …"""
    turn = np.exp(1j * np.pi * (x - grid.lower).T / (grid.upper - grid.lower)[:, None])
    powers = accumulate([turn] * _ALONG, np.multiply, initial=np.ones_like(turn))
    return [(p.real.copy(), p.imag.copy()) for p in powers]


def _wave(cosines: list[tuple[Array, Array]], waves: tuple[int, ...]) -> Array:
    """φ (n,)."""
    return reduce(np.multiply, [cosines[k][0][a] for a, k in enumerate(waves)])


def _field(cosines: list[tuple[Array, Array]], waves: tuple[int, ...], q: Array) -> Any:
    """φ (n,) and ∇φ (n, d)."""
    c = [cosines[k][0][a] for a, k in enumerate(waves)]
    slopes = [-q[a] * cosines[k][1][a] for a, k in enumerate(waves)]
    v = [reduce(np.multiply, [*c[:a], slopes[a], *c[a + 1 :]]) for a in range(len(c))]
    return _wave(cosines, waves), np.stack(v, axis=1)
