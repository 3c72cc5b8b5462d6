"""What every measure offers: weighted points, moments, displacement, arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..status import InvalidMeasure

Array = NDArray[np.float64]


class Measure(ABC):
    """A probability measure, seen by smooth functionals as weighted points.

    ``points`` has shape (n, d), ``weights`` shape (n,) with sum 1; ``integrate(f)`` is
    Σ w_i f(x_i), and every integral that the library takes of a smooth function is this sum.
    ``dim`` is the dimension of the space the measure lives in.
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def points(self) -> Array: ...

    @property
    @abstractmethod
    def weights(self) -> Array: ...

    @property
    @abstractmethod
    def dim(self) -> int: ...

    @abstractmethod
    def displaced(self, v: ArrayLike) -> Measure:
        """Push the measure forward by x ↦ x + v(x), with ``v`` of the shape of ``points``."""

    def tangent(self, v: ArrayLike) -> Array:
        """What `displaced` uses of the field ``v``, linear in it; see `moved` and `length`."""
        return self._displacement(v)

    def moved(self, tangent: Array) -> Measure:
        """The measure displaced by a field of which the `tangent` is known.

        Examples
        --------
        >>> from jkoflow import Gaussian
        >>> mu = Gaussian(0.0, 4.0)
        >>> there = mu.tangent(mu.points)
        >>> [mu.moved(t * there).cov().item() for t in (0.5, 1.0)], mu.length(there)
        ([9.0, 16.0], 2.0)
        """
        return self.displaced(tangent)

    def all_moved(self, tangents: Sequence[Array]) -> Sequence[Measure]:
        """`moved` by each of the tangents, all at once where that can be done.

        Examples
        --------
        >>> from jkoflow import Quantiles
        >>> mu = Quantiles([0.0, 1.0])
        >>> [nu.edges for nu in mu.all_moved([0.0 * mu.points, mu.points])]
        [array([0., 1.]), array([0., 2.])]
        """
        return [self.moved(tangent) for tangent in tangents]

    def length(self, tangent: Array) -> float:
        """Its norm in L²(ρ)."""
        return float(np.sqrt(self.weights @ np.einsum("ij,ij->i", tangent, tangent)))

    @abstractmethod
    def to_arrays(self) -> dict[str, Array]:
        """All that is needed to build the measure again, as a dict of arrays."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Measure:
        """Inverse of `to_arrays`."""

    def siblings(self, arrays: Sequence[Mapping[str, Array]]) -> Sequence[Measure] | None:
        """Measures of this kind from float64 arrays, where that can be done for all at once.

        None where it cannot, or where `from_arrays` would refuse or change any of them.

        Examples
        --------
        >>> from jkoflow import Quantiles
        >>> mu = Quantiles([0.0, 1.0, 3.0])
        >>> [nu.edges for nu in mu.siblings([{"edges": 2 * mu.edges, "mass": mu.mass}])]
        [array([0., 2., 6.])]
        """
        return None

    def _only_moved(self, arrays: Sequence[Mapping[str, Array]], places: str) -> bool:
        """Whether in all of them but the places everything is this measure's, and one array."""
        own, first = self.to_arrays(), arrays[0]
        shape = own.pop(places).shape
        return all(
            len(a) == len(own) + 1
            and getattr(a.get(places), "shape", None) == shape
            and all(a.get(name) is first.get(name) for name in own)
            for a in arrays
        ) and all(np.array_equal(first[name], array) for name, array in own.items())

    def mean(self) -> Array:
        """Mean of the points, shape (d,)."""
        return self.weights @ self.points

    def cov(self) -> Array:
        """Covariance matrix of the points, shape (d, d)."""
        centred = self.points - self.mean()
        return (centred * self.weights[:, None]).T @ centred

    def integrate(self, f: Callable[[Array], ArrayLike]) -> Any:
        """∫ f dρ for a function of points, (n, d) → (n,) or (n, k)."""
        if not callable(f):
            raise InvalidMeasure(f"integrate needs a function of points (n, d), not {f!r:.100}")
        values = real_array(f(self.points), "integrate: f's answer")
        if values.shape[:1] != (self.points.shape[0],):
            raise InvalidMeasure(
                f"integrate: f must map points of shape {self.points.shape} to "
                f"{self.points.shape[0]} values, but returned shape {values.shape}"
            )
        result = self.weights @ values
        return float(result) if values.ndim == 1 else result

    def _displacement(self, v: ArrayLike) -> Array:
        return finite_array(v, "displacement v", shape=self.points.shape)


def real_array(value: ArrayLike, name: str) -> Array:
    """A float64 view of ``value``, without a copy where there can be one, if it is real.

    Raises
    ------
    InvalidMeasure
        Naming the argument and what is wrong with it.
    """
    try:
        array = np.asarray(value)
        if np.iscomplexobj(array):
            raise InvalidMeasure(f"{name} must be real, not complex")
        if array.dtype.kind not in "biufO":
            raise InvalidMeasure(f"{name} must be an array of numbers, not of {array.dtype}")
        return np.asarray(array, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InvalidMeasure):
            raise
        raise InvalidMeasure(f"{name} must be an array of numbers: {error}") from error


def finite_array(
    value: ArrayLike, name: str, *, ndim: int | None = None, shape: tuple[int, ...] | None = None
) -> Array:
    """`real_array` of ``value`` if it is finite and well shaped.

    Raises
    ------
    InvalidMeasure
        Naming the argument and what is wrong with it.
    """
    array = real_array(value, name)
    if ndim is not None and array.ndim != ndim:
        raise InvalidMeasure(f"{name} must have {ndim} axes, but has shape {array.shape}")
    if shape is not None and array.shape != shape:
        raise InvalidMeasure(f"{name} must have shape {shape}, but has shape {array.shape}")
    if not np.isfinite(array).all():
        raise InvalidMeasure(f"{name} holds NaN or infinity: remove or replace those entries")
    return array


def a_measure(value: object, name: str = "what a functional is evaluated at") -> Measure:
    """``value`` itself, if it is a measure.

    Raises
    ------
    InvalidMeasure
        Saying how points become one.
    """
    if isinstance(value, Measure):
        return value
    raise InvalidMeasure(
        f"{name} must be a measure, not {type(value).__name__}: for points, jkoflow.Particles(x)"
    )


def probability_weights(weights: ArrayLike | None, n: int, name: str = "weights") -> Array:
    """Nonnegative weights with sum 1, uniform where none are given.

    A sum that is off by more than 1e-8 is an error and not repaired silently; a smaller
    deviation (rounding) is normalised away.
    """
    if weights is None:
        return np.full(n, 1.0 / n)
    w = finite_array(weights, name, shape=(n,))
    if (w < 0).any():
        raise InvalidMeasure(f"{name} must not be negative (smallest entry {w.min():.3g})")
    total = w.sum()
    if abs(total - 1.0) > 1e-8:
        raise InvalidMeasure(
            f"{name} must sum to 1, but sum to {total:.12g}: divide them by their sum if that "
            "is what you mean"
        )
    return w if abs(total - 1.0) <= 4e-16 * n else w / total


def frozen(array: Array) -> Array:
    """A private, read-only copy: measures are values, not buffers."""
    copy = np.array(array, dtype=float)
    copy.setflags(write=False)
    return copy


_KINDS: dict[str, type[Measure]] = {}


def register(cls: type[Measure]) -> type[Measure]:
    """Class decorator: make a measure known to `measure_from_arrays` under its ``kind``."""
    _KINDS[cls.kind] = cls
    return cls


def is_registered(mu: Measure) -> bool:
    """Whether a measure is of the very class that its kind names, and of no subclass."""
    return _KINDS.get(mu.kind) is type(mu)


def measure_from_arrays(kind: str, arrays: Mapping[str, ArrayLike]) -> Measure:
    """Rebuild a measure of a registered kind from its arrays."""
    if kind not in _KINDS:
        raise InvalidMeasure(f"unknown kind of measure {kind!r}: known are {sorted(_KINDS)}")
    try:
        return _KINDS[kind].from_arrays(arrays)
    except KeyError as error:
        raise InvalidMeasure(f"the arrays of a {kind} measure lack {error}") from error
