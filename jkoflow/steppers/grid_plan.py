"""An explicit coupling of the old and the new cells, made from the map that a dual point gives.

Each refined point's mass goes to the cells around its image S(x), in parts that keep the mean.
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

from ..measures.base import Array
from ..measures.grid import Grid
from .grid_dual import DualPoint

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class GridPlan:
    """Entries of the coupling of new cells (rows) with old ones, its cost, and the potential."""

    rows: Indices
    columns: Indices
    values: Array
    squared: float
    potential: Array

    def arrays(self) -> dict[str, Any]:
        """As a witness."""
        return {
            "rows": self.rows.astype(np.int32), "columns": self.columns.astype(np.int32),
            "values": self.values, "potential": self.potential,
        }  # fmt: skip


def plan_of(point: DualPoint, rho: Grid) -> GridPlan:
    """The coupling of ``rho`` with the old density, and ψ at the old cells' centres."""
    from ..transport.legendre import spline_values

    mu = point.dual.mu
    rough = _spread(point, rho)
    arriving = np.asarray(rough.sum(axis=0)).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(arriving > mu.weights, mu.weights / arriving, 1.0)
    kept = (rough @ sparse.diags_array(part)).tocoo()
    extra = (rough @ sparse.diags_array(1.0 - part)).tocoo()
    lacking = np.maximum(mu.weights - np.asarray(kept.sum(axis=0)).ravel(), 0.0)
    if lacking.any():  # rounding of the two totals must not be left over in one cell
        lacking *= extra.sum() / lacking.sum()
    rows, columns, values = _handed_on(extra, lacking, mu.shape)
    i = np.concatenate([kept.row, rows]).astype(np.int64)
    j = np.concatenate([kept.col, columns]).astype(np.int64)
    m = np.concatenate([kept.data, values])
    held = m > 0
    i, j, m = i[held], j[held], m[held]
    squared = float(m @ ((rho.points[i] - mu.points[j]) ** 2).sum(axis=1))
    return GridPlan(i, j, m, squared, spline_values(point.place))


def _spread(point: DualPoint, rho: Grid) -> Any:
    """Sparse masses (new cell, old cell), each image shared by the cells around it."""
    shape, refine = rho.shape, point.dual.refine
    mass = point.density.ravel()
    used = np.flatnonzero(mass > 0)
    fine = np.unravel_index(used, point.density.shape)
    cell = np.ravel_multi_index(tuple(f // refine for f in fine), shape)
    # each new cell's own mass, divided among its refined points as the density is
    bought = np.bincount(cell, weights=mass[used], minlength=rho.weights.size)
    share = mass[used] / bought[cell] * rho.weights[cell]
    images = [s.ravel()[used] for s in point.transform.minimisers()]
    first = [np.clip(np.floor(s).astype(np.int64), 0, max(n - 2, 0))
             for s, n in zip(images, shape, strict=True)]  # fmt: skip
    rest = [np.clip(s - k, 0.0, 1.0) for s, k in zip(images, first, strict=True)]
    total = sparse.csr_array((rho.weights.size, rho.weights.size))
    for corner in itertools.product((0, 1), repeat=len(shape)):
        part, index = share, np.zeros(len(used), dtype=np.int64)
        for a, side in enumerate(corner):
            part = part * (rest[a] if side else 1.0 - rest[a])
            index = index * shape[a] + np.minimum(first[a] + side, shape[a] - 1)
        total = total + sparse.csr_array((part, (cell, index)), shape=total.shape)
    return total.tocsr()


def _handed_on(extra: Any, lacking: Array, shape: tuple[int, ...]) -> tuple[Any, Any, Array]:
    """Entries that bring the surplus of some columns to columns nearby that lack mass."""
    order = morton_order(shape)
    by_column = extra.tocsc()
    by_column.sort_indices()
    rows, columns, values = _matched(
        order, by_column.indptr.astype(np.int64), by_column.indices.astype(np.int64),
        by_column.data, lacking,
    )  # fmt: skip
    return rows, columns, values


def morton_order(shape: tuple[int, ...]) -> Indices:
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
def _matched(order: Any, start: Any, row: Any, surplus: Any, lacking: Any) -> Any:
    """Last in, first out: surpluses and needs along the order, each with the nearest before it."""
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
    return rows[:found], columns[:found], values[:found]
