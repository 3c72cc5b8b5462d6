"""Layers of a multilayer network: what the user writes, and how each is wired to the one before."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from scipy.linalg.blas import dgemm, sgemm

from ..arguments import is_finite, whole
from ..measures.base import Array
from ..status import InvalidProblem


@dataclass(frozen=True)
class Dense:
    """``width`` units, each of which sees every unit of the layer before, at every position.

    Parameters
    ----------
    width : int
        Number n_l of units; of the last layer, the number of outputs.
    mean, std : float
        μ and τ of the initial weights N(μ/m, τ²/m). m is the number of those inputs of a unit
        that stay as many however wide the network is: all inputs in the first layer; after it,
        the positions that the layer before has for each of its units, 1 unless that is a
        convolution.
    bias : bool
        Whether a unit has a bias, which starts at 0.
    """

    width: int
    mean: float = 0.0
    std: float = 1.0
    bias: bool = False

    def __post_init__(self) -> None:
        _check_layer(self)

    def spec(self) -> dict[str, Any]:
        """Identity as JSON."""
        return {"layer": "Dense", **_numbers(self)}


@dataclass(frozen=True)
class Convolution:
    """``width`` units that are images: the same filter at every position of an image.

    Every pair of a unit and a unit before has a filter of ``size`` × ``size`` weights. Mean-field
    limits are taken in the number of units (channels); filters and images keep their sizes.

    Parameters
    ----------
    width : int
    size, stride : int
    padding : int
        Zeros around the image.
    mean, std, bias
        As for `Dense`; m = size² times the input's channels, if the layer is the first.
    """

    width: int
    size: int
    stride: int = 1
    padding: int = 0
    mean: float = 0.0
    std: float = 1.0
    bias: bool = False

    def __post_init__(self) -> None:
        _check_layer(self)
        for name, least in (("size", 1), ("stride", 1), ("padding", 0)):
            whole(getattr(self, name), f"a convolution's {name}", least)

    def spec(self) -> dict[str, Any]:
        """Identity as JSON."""
        sizes = {"size": self.size, "stride": self.stride, "padding": self.padding}
        return {"layer": "Convolution", **_numbers(self), **sizes}


Layer = Dense | Convolution


@dataclass(frozen=True)
class Wired:
    """A layer in its place: h = scale · patches(z) W + bias.

    z has shape (batch, positions before, units before). ``taps`` (positions, K) are the positions
    seen from each position, len(z) for the zeros around the image; None: all, in their order.
    ``scale`` is 1/n_{l−1}, or 1 in the first layer.
    """

    layer: Layer
    units_before: int
    positions_before: int
    grid: tuple[int, int]
    taps: Any = field(repr=False)
    scale: float
    last: bool

    @property
    def width(self) -> int:
        return int(self.layer.width)

    @property
    def positions(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def fan_in(self) -> int:
        """Inputs of one unit at one position."""
        seen = self.positions_before if self.taps is None else self.taps.shape[1]
        return int(seen) * self.units_before

    @property
    def fixed_inputs(self) -> int:
        """m: those inputs of a unit that do not become more with the width."""
        return self.fan_in if self.scale == 1.0 else self.fan_in // self.units_before

    @property
    def shape(self) -> tuple[int, int]:
        """Of the layer's parameters: one column for each unit; the last row is the bias."""
        return self.fan_in + int(self.layer.bias), self.width

    @property
    def rate(self) -> float:
        """n_{l−1} n_l, where the counts of inputs and of outputs are 1."""
        return (1.0 if self.last else float(self.width)) / self.scale

    def initial(self, rng: np.random.Generator, dtype: DTypeLike) -> Array:
        """Independent weights N(μ/m, τ²/m), biases 0."""
        kind: Any = np.dtype(dtype).type
        weights = np.zeros(self.shape, dtype=kind)
        values = weights[: self.fan_in]
        if self.layer.std > 0:
            values[...] = rng.standard_normal(values.shape, dtype=kind)
            values *= kind(self.layer.std / math.sqrt(self.fixed_inputs))
        values += kind(self.layer.mean / self.fixed_inputs)
        return weights

    def patches(self, z: Array) -> Array:
        """What every unit sees at every position: (batch·positions, fan_in)."""
        if self.taps is None:
            return z.reshape(len(z), -1)
        zero = np.zeros((len(z), 1, z.shape[2]), dtype=z.dtype)
        seen = np.concatenate([z, zero], axis=1)[:, self.taps]
        return seen.reshape(len(z) * self.positions, -1)

    def forward(self, seen: Array, w: Array) -> Array:
        """h, shape (batch·positions, n_l)."""
        h: Array = seen @ w[: self.fan_in]
        if self.scale != 1.0:
            h *= w.dtype.type(self.scale)
        if self.layer.bias:
            h += w[-1]
        return h

    def backward(self, g: Array, w: Array) -> Array:
        """∂ℓ/∂z from g = ∂ℓ/∂h: (batch, positions before, units before)."""
        seen = g @ w[: self.fan_in].T
        if self.scale != 1.0:
            seen *= w.dtype.type(self.scale)
        batch = len(g) // self.positions
        if self.taps is None:
            return seen.reshape(batch, self.positions_before, self.units_before)
        seen = seen.reshape(batch, self.positions, -1, self.units_before)
        total = np.zeros((batch, self.positions_before + 1, self.units_before), dtype=g.dtype)
        for k in range(self.taps.shape[1]):  # one tap hits each position at most once
            total[:, self.taps[:, k]] += seen[:, :, k]
        return total[:, :-1]

    def descend(self, w: Array, seen: Array, g: Array, size: float) -> None:
        """In place: w ← w − size · rate · ∂ℓ/∂w; a bias moves at its own rate, n_l."""
        units = 1.0 if self.last else float(self.width)
        # rate·∂ℓ/∂W = n_{l−1} n_l · (1/n_{l−1}) seenᵀg: the average over n_{l−1} has cancelled
        add_product(w[: self.fan_in], seen, g, -size * units)
        if self.layer.bias:
            w[-1] -= w.dtype.type(size * units) * g.sum(axis=0)

    def gradient(self, w: Array, seen: Array, g: Array) -> Array:
        """∂ℓ/∂w, with nothing multiplied to it."""
        result = np.empty_like(w)
        np.multiply(seen.T @ g, w.dtype.type(self.scale), out=result[: self.fan_in])
        if self.layer.bias:
            result[-1] = g.sum(axis=0)
        return result


def add_product(w: Array, a: Array, g: Array, factor: float) -> None:
    """In place w += factor · aᵀ g, in one pass over w; all three in C order and of one type."""
    gemm = sgemm if w.dtype == np.float32 else dgemm
    gemm(factor, g.T, a.T, beta=1.0, c=w.T, trans_b=1, overwrite_c=1)


def wire(inputs: tuple[int, int, int], layers: tuple[Layer, ...]) -> tuple[Wired, ...]:
    """The layers in their places, after inputs of (height, width, channels)."""
    *grid, units = inputs
    place, wired = (grid[0], grid[1]), []
    for k, layer in enumerate(layers):
        after, taps = _taps(layer, place)
        scale = 1.0 if k == 0 else 1.0 / units
        positions = place[0] * place[1]
        wired.append(Wired(layer, units, positions, after, taps, scale, k == len(layers) - 1))
        place, units = after, int(layer.width)
    if place != (1, 1):
        raise InvalidProblem("the last layer must be Dense: an output has no position")
    return tuple(wired)


def _taps(layer: Layer, place: tuple[int, int]) -> tuple[tuple[int, int], Any]:
    """The grid of a layer's positions, and which positions before are seen from each."""
    if isinstance(layer, Dense):
        return (1, 1), None
    height, width = place
    room = [n + 2 * layer.padding - layer.size for n in place]
    if min(room) < 0:
        raise InvalidProblem(
            f"a filter of {layer.size} × {layer.size} does not fit into {height} × {width} "
            f"pixels with padding {layer.padding}"
        )
    rows, columns = (np.arange(r // layer.stride + 1) * layer.stride for r in room)
    offset = np.arange(layer.size) - layer.padding
    i = rows[:, None, None, None] + offset[:, None]
    j = columns[:, None, None] + offset
    inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
    taps = np.where(inside, i * width + j, height * width)
    grid = len(rows), len(columns)
    return grid, taps.reshape(grid[0] * grid[1], layer.size**2)


def _check_layer(layer: Any) -> None:
    whole(layer.width, "a layer's width", 1)
    for name in ("mean", "std"):
        if not is_finite(getattr(layer, name)):
            raise InvalidProblem(f"a layer's {name} must be finite, not {getattr(layer, name)!r}")
    if layer.std < 0:
        raise InvalidProblem(f"a layer's std must not be negative, but is {layer.std!r}")


def _numbers(layer: Any) -> dict[str, Any]:
    return {"width": int(layer.width), "mean": float(layer.mean), "std": float(layer.std),
            "bias": bool(layer.bias)}  # fmt: skip
