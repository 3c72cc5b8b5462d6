"""An explicit coupling of the old and the new cells, made from the map that a dual point gives.

On the line it is the monotone one. In the plane and in space, each refined point's mass goes to the
cells around its image S(x), in parts that keep the mean.
What then is too much in some old cells is handed on to those nearby that lack it: along Morton's
curve, the last surplus that is left goes to the next cell in need. So both marginals are met to
rounding, and the coupling proves an upper bound of W2 between the cells' masses at their centres.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ...measures.base import Array
from ...measures.grid import Grid
from ...measures.order import monotone_coupling
from ...transport.legendre import spline_values
from .dual import DualPoint

Indices = NDArray[np.int32]
_CHUNK = 4_000_000  # entries made, and costs summed, at once: three dimensions have many


@dataclass(frozen=True)
class GridPlan:
    """Entries of the coupling of new cells (rows) with old ones, its cost, what that may be above
    W2² where the mass of an old cell lies at its centre and goes far apart, and the potential."""

    rows: Indices
    columns: Indices
    values: Array
    squared: float
    torn: float
    potential: Array

    def arrays(self) -> dict[str, Any]:
        """As a witness."""
        return {
            "rows": self.rows, "columns": self.columns,
            "values": self.values, "potential": self.potential,
        }  # fmt: skip


def plan_of(point: DualPoint, rho: Grid) -> GridPlan:
    """The coupling of ``rho`` with the old density, and ψ at the old cells' centres."""
    mu = point.dual.mu
    i, j, m = _on_the_line(mu, rho) if rho.dim == 1 else _along_the_map(point, mu, rho)
    squared, torn = _cost(rho.points, mu.points, i, j, m), _torn(rho, i, j, m)
    return GridPlan(i, j, m, squared, torn, spline_values(point.place))


def _on_the_line(mu: Grid, rho: Grid) -> tuple[Indices, Indices, Array]:
    i, j, m = monotone_coupling(rho.points[:, 0], rho.weights, mu.points[:, 0], mu.weights)
    return i.astype(np.int32), j.astype(np.int32), m


def _along_the_map(point: DualPoint, mu: Grid, rho: Grid) -> tuple[Indices, Indices, Array]:
    rough = _spread(point, rho)
    lacking = mu.weights - np.asarray(rough.sum(axis=0)).ravel()
    start, row, surplus = _taken(rough.indptr, rough.indices, rough.data, -lacking)
    lacking = np.maximum(lacking, 0.0)
    if lacking.any():  # rounding of the two totals must not be left over in one cell
        lacking *= surplus.sum() / lacking.sum()
    order = morton_order(mu.shape)
    heaviest = int(rho.weights.argmax()), int(mu.weights.argmax())
    more_rows, more_columns, more = _matched(order, start, row, surplus, lacking, *heaviest)
    cell = np.arange(mu.weights.size, dtype=np.int32)
    held = rough.data > 0
    i = np.concatenate([rough.indices[held], more_rows], dtype=np.int32)
    j = np.concatenate(
        [np.repeat(cell, np.diff(rough.indptr))[held], more_columns], dtype=np.int32
    )
    m = np.concatenate([rough.data[held], more])
    return i, j, m


def _cost(x: Array, y: Array, i: Indices, j: Indices, m: Array) -> float:
    """Σ m |x_i − y_j|²."""
    total = 0.0
    for first in range(0, len(m), _CHUNK):
        part = slice(first, first + _CHUNK)
        total += float(m[part] @ ((x[i[part]] - y[j[part]]) ** 2).sum(axis=1))
    return total


def _torn(rho: Grid, i: Indices, j: Indices, m: Array) -> float:
    """2Σ_a (h_a/√12) Σ_j μ_jσ_ja: with places o in old cells, 2∫⟨x, o⟩ is no more than that, σ_j
    being how far from each other the x are that come from a cell."""
    total, mass = 0.0, np.bincount(j, m)
    for h, x in zip(rho.spacing, rho.points.T, strict=True):
        moment = m * x[i]
        mean, square = np.bincount(j, moment), np.bincount(j, moment * x[i])
        total += h * float(np.sqrt(np.maximum(mass * square - mean**2, 0.0)).sum())
    return total / np.sqrt(3.0)


def _spread(point: DualPoint, rho: Grid) -> Any:
    """Sparse masses (new cell, old cell), each image shared by the cells around it."""
    refine, n = point.dual.refine, rho.weights.size
    # each new cell's own mass is divided among its refined points as the density is
    bought = point.dual.cell_means(point.density).ravel() * refine**rho.dim
    scale = np.divide(rho.weights, bought, out=np.zeros(n), where=bought > 0)
    images = point.transform.minimisers()
    entries = (2 * refine) ** rho.dim * (n // rho.shape[0])
    slab = max(1, _CHUNK // entries)
    total = sparse.csc_array((n, n))
    for first in range(0, rho.shape[0], slab):
        fine = slice(first * refine, (first + slab) * refine)
        used = np.nonzero(point.density[fine] > 0)
        cell = (used[0] // refine + first, *(f // refine for f in used[1:]))
        row = np.ravel_multi_index(cell, rho.shape).astype(np.int32)
        share = point.density[fine][used] * scale[row]
        column, mass = _around([s[fine][used] for s in images], share, rho.shape)
        rows = np.broadcast_to(row, mass.shape)
        entry = (mass.ravel(), (rows.ravel(), column.ravel()))
        total = total + sparse.csc_array(entry, shape=(n, n))
    return total


def _around(images: list[Array], share: Array, shape: tuple[int, ...]) -> tuple[Indices, Array]:
    """The 2^d cells around each image and their parts of its mass, both (2^d, images)."""
    first = [np.clip(np.floor(s).astype(np.int32), 0, max(n - 2, 0))
             for s, n in zip(images, shape, strict=True)]  # fmt: skip
    rest = [np.clip(s - k, 0.0, 1.0) for s, k in zip(images, first, strict=True)]
    corners = list(itertools.product((0, 1), repeat=len(shape)))
    cell = np.zeros((len(corners), len(share)), dtype=np.int32)
    mass = np.tile(share, (len(corners), 1))
    for c, corner in enumerate(corners):
        for a, side in enumerate(corner):
            mass[c] *= rest[a] if side else 1.0 - rest[a]
            cell[c] *= shape[a]
            cell[c] += np.minimum(first[a] + side, shape[a] - 1)
    return cell, mass


def morton_order(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Cells along Morton's curve, on which cells that are near stay near.

    Examples
    --------
    >>> morton_order((2, 2))
    array([0, 1, 2, 3])
    >>> morton_order((2, 4))
    array([0, 1, 4, 5, 2, 3, 6, 7])
    """
    index = np.indices(shape, dtype=np.int64).reshape(len(shape), -1)
    code = np.zeros(index.shape[1], dtype=np.int64)
    for bit in range(int(max(shape)).bit_length()):
        for axis in range(len(shape)):
            place = bit * len(shape) + (len(shape) - 1 - axis)
            code |= ((index[axis] >> bit) & 1) << place
    return np.argsort(code, kind="stable")


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _taken(start: Any, row: Any, mass: Any, surplus: Any) -> Any:
    """Take the surplus of each column from its last entries: where they start, rows, masses."""
    rows, taken = np.empty(len(mass), np.int64), np.empty(len(mass))
    first, found = np.zeros(len(start), np.int64), 0
    for j in range(len(surplus)):
        left, e = surplus[j], start[j + 1] - 1
        while left > 0.0 and e >= start[j]:
            part = min(left, mass[e])
            if part > 0.0:
                mass[e] -= part
                left -= part
                rows[found], taken[found] = row[e], part
                found += 1
            e -= 1
        first[j + 1] = found
    return first, rows[:found], taken[:found]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _matched(
    order: Any, start: Any, row: Any, surplus: Any, lacking: Any, big_row: int, big_column: int
) -> Any:
    """Last in, first out: surpluses and needs along the order, each with the nearest before it.

    What rounding leaves over in the end is hidden in the row and the column of most mass.
    """
    size = len(surplus) + len(order) + 1
    rows, columns = np.empty(2 * size, np.int64), np.empty(2 * size, np.int64)
    values = np.empty(2 * size)
    found = 0
    have_row, have, haves = np.empty(size, np.int64), np.empty(size), 0
    need_column, need, needs = np.empty(size, np.int64), np.empty(size), 0
    for j in order:
        for e in range(start[j], start[j + 1]):
            left = surplus[e]
            while left > 0.0 and needs > 0:
                moved = min(left, need[needs - 1])
                rows[found], columns[found], values[found] = row[e], need_column[needs - 1], moved
                found += 1
                left -= moved
                need[needs - 1] -= moved
                if need[needs - 1] <= 0.0:
                    needs -= 1
            if left > 0.0:
                have_row[haves], have[haves] = row[e], left
                haves += 1
        left = lacking[j]
        while left > 0.0 and haves > 0:
            moved = min(left, have[haves - 1])
            rows[found], columns[found], values[found] = have_row[haves - 1], j, moved
            found += 1
            left -= moved
            have[haves - 1] -= moved
            if have[haves - 1] <= 0.0:
                haves -= 1
        if left > 0.0:
            need_column[needs], need[needs] = j, left
            needs += 1
    for e in range(haves):
        rows[found], columns[found], values[found] = have_row[e], big_column, have[e]
        found += 1
    for e in range(needs):
        rows[found], columns[found], values[found] = big_row, need_column[e], need[e]
        found += 1
    return rows[:found], columns[:found], values[:found]
