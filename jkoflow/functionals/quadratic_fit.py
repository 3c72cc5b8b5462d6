"""A quadratic function, found from its values, and the normal law that it is the potential of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..measures.base import Array
from ..measures.gaussian import Gaussian
from ..status import MissingStructure


class Quadratic(NamedTuple):
    """c + ⟨b, z⟩ + ½⟨z, Az⟩, the largest misfit within three standard deviations, and the largest
    one within ten relative to how f varies."""

    c: float
    b: Array
    A: Array
    near: float
    relative: float

    def law(self, mean: Array, root: Array) -> tuple[Gaussian, float]:
        """The law of x = mean + root·z with density exp(−q(z))/Z in x, and log Z.

        Raises
        ------
        MissingStructure
            If exp(−q) does not decay in every direction.
        """
        values, vectors = np.linalg.eigh(self.A)
        if not values[0] > 1e-12 * values[-1]:
            raise MissingStructure("exp(−β δS/δρ) does not decay in every direction")
        shift = -vectors @ ((vectors.T @ self.b) / values)
        factor = root @ (vectors / np.sqrt(values))
        star = Gaussian(mean + root @ shift, factor @ factor.T)
        log_z = 0.5 * (len(values) * math.log(2.0 * math.pi) + star.log_det())
        return star, log_z + 0.5 * float(shift @ self.A @ shift) - self.c


def quadratic_fit(f: Callable[[Array], Array], dim: int) -> Quadratic:
    """f (m, d) → (m,) as a quadratic, by differences, and how badly that fits at 64 points.

    Examples
    --------
    >>> fit = quadratic_fit(lambda z: 1.0 + z[:, 0] + z[:, 0] * z[:, 1], 2)
    >>> fit.c, fit.b, fit.A, fit.relative < 1e-15
    (1.0, array([1., 0.]), array([[0., 1.],
           [1., 0.]]), True)
    """
    eye, rng = np.eye(dim), np.random.default_rng(0)
    c, up = float(f(np.zeros((1, dim)))[0]), f(eye)
    A = np.array([f(eye + e) - up - f(e[None]) + c for e in eye])
    b, z = up - c - 0.5 * np.diag(A), rng.normal(size=(64, dim))
    z *= np.repeat([0.3, 1.0, 3.0, 10.0], 16)[:, None]
    values = f(z)
    off = np.abs(values - c - z @ b - 0.5 * np.einsum("ij,jk,ik->i", z, A, z))
    # a constant hides nothing but what it rounds, in b and A too
    rounding = 4.0 * np.finfo(float).eps * abs(c) * (1.0 + np.abs(z).sum(axis=1)) ** 2
    size = np.abs(values - c) + np.abs(up - c).max()
    relative = np.maximum(0.0, off - rounding) / np.where(size > 0, size, 1.0)
    return Quadratic(c, b, 0.5 * (A + A.T), float(off[:32].max()), float(relative.max()))
