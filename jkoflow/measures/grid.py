"""Densities on a box in R^1, R^2 or R^3, by their averages over the cells of a regular grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_whole
from ..status import InvalidMeasure
from .base import Array, Measure, finite_array, frozen, real_array, register
from .deposit import deposit


@register
class Grid(Measure):
    """A density on a box with walls, constant on each cell of a regular grid.

    The density of R^d is ``density[i, j, …]`` on the cell [a + ih, a + (i+1)h] × …, with a =
    ``lower`` and a spacing h for each axis. Integrals of smooth functions are taken at the cells'
    centres, with the cells' masses; they are second order in h.

    Parameters
    ----------
    density : array_like, shape (n_1, …, n_d)
        d ≤ 3; nonnegative, in 1/length^d, with integral 1.
    lower, upper : float or array_like, shape (d,)
        Corners of the box.

    Raises
    ------
    InvalidMeasure
        If the arrays describe no probability density on a box.

    Examples
    --------
    >>> rho = Grid([[1.0, 3.0], [2.0, 2.0]], lower=[0.0, 0.0], upper=[1.0, 0.5])
    >>> rho.mass, rho.spacing, rho.points[1]
    (array([0.125, 0.375, 0.25 , 0.25 ]), array([0.5 , 0.25]), array([0.25 , 0.375]))
    """

    kind: ClassVar[str] = "grid"

    def __init__(self, density: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> None:
        rho = finite_array(density, "density")
        if not 1 <= rho.ndim <= 3 or rho.size == 0:
            raise InvalidMeasure(
                f"density must be an array of one to three axes, one for each dimension of the "
                f"box, but has shape {rho.shape}"
            )
        self._lower = frozen(_corner(lower, "lower", rho.ndim))
        self._upper = frozen(_corner(upper, "upper", rho.ndim))
        if (self._upper <= self._lower).any():
            raise InvalidMeasure(f"upper must exceed lower on every axis: {lower!r}, {upper!r}")
        if (rho < 0).any():
            raise InvalidMeasure(f"density must not be negative (smallest entry {rho.min():.3g})")
        total = float(rho.sum() * self.cell_volume_of(rho.shape))
        if abs(total - 1.0) > 1e-8:
            raise InvalidMeasure(
                f"density must have integral 1 over the box, but has {total:.12g}: divide it by "
                "that, or use Grid.from_function, which does"
            )
        self._density = frozen(rho if abs(total - 1.0) <= 4e-16 * rho.size else rho / total)

    @classmethod
    def from_function(
        cls,
        f: Callable[[Array], ArrayLike],
        lower: ArrayLike,
        upper: ArrayLike,
        shape: int | tuple[int, ...],
        rule: int = 2,
    ) -> Grid:
        """The normalised density ∝ f, averaged over each cell by a Gauss rule.

        Parameters
        ----------
        f : callable
            Nonnegative function of points, (m, d) → (m,).
        lower, upper : float or array_like, shape (d,)
        shape : int or tuple of int
            Cells on each axis.
        rule : int
            Gauss points a cell and axis; order 2·rule where f is smooth.

        Examples
        --------
        >>> Grid.from_function(lambda x: x[:, 0], 0.0, 1.0, 2).density
        array([0.5, 1.5])
        """
        sizes = (shape,) if is_whole(shape) else tuple(np.ravel(shape).tolist())
        if not 1 <= len(sizes) <= 3 or not all(is_whole(n) for n in sizes):
            raise InvalidMeasure(f"shape must be one to three numbers of cells, not {shape!r:.80}")
        if not is_whole(rule):
            raise InvalidMeasure(f"rule must be a number of points, at least 1, not {rule!r:.80}")
        sizes = tuple(int(n) for n in sizes)
        low, high = (_corner(v, name, len(sizes)) for v, name in
                     ((lower, "lower"), (upper, "upper")))  # fmt: skip
        spacing = (high - low) / sizes
        if (spacing <= 0).any():
            raise InvalidMeasure(f"upper must exceed lower on every axis: {lower!r}, {upper!r}")
        middle, rho = centres(low, spacing, sizes), np.zeros(sizes)
        nodes, weights = np.polynomial.legendre.leggauss(int(rule))
        for chosen in itertools.product(range(int(rule)), repeat=len(sizes)):
            values = _values(f, middle + 0.5 * spacing * nodes[list(chosen)])
            rho += np.prod(0.5 * weights[list(chosen)]) * values.reshape(sizes)
        if (rho < 0).any() or not rho.any():
            raise InvalidMeasure("f must be nonnegative and not zero everywhere on the box")
        return cls(rho / (rho.sum() * np.prod(spacing)), low, high)

    @property
    def density(self) -> Array:
        """Cell averages, shape (n_1, …, n_d)."""
        return self._density

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of cells on each axis."""
        return self._density.shape

    @property
    def lower(self) -> Array:
        """Lower corner of the box."""
        return self._lower

    @property
    def upper(self) -> Array:
        """Upper corner of the box."""
        return self._upper

    @property
    def spacing(self) -> Array:
        """Lengths of a cell's edges, shape (d,)."""
        return (self._upper - self._lower) / self.shape

    @property
    def cell_volume(self) -> float:
        """Volume of a cell."""
        return self.cell_volume_of(self.shape)

    def cell_volume_of(self, shape: tuple[int, ...]) -> float:
        """Volume of one of ``shape`` cells of this box."""
        return float(np.prod((self._upper - self._lower) / shape))

    @property
    def dim(self) -> int:
        return self._density.ndim

    @cached_property
    def points(self) -> Array:  # type: ignore[override]
        return frozen(centres(self._lower, self.spacing, self.shape))

    @cached_property
    def weights(self) -> Array:  # type: ignore[override]
        return frozen(self._density.ravel() * self.cell_volume)

    @property
    def mass(self) -> Array:
        """Masses of the cells, shape (N,), in the order of ``points``."""
        return self.weights

    def axes(self) -> list[Array]:
        """Coordinates of the cells' centres on each axis."""
        pairs = zip(self._lower, self.spacing, self.shape, strict=True)
        return [a + h * (np.arange(n) + 0.5) for a, h, n in pairs]

    def with_density(self, density: ArrayLike) -> Grid:
        """Another density on the same cells, validated."""
        rho = finite_array(density, "density", shape=self.shape)
        return Grid(rho, self._lower, self._upper)

    def displaced(self, v: ArrayLike) -> Grid:
        """Each cell's mass moved from x to x + v(x), and shared by the cells around that place.

        Mass is conserved, and stays inside the walls. Sharing blurs: an even displacement by a
        part of a cell adds up to h²/4 to the variance of each axis.
        """
        x = self.points + self._displacement(v)
        mass = deposit(x, self.weights, self._lower, self.spacing, self.shape)
        return Grid(mass / self.cell_volume, self._lower, self._upper)

    def log_density(self, at: ArrayLike | None = None) -> Array:
        """Log of the density: of every cell, shape (N,), or at points (m, d); −inf outside."""
        with np.errstate(divide="ignore"):
            cells = np.log(self._density)
        if at is None:
            return cells.ravel()
        x = real_array(at, "points").reshape(-1, self.dim)
        index = np.floor((x - self._lower) / self.spacing)
        index = np.where(x == self._upper, np.array(self.shape) - 1, index)
        inside = np.all((index >= 0) & (index < self.shape), axis=1)
        cell = tuple(np.where(inside[:, None], index, 0).astype(int).T)
        return np.where(inside, cells[cell], -np.inf)

    def to_arrays(self) -> dict[str, Array]:
        return {"density": self._density, "lower": self._lower, "upper": self._upper}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Grid:
        return cls(arrays["density"], arrays["lower"], arrays["upper"])

    def __repr__(self) -> str:
        cells = "×".join(map(str, self.shape))
        box = " × ".join(
            f"[{a:.4g}, {b:.4g}]" for a, b in zip(self._lower, self._upper, strict=True)
        )
        return f"Grid({cells} cells on {box})"


def _corner(value: ArrayLike, name: str, dim: int) -> Array:
    """A corner of the box; one number stands for all axes."""
    corner = finite_array(value, name)
    if corner.ndim == 0:
        corner = np.full(dim, float(corner))
    if corner.shape != (dim,):
        raise InvalidMeasure(
            f"{name} must be a number, or one for each of {dim} axes, but has shape {corner.shape}"
        )
    return corner


def centres(lower: Array, spacing: Array, shape: tuple[int, ...]) -> Array:
    """Centres of all cells, (N, d), the last axis running fastest."""
    axes = [a + h * (np.arange(n) + 0.5) for a, h, n in zip(lower, spacing, shape, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))


def repeated(cells: Array, parts: int) -> Array:
    """Values on cells, on cells cut into so many parts an axis."""
    for axis in range(cells.ndim):
        cells = np.repeat(cells, parts, axis=axis)
    return cells


def with_whole_obstacles(fine: Array, cells: Array) -> Array:
    """Values on cells cut into parts; but where they, or that at their cell's centre, are
    infinite, the centre's: a cell is an obstacle or is not."""
    centre = repeated(cells, fine.shape[0] // cells.shape[0])
    return np.where(np.isfinite(centre) & np.isfinite(fine), fine, centre)


def _values(f: Callable[[Array], ArrayLike], x: Array) -> Array:
    """A user's density at points."""
    if not callable(f):
        raise InvalidMeasure(f"f must be a function of points (m, d), not {f!r:.100}")
    try:
        values = finite_array(f(x), "the answer of f")
    except InvalidMeasure:
        raise
    except Exception as error:  # a user's function may raise anything
        raise InvalidMeasure(f"f raised {type(error).__name__}: {error}") from error
    if values.shape != (len(x),):
        raise InvalidMeasure(f"f must map {len(x)} points to as many values, not {values.shape}")
    return values
