"""The c-transform on boxes, for the cost |x − y|²/2τ, in linear time and with its transpose.

Potentials are splines ψ(y) = Σ c_k B(y − y_k) on a regular grid, B the product of quadratic
B-splines. ψ^c(x) = min_y |x − y|²/2τ − ψ(y) is taken axis by axis, since the cost is a sum over
axes; each line costs O(n). As the B-spline's weights are nonnegative, ψ^c(x) is concave in c, and
its derivative spreads the mass at x over the cells around its minimiser y = S(x), conserving it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, spline_filter1d

from ..measures.base import Array
from .legendre_kernels import transform_lines, transposed_lines

AT_NODES = np.array([0.125, 0.75, 0.125])
"""A quadratic spline at its own nodes, in its coefficients."""


def spline_values(c: Array) -> Array:
    """The spline at its own nodes; a symmetric matrix, so its own transpose.

    Examples
    --------
    >>> spline_values(np.array([0.0, 0.0, 8.0, 0.0]))
    array([0., 1., 6., 1.])
    """
    for axis in range(c.ndim):
        c = correlate1d(c, AT_NODES, axis=axis, mode="reflect")
    return c


def spline_coefficients(values: Array) -> Array:
    """Inverse of `spline_values`.

    Examples
    --------
    >>> x = np.array([1.0, 3.0, 2.0, 2.5])
    >>> bool(np.allclose(spline_values(spline_coefficients(x)), x))
    True
    """
    for axis in range(values.ndim):
        values = spline_filter1d(values, 2, axis=axis, mode="reflect")
    return values


class CTransform:
    """ψ^c of the spline with coefficients ``c``, at ``refine`` points a cell and axis.

    Parameters
    ----------
    c : array, shape (n_1, …, n_d)
        d ≤ 3.
    spacing : array, shape (d,)
    tau : float
    refine : int

    Examples
    --------
    >>> zero = CTransform(np.zeros((4, 4)), np.array([0.25, 0.25]), 0.1)
    >>> zero.value.shape, float(abs(zero.value).max())
    ((4, 4), 0.0)
    >>> float(zero.transposed(np.full((4, 4), 1 / 16)).sum())
    1.0
    """

    def __init__(self, c: Array, spacing: Array, tau: float, refine: int = 1) -> None:
        self._shape = c.shape
        self._passes: list[tuple[NDArray[np.int32], Array]] = []
        g = -c
        for axis, h in enumerate(spacing):
            lines = np.ascontiguousarray(np.moveaxis(g, axis, -1))
            flat = lines.reshape(-1, lines.shape[-1])
            size = (len(flat), flat.shape[1] * refine)
            value, offset = np.empty(size), np.empty(size)
            node = np.empty(size, dtype=np.int32)
            transform_lines(flat, h * h / (2.0 * tau), refine, value, node, offset)
            self._passes.append((node.view(), offset.view()))
            g = np.moveaxis(value.reshape(*lines.shape[:-1], -1), -1, axis)
        self.value: Array = np.ascontiguousarray(g)
        """ψ^c, shape (n_1·refine, …)."""

    def transposed(self, mass: Array) -> Array:
        """Σ_x mass(x) B(S(x) − y_k): minus the derivative of ⟨mass, ψ^c⟩ in the coefficients."""
        for axis in reversed(range(mass.ndim)):
            node, offset = self._passes[axis]
            lines = np.ascontiguousarray(np.moveaxis(mass, axis, -1))
            out = np.zeros((len(node), self._shape[axis]))
            transposed_lines(lines.reshape(len(node), -1), node, offset, out)
            mass = np.moveaxis(out.reshape(*lines.shape[:-1], -1), -1, axis)
        return np.ascontiguousarray(mass)

    def minimisers(self) -> list[Array]:
        """S(x), one array for each axis, in units of cells: k is the centre of cell k."""
        found: list[Array] = []
        d = len(self._passes)
        shape = self.value.shape
        index = [np.arange(n).reshape([-1 if a == b else 1 for b in range(d)])
                 for a, n in enumerate(shape)]  # fmt: skip
        for axis in reversed(range(d)):  # the last pass is read at x, the one before at S there
            node, offset = self._passes[axis]
            sizes = [shape[a] if a <= axis else self._shape[a] for a in range(d)]
            sizes_last = [*sizes[:axis], *sizes[axis + 1 :], sizes[axis]]
            where = [*index[:axis], *index[axis + 1 :], index[axis]]
            place = tuple(np.broadcast_arrays(*where))
            at = np.ravel_multi_index(place, sizes_last)
            k = node.ravel()[at]
            found.insert(0, k + offset.ravel()[at])
            index[axis] = k
        return [np.ascontiguousarray(np.broadcast_to(s, shape)) for s in found]
