"""Kernels k(x, y) for the maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite
from ..measures.base import Array
from ..status import InvalidFunctional
from .answers import answer_of, finite_answer
from .differences import difference_gradient
from .identity import describe


class Kernel:
    """k(x (n, d), y (m, d)) → (n, m), with its gradient in x, (n, m, d).

    ``positive`` says that k is claimed (conditionally) positive definite; ``curvature_range`` is
    an interval that is claimed to hold the second derivatives in x along all unit vectors.
    """

    positive = False
    difference_scale: float = 1.0  # of differences, see `Functional.difference_scale`
    curvature_range: tuple[float, float] | None = None

    def __init__(self, function: Callable[[Array, Array], ArrayLike]) -> None:
        self.function = function

    def __call__(self, x: Array, y: Array) -> Array:
        answer = answer_of(self.function, (x, y), (len(x), len(y)), "kernel(x, y)")
        return finite_answer(answer, "the kernel")

    def gradient(self, x: Array, y: Array) -> Array:
        shape = (len(x), *y.shape)
        given = getattr(self.function, "gradient", None)
        if given is not None:
            answer = answer_of(given, (x, y), shape, "kernel.gradient(x, y)")
            return finite_answer(answer, "the gradient of the kernel")

        def column(point: Array) -> Array:
            return difference_gradient(
                lambda p: self(p, point[None])[:, 0], x, self.difference_scale
            )

        return np.stack([column(point) for point in y], axis=1)

    def spec(self) -> dict[str, Any]:
        return {"kernel": describe(self.function)}


class GaussianKernel(Kernel):
    """exp(−|x−y|²/(2h²)) with bandwidth h.

    Examples
    --------
    >>> GaussianKernel(2.0)(np.zeros((1, 2)), np.zeros((1, 2)))
    array([[1.]])
    """

    positive = True

    def __init__(self, bandwidth: float) -> None:
        if not (is_finite(bandwidth) and bandwidth > 0):
            raise InvalidFunctional(f"bandwidth must be positive and finite, not {bandwidth!r}")
        self.bandwidth = float(bandwidth)
        # (s² − 1)exp(−s²/2)/h² lies highest at s² = 3 and lowest at s = 0
        self.curvature_range = (-1.0 / bandwidth**2, 2.0 * np.exp(-1.5) / bandwidth**2)

    def __call__(self, x: Array, y: Array) -> Array:
        return np.exp(-0.5 * squared_distances(x, y) / self.bandwidth**2)

    def gradient(self, x: Array, y: Array) -> Array:
        return -(x[:, None] - y) / self.bandwidth**2 * self(x, y)[:, :, None]

    def hessian(self, x: Array, y: Array) -> Array:
        """∇²_x k, (n, m, d, d); −∇_x∇_y k as well."""
        z = (x[:, None] - y) / self.bandwidth**2
        outer = z[:, :, :, None] * z[:, :, None, :] - np.eye(x.shape[1]) / self.bandwidth**2
        return outer * self(x, y)[:, :, None, None]

    def spec(self) -> dict[str, Any]:
        return {"kernel": "gaussian", "bandwidth": self.bandwidth}

    def __repr__(self) -> str:
        return f"GaussianKernel({self.bandwidth:g})"


class EnergyKernel(Kernel):
    """−|x−y|: conditionally positive definite; its MMD is the energy distance.

    Examples
    --------
    >>> EnergyKernel()(np.zeros((1, 1)), np.array([[3.0]]))
    array([[-3.]])
    """

    positive = True

    def __init__(self) -> None:
        pass

    def __call__(self, x: Array, y: Array) -> Array:
        return -np.sqrt(squared_distances(x, y))

    def gradient(self, x: Array, y: Array) -> Array:
        z = x[:, None] - y
        length = np.sqrt(np.einsum("ijd,ijd->ij", z, z))[:, :, None]
        return -z / np.where(length > 0, length, 1.0)

    def spec(self) -> dict[str, Any]:
        return {"kernel": "energy"}

    def __repr__(self) -> str:
        return "EnergyKernel()"


def as_kernel(kernel: Any) -> Kernel:
    """The kernel itself, or a function made into one."""
    if isinstance(kernel, Kernel):
        return kernel
    if not callable(kernel):
        raise InvalidFunctional(
            f"kernel must be a function k(x (n, d), y (m, d)) → (n, m), not {kernel!r}"
        )
    return Kernel(kernel)


def squared_distances(x: Array, y: Array) -> Array:
    """|x_i − y_j|², (n, m), by coordinates: exact zeros for equal points."""
    result = np.zeros((len(x), len(y)))
    for k in range(x.shape[1]):
        result += (x[:, None, k] - y[None, :, k]) ** 2
    return result
