"""Derivatives of F(x, w) by jax or torch, in double precision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from ..measures.base import Array
from ..status import require_extra

ValueFunction = Callable[[Any, Any], Any]


class Backend(ABC):
    """A library that differentiates; made when it is asked for, so that it stays optional."""

    @abstractmethod
    def evaluate(self, function: ValueFunction) -> ValueFunction:
        """F with NumPy arrays in and one number out."""

    @abstractmethod
    def derivative(self, function: ValueFunction, x: Array, w: Array) -> Array:
        """∂F/∂x, shape (n, d)."""

    @abstractmethod
    def weight_derivative(self, function: ValueFunction, x: Array, w: Array) -> Array:
        """∂F/∂w, shape (n,)."""

    def first_variation(self, function: ValueFunction, x: Array, w: Array, at: Array) -> Array:
        """∂F/∂w at extra points of weight 0, less its mean: the derivative along mixtures."""
        points = np.concatenate([x, at])
        slope = self.weight_derivative(function, points, np.concatenate([w, np.zeros(len(at))]))
        return slope[len(x) :] - w @ slope[: len(x)]


class Jax(Backend):
    """jax with 64-bit numbers switched on for the call only."""

    def __init__(self) -> None:
        self._jax: Any = require_extra("jax", "jax")

    def evaluate(self, function: ValueFunction) -> ValueFunction:
        def evaluated(x: Array, w: Array) -> Any:
            with self._double():
                return np.asarray(function(self._array(x), self._array(w)))

        return evaluated

    def derivative(self, function: ValueFunction, x: Array, w: Array) -> Array:
        return self._gradient(function, x, w, 0)

    def weight_derivative(self, function: ValueFunction, x: Array, w: Array) -> Array:
        return self._gradient(function, x, w, 1)

    def _gradient(self, function: ValueFunction, x: Array, w: Array, argument: int) -> Array:
        with self._double():
            gradient = self._jax.grad(function, argnums=argument)
            return np.asarray(gradient(self._array(x), self._array(w)), dtype=float)

    def _array(self, a: Array) -> Any:
        return self._jax.numpy.asarray(a, dtype=self._jax.numpy.float64)

    def _double(self) -> Any:
        switch: Any = getattr(self._jax, "enable_x64", None)
        if switch is None:  # before jax 0.8
            experimental: Any = require_extra("jax.experimental", "jax")
            switch = experimental.enable_x64
        return switch(True)


class Torch(Backend):
    """torch on the processor."""

    def __init__(self) -> None:
        self._torch: Any = require_extra("torch", "torch")

    def evaluate(self, function: ValueFunction) -> ValueFunction:
        def evaluated(x: Array, w: Array) -> Any:
            with self._torch.no_grad():
                answer = function(self._tensor(x), self._tensor(w))
            return answer.numpy() if hasattr(answer, "numpy") else answer

        return evaluated

    def derivative(self, function: ValueFunction, x: Array, w: Array) -> Array:
        points = self._tensor(x).requires_grad_()
        return self._gradient(function(points, self._tensor(w)), points)

    def weight_derivative(self, function: ValueFunction, x: Array, w: Array) -> Array:
        weights = self._tensor(w).requires_grad_()
        return self._gradient(function(self._tensor(x), weights), weights)

    def _gradient(self, value: Any, argument: Any) -> Array:
        (gradient,) = self._torch.autograd.grad(value, argument)
        return np.asarray(gradient.numpy(), dtype=float)

    def _tensor(self, a: Array) -> Any:
        return self._torch.tensor(np.array(a), dtype=self._torch.float64)


BACKENDS: dict[str, Callable[[], Backend]] = {"jax": Jax, "torch": Torch}
