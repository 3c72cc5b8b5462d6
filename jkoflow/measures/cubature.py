"""Cubature of the standard normal law in any dimension, always with positive weights.

Dimension 1–3: tensor Gauss–Hermite. Up to 64: degree 5, from the origin and the Kerdock lines
(mutually unbiased real bases). Above: degree 3, two points an axis.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..status import InvalidMeasure
from .base import Array

_NODES = {1: 40, 2: 16, 3: 10}
_MOST_POINTS = 4_000_000
# x^3 + x + 1 and x^5 + x^2 + 1 are irreducible over the field of two elements
_MODULUS = {1: 0b10, 3: 0b1011, 5: 0b100101}


@lru_cache(maxsize=16)
def normal_cubature(dim: int) -> tuple[Array, Array]:
    """The default rule: points (n, dim) and positive weights (n,) for N(0, I).

    Exact for polynomials of degree 79, 31, 19 in each variable (dim 1, 2, 3), of total degree 5
    for dim ≤ 64, of total degree 3 above.

    Examples
    --------
    >>> z, w = normal_cubature(7)
    >>> float(w.sum().round(12)), float((w @ z[:, 2] ** 4).round(12))
    (1.0, 3.0)
    """
    if dim in _NODES:
        return tensor_cubature(dim, _NODES[dim])
    if dim <= 64:
        return _read_only(*_degree_five(dim))
    z = np.sqrt(dim) * np.concatenate([np.eye(dim), -np.eye(dim)])
    return _read_only(z, np.full(2 * dim, 0.5 / dim))


def coefficients(dim: int, v: Array) -> Array:
    """(Σ w v, Σ w z vᵀ), shape (…, 1 + dim, dim), of fields v (…, n, dim) at the default points z.

    Those of b + Bz are b and Bᵀ.
    """
    return np.asarray(_against_affine(dim) @ v)


@lru_cache(maxsize=16)
def _against_affine(dim: int) -> Array:
    z, w = normal_cubature(dim)
    return np.vstack([w, (z * w[:, None]).T])


@lru_cache(maxsize=16)
def tensor_cubature(dim: int, order: int) -> tuple[Array, Array]:
    """Gauss–Hermite with ``order`` nodes an axis: exact to degree 2·order − 1 in each variable.

    Raises
    ------
    InvalidMeasure
        If the order is not a positive integer or the rule would have over four million points.
    """
    if isinstance(order, bool) or int(order) != order or order < 1:
        raise InvalidMeasure(f"order must be a positive number of nodes an axis, not {order!r}")
    if dim * np.log(order) > np.log(_MOST_POINTS):
        raise InvalidMeasure(
            f"{order} nodes an axis in dimension {dim} are too many points: lower the order"
        )
    z, w = np.polynomial.hermite_e.hermegauss(int(order))
    w = w / w.sum()
    points = np.stack(np.meshgrid(*[z] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    weights = np.stack(np.meshgrid(*[w] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    return _read_only(points, weights.prod(axis=1))


def _degree_five(dim: int) -> tuple[Array, Array]:
    """The spherical 5-design of the Kerdock lines in R^D, D = 4^k ≥ dim, seen in R^dim.

    In R^D: weight 2/(D+2) at the origin, the rest on the sphere of radius √(D+2), which gives
    E|x|² = D and E|x|⁴ = D(D+2). Coordinates of a normal vector are normal, so that forgetting
    D − dim of them keeps the degree and the weights (Stroud 1971; Cameron & Seidel 1973 for the
    lines).
    """
    exponent = next(k for k in (2, 4, 6) if 2**k >= dim)
    size = 2**exponent
    lines = _kerdock_lines(exponent)[:, :dim]
    points = np.sqrt(size + 2.0) * np.concatenate([lines, -lines])
    weights = np.full(len(points), size / (size + 2.0) / len(points))
    return (
        np.concatenate([np.zeros((1, dim)), points]),
        np.concatenate([[2.0 / (size + 2.0)], weights]),
    )


def _kerdock_lines(exponent: int) -> Array:
    """The D/2 + 1 mutually unbiased orthonormal bases of R^D, D = 2^exponent, exponent even.

    Besides the axes: (−1)^{Q_s(x) + a·x}/√D for all a, with Kerdock's quadratic forms on
    F × {0,1}, F the field of 2^{exponent−1} elements:
    Q_s(y, ε) = Σ_{i=1}^{exponent/2−1} Tr((sy)^{1+2^i}) + ε Tr(sy)   (MacWilliams & Sloane, ch. 15).
    """
    odd, size = exponent - 1, 2**exponent
    index = np.arange(size)
    dot = np.array([[bin(a & x).count("1") & 1 for x in index] for a in index])
    characters = 1.0 - 2.0 * dot
    bases = [np.eye(size)]
    for s in range(size // 2):
        form = np.array([_kerdock_form(s, x >> 1, x & 1, odd) for x in range(size)])
        bases.append(characters * (1.0 - 2.0 * form) / np.sqrt(size))
    return np.concatenate(bases)


def _kerdock_form(s: int, y: int, epsilon: int, odd: int) -> int:
    t = _multiply(s, y, odd)
    total, power = epsilon & _trace(t, odd), t
    for _ in range((odd - 1) // 2):
        power = _multiply(power, power, odd)
        total ^= _trace(_multiply(t, power, odd), odd)
    return total


def _multiply(a: int, b: int, bits: int) -> int:
    """Product in the field of 2^bits elements, written as polynomials over two elements."""
    product = 0
    for k in range(bits):
        if b >> k & 1:
            product ^= a << k
    for k in range(2 * bits - 2, bits - 1, -1):
        if product >> k & 1:
            product ^= _MODULUS[bits] << (k - bits)
    return product


def _trace(a: int, bits: int) -> int:
    """a + a² + a⁴ + …, which is 0 or 1."""
    total = power = a
    for _ in range(bits - 1):
        power = _multiply(power, power, bits)
        total ^= power
    return total


def _read_only(*arrays: Array) -> tuple[Array, Array]:
    for array in arrays:
        array.setflags(write=False)
    return arrays[0], arrays[1]
