"""Hessians of smooth functionals in the positions of weighted points, kept in structured form.

For x ↦ F(Σ w_i δ_{x_i}), x of shape (n, d), the Hessian is a block diagonal plus a remainder; the
remainder is a list of parts, each low rank, dense, or only known by its action.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..measures.base import Array


class Part(Protocol):
    """A symmetric linear map on displacements of shape (n, d)."""

    def apply(self, v: Array) -> Array: ...
    def scaled(self, c: float) -> Part: ...


@dataclass(frozen=True)
class LowRank:
    """v ↦ Σ_q signs_q J_q ⟨J_q, v⟩ with ``factor`` J of shape (q, n, d)."""

    factor: Array
    signs: Array

    def apply(self, v: Array) -> Array:
        c = self.signs * np.tensordot(self.factor, v, axes=2)
        return np.tensordot(c, self.factor, axes=1)

    def scaled(self, c: float) -> LowRank:
        return LowRank(np.sqrt(abs(c)) * self.factor, np.sign(c) * self.signs)


@dataclass(frozen=True)
class Dense:
    """v ↦ A v with ``matrix`` of shape (n·d, n·d), points major."""

    matrix: Array

    def apply(self, v: Array) -> Array:
        return (self.matrix @ v.ravel()).reshape(v.shape)

    def scaled(self, c: float) -> Dense:
        return Dense(c * self.matrix)


@dataclass(frozen=True)
class Action:
    """A map known only by what it does to a displacement (n, d)."""

    function: Callable[[Array], Array]
    factor: float = 1.0

    def apply(self, v: Array) -> Array:
        return self.factor * self.function(v)

    def scaled(self, c: float) -> Action:
        return Action(self.function, c * self.factor)


@dataclass(frozen=True)
class Curvature:
    """``blocks`` (n, d, d) on the diagonal plus ``parts``.

    Examples
    --------
    >>> H = Curvature(np.ones((2, 1, 1)), [LowRank(np.ones((1, 2, 1)), np.ones(1))])
    >>> H.apply(np.array([[1.0], [0.0]])).ravel()
    array([2., 1.])
    """

    blocks: Array
    parts: list[Part] = field(default_factory=list)

    def apply(self, v: Array) -> Array:
        """Hessian times a displacement, (n, d) → (n, d)."""
        result = np.einsum("nij,nj->ni", self.blocks, v)
        for part in self.parts:
            result = result + part.apply(v)
        return result

    def __add__(self, other: Curvature) -> Curvature:
        return Curvature(self.blocks + other.blocks, self.parts + other.parts)

    def scaled(self, c: float) -> Curvature:
        return Curvature(c * self.blocks, [part.scaled(c) for part in self.parts])
