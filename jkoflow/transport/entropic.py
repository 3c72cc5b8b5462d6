"""Gaussian kernels on boxes, applied axis by axis to logarithms: nothing underflows silently.

(G ∗ f)(x_i) = Σ_j v (2πε)^{-d/2} exp(−|x_i − x_j|²/2ε) f_j over the cells of a regular grid and
their mirror images behind the walls. The kernel is a product over the axes, so that each axis
costs one product with an n × n matrix. That is done with exponentials, scaled by the largest;
where the range of float64 does not reach, the lines that suffer are summed again in logarithms.
"""

from __future__ import annotations

import numba
import numpy as np

from ..measures.base import Array

_TINY = 1e-280  # sums above are untouched by what underflowed: N·1e-308 is far below their rounding
_BLOCK = 16
_NEGLIGIBLE = 42.0  # e^-42 = 6e-19 of the largest term, times n, is below rounding


class LogKernel:
    """log(G ∗ e^f) for the heat kernel G of variance ε an axis, between the cells of a box.

    Parameters
    ----------
    shape : tuple of int
    spacing : array, shape (d,)
        Lengths of a cell's edges.
    epsilon : float
        Variance of the kernel, in length².

    Attributes
    ----------
    exact_lines : int
        How many lines have been summed in logarithms so far.

    Notes
    -----
    Walls reflect (Neumann's condition), so that G ∗ 1 = 1. Against the integral, the sum over
    cells is exact to exp(−2π²ε/h²): 3e-9 at ε = h². Sums are exact to rounding, n·2⁻⁵³ of each.

    Examples
    --------
    >>> kernel = LogKernel((30,), np.array([1.0]), 0.5)
    >>> one = np.full(30, -np.inf)
    >>> one[0] = 0.0                                     # and its image in the wall at −½
    >>> (kernel(one)[[0, 5, 29]] + 0.5 * np.log(np.pi)).round(2)     # e^-841 is not 0
    array([ 3.10e-01, -2.50e+01, -8.41e+02])
    """

    def __init__(self, shape: tuple[int, ...], spacing: Array, epsilon: float) -> None:
        self.shape = shape
        self.rates = [float(h * h / (2.0 * epsilon)) for h in spacing]
        self.log_factors = [0.5 * float(np.log(q / np.pi)) for q in self.rates]
        self.copies = [_copies(n, q) for n, q in zip(shape, self.rates, strict=True)]
        self.matrices = [
            _matrix(n, q, p) for n, q, p in zip(shape, self.rates, self.copies, strict=True)
        ]
        self.exact_lines = 0

    def __call__(self, f: Array) -> Array:
        """log(G ∗ e^f) for an array of the grid's shape; −∞ stands for nothing."""
        top = f.max()
        if top == -np.inf:
            return f.copy()
        total = sum(self.log_factors)
        product = np.exp(f - top)
        for axis in range(f.ndim):
            product = self._product(product, axis)
        if product.min() >= _TINY:
            return np.asarray(np.log(product) + (top + total))
        result = f
        for axis in range(f.ndim):
            result = self._along(result, axis)
        return np.asarray(result + total)

    def _product(self, values: Array, axis: int) -> Array:
        """The kernel's matrix along an axis; it is symmetric."""
        if values.ndim == 1:
            return np.asarray(self.matrices[0] @ values)
        if axis == values.ndim - 1:
            return np.asarray(values @ self.matrices[axis])
        n = values.shape[axis]
        tail = int(np.prod(values.shape[axis + 1 :]))
        flat = values.reshape(-1, n, tail)
        return np.asarray(np.matmul(self.matrices[axis], flat)).reshape(values.shape)

    def _along(self, f: Array, axis: int) -> Array:
        """One axis in logarithms: by products where their range does, else line by line."""
        moved = np.moveaxis(f, axis, -1)
        lines = np.ascontiguousarray(moved).reshape(-1, f.shape[axis])
        top = lines.max(axis=1, keepdims=True)
        held = np.where(top > -np.inf, top, 0.0)
        product = np.exp(lines - held) @ self.matrices[axis]
        with np.errstate(divide="ignore"):
            result = np.log(product) + held
        poor = np.flatnonzero((product.min(axis=1) < _TINY) & (top[:, 0] > -np.inf))
        if len(poor):
            images = _mirrored(lines[poor], self.copies[axis])
            _sum_lines(images, poor, self.rates[axis], product, result)
            self.exact_lines += len(poor)
        return np.moveaxis(result.reshape(moved.shape), -1, axis)


def _copies(n: int, rate: float) -> int:
    """Mirror images of the box on each side that the kernel reaches, in steps of 8√ε.

    One more, since at the far end of the box a second image is hardly farther than the cell.
    """
    return max(1, int(np.ceil(8.0 / (n * np.sqrt(2.0 * rate))))) + 1


def _matrix(n: int, rate: float, copies: int) -> Array:
    """The kernel's sum over a cell's images, as a matrix; symmetric."""
    here = np.arange(n)
    total = np.zeros((n, n))
    for k in range(-copies, copies + 1):
        there = k * n + (here if k % 2 == 0 else here[::-1])
        total += np.exp(-rate * (here[:, None] - there) ** 2.0)
    return total


def _mirrored(lines: Array, copies: int) -> Array:
    """Lines with their images on both sides."""
    parts = [lines if k % 2 == 0 else lines[:, ::-1] for k in range(-copies, copies + 1)]
    return np.concatenate(parts, axis=1)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _sum_lines(images: Array, which: Array, rate: float, product: Array, out: Array) -> None:
    """log Σ_j exp(l_j − rate (i − j)²) at those i of some lines where the product is too small.

    Blocks of j whose largest possible term is negligible are passed over.
    """
    n, wide = out.shape[1], images.shape[1]
    first = (wide - n) // 2
    blocks = (wide + _BLOCK - 1) // _BLOCK
    highest = np.empty(blocks)
    for row in range(len(which)):
        line, k = images[row], which[row]
        for b in range(blocks):
            highest[b] = line[b * _BLOCK : (b + 1) * _BLOCK].max()
        nearest = first + int(np.argmax(line[first : first + n]))
        for target in range(n):
            if product[k, target] >= _TINY:
                continue
            i = first + target
            top = line[nearest] - rate * (i - nearest) ** 2
            for b in range(blocks):
                gap = max(b * _BLOCK - i, i - (b + 1) * _BLOCK + 1, 0)
                if highest[b] - rate * gap * gap > top:
                    for j in range(b * _BLOCK, min(wide, (b + 1) * _BLOCK)):
                        term = line[j] - rate * (i - j) ** 2
                        if term > top:
                            top, nearest = term, j
            total = 0.0
            for b in range(blocks):
                gap = max(b * _BLOCK - i, i - (b + 1) * _BLOCK + 1, 0)
                if highest[b] - rate * gap * gap > top - _NEGLIGIBLE:
                    for j in range(b * _BLOCK, min(wide, (b + 1) * _BLOCK)):
                        term = line[j] - rate * (i - j) ** 2 - top
                        if term > -_NEGLIGIBLE:
                            total += np.exp(term)
            out[k, target] = top + np.log(total)
