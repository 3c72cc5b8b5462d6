"""Losses ℓ(ŷ, y) of a multilayer network, each with its derivative in ŷ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from scipy.special import expit

from ..measures.base import Array
from ..status import InvalidProblem


class Loss(ABC):
    """ℓ(ŷ, y) for outputs ŷ (b, K) and labels y (b,)."""

    name: str

    @abstractmethod
    def value(self, outputs: Array, y: Array) -> Array:
        """ℓ for every row, shape (b,)."""

    @abstractmethod
    def derivative(self, outputs: Array, y: Array) -> Array:
        """∂ℓ/∂ŷ, shape (b, K)."""

    @abstractmethod
    def right(self, outputs: Array, y: Array) -> Array:
        """Whether the outputs name the class y, shape (b,)."""

    @abstractmethod
    def check(self, outputs: int, y: Array) -> None:
        """Raise `InvalidProblem` unless the labels fit the loss and the number of outputs."""

    def spec(self) -> dict[str, Any]:
        """Identity as JSON."""
        return {"loss": self.name}

    def __repr__(self) -> str:
        return self.name


class SquareLoss(Loss):
    """(y − ŷ)², one output; classes are told by the sign.

    Examples
    --------
    >>> outputs, y = np.array([[0.5]]), np.array([1.0])
    >>> SquareLoss().value(outputs, y), SquareLoss().derivative(outputs, y)
    (array([0.25]), array([[-1.]]))
    """

    name = "square"

    def value(self, outputs: Array, y: Array) -> Array:
        return (y - outputs[:, 0]) ** 2

    def derivative(self, outputs: Array, y: Array) -> Array:
        return 2 * (outputs - y[:, None])

    def right(self, outputs: Array, y: Array) -> Array:
        return np.sign(outputs[:, 0]) == np.sign(y)

    def check(self, outputs: int, y: Array) -> None:
        _one_output(self, outputs)


class LogisticLoss(Loss):
    """log(1 + exp(−yŷ)) for y = ±1, one output.

    Examples
    --------
    >>> LogisticLoss().value(np.array([[0.0]]), np.array([-1.0])).round(6)
    array([0.693147])
    """

    name = "logistic"

    def value(self, outputs: Array, y: Array) -> Array:
        return np.logaddexp(0, -y * outputs[:, 0])

    def derivative(self, outputs: Array, y: Array) -> Array:
        return -(y * expit(-y * outputs[:, 0]))[:, None]

    def right(self, outputs: Array, y: Array) -> Array:
        return np.sign(outputs[:, 0]) == y

    def check(self, outputs: int, y: Array) -> None:
        _one_output(self, outputs)
        if not np.isin(y, (-1, 1)).all():
            raise InvalidProblem("the logistic loss needs labels −1 and 1")


class CrossEntropy(Loss):
    """−log softmax(ŷ)_y for classes y = 0, …, K − 1.

    Examples
    --------
    >>> CrossEntropy().value(np.zeros((1, 4)), np.array([2.0])).round(6)     # log 4
    array([1.386294])
    """

    name = "cross-entropy"

    def value(self, outputs: Array, y: Array) -> Array:
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        named: Array = shifted[np.arange(len(y)), y.astype(int)]
        return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - named)

    def derivative(self, outputs: Array, y: Array) -> Array:
        p = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(y)), y.astype(int)] -= 1
        return p

    def right(self, outputs: Array, y: Array) -> Array:
        return outputs.argmax(axis=1) == y

    def check(self, outputs: int, y: Array) -> None:
        if not (np.isin(y, np.arange(outputs)).all() and outputs > 1):
            raise InvalidProblem(
                f"the cross-entropy needs at least two outputs, and labels 0 … {outputs - 1}: "
                f"there are {outputs} outputs and labels from {y.min():g} to {y.max():g}"
            )


def _one_output(loss: Loss, outputs: int) -> None:
    if outputs != 1:
        raise InvalidProblem(f"the {loss.name} loss is for one output, not {outputs}")


LOSSES: dict[str, Loss] = {
    loss.name: loss for loss in (SquareLoss(), LogisticLoss(), CrossEntropy())
}
"""The losses by name."""
