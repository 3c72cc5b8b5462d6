"""Densities on a moving triangulation of R^2 or R^3: a mass for each simplex."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..status import InvalidMeasure
from . import mesh_shapes
from .base import Array, Measure, finite_array, frozen, probability_weights, real_array, register
from .mesh_intersections import near_pairs
from .simplices import Simplices, folds, log_volume_gradients, qualities, signed_volumes


@register
class Mesh(Measure):
    """Masses m_T, each spread evenly over a simplex T of a mesh; what moves are the nodes.

    Integrals of smooth functions are taken at the nodes, each with 1/(d+1) of the mass of its
    simplices; they are second order in the size of the simplices. The density of T is m_T/|T|.

    Parameters
    ----------
    nodes : array_like, shape (n, d)
        d = 2 or 3.
    simplices : array_like of int, shape (k, d+1)
        Numbers of the corners of each triangle or tetrahedron, in either orientation.
    mass : array_like, shape (k,), optional
        Positive, with sum 1; proportional to the volumes if not given.

    Raises
    ------
    InvalidMeasure
        If a simplex has no volume, neighbours lie on one another, or a node belongs to no simplex,
        besides arrays that make no sense.

    Examples
    --------
    >>> square = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]])
    >>> square.volumes, square.weights, square.mean()
    (array([0.5, 0.5]), array([0.33333333, 0.16666667, 0.33333333, 0.16666667]), array([0.5, 0.5]))
    """

    kind: ClassVar[str] = "mesh"

    def __init__(
        self, nodes: ArrayLike, simplices: ArrayLike, mass: ArrayLike | None = None
    ) -> None:
        x = finite_array(nodes, "nodes", ndim=2)
        if x.shape[1] not in (2, 3):
            raise InvalidMeasure(f"nodes must have shape (n, 2) or (n, 3), not {x.shape}: on the "
                                 "line, use Quantiles")  # fmt: skip
        corners = _corners(simplices, len(x), x.shape[1])
        signed = signed_volumes(x[corners])
        if not np.abs(signed).min() > 0:
            raise InvalidMeasure(f"simplex {int(np.argmin(np.abs(signed)))} has no volume: its "
                                 "corners lie on a line or plane; remove it")  # fmt: skip
        turned = signed < 0
        corners[turned, :2] = corners[turned, 1::-1]
        if count := folds(corners):
            raise InvalidMeasure(f"the mesh is folded: simplices lie on one another at {count} of "
                                 "their common faces")  # fmt: skip
        volumes = np.abs(signed)
        m = probability_weights(
            volumes / volumes.sum() if mass is None else mass, len(corners), "mass"
        )
        if (m <= 0).any():
            raise InvalidMeasure("every simplex needs a positive mass: drop those without")
        self._nodes, self._mass = frozen(x), frozen(m)
        corners.setflags(write=False)
        self._simplices = corners
        if (self.weights == 0).any():
            raise InvalidMeasure("some nodes belong to no simplex: remove them")

    @property
    def nodes(self) -> Array:
        """Positions of the nodes, shape (n, d)."""
        return self._nodes

    @property
    def simplices(self) -> Simplices:
        """Numbers of each simplex's corners, positively oriented, shape (k, d+1)."""
        return self._simplices

    @property
    def mass(self) -> Array:
        """Masses of the simplices, shape (k,)."""
        return self._mass

    @property
    def dim(self) -> int:
        return self._nodes.shape[1]

    @property
    def points(self) -> Array:
        return self._nodes

    @cached_property
    def weights(self) -> Array:  # type: ignore[override]
        return frozen(self._shared(self._mass))

    def _shared(self, of_simplices: Array) -> Array:
        """What the nodes have (n,) once each simplex shared its number among its corners."""
        share = np.repeat(of_simplices / (self.dim + 1), self.dim + 1)
        return np.asarray(np.bincount(self._simplices.ravel(), share, len(self._nodes)), float)

    @cached_property
    def volumes(self) -> Array:
        """Volumes of the simplices, shape (k,)."""
        return frozen(signed_volumes(self._nodes[self._simplices]))

    def quality(self) -> Array:
        """Of each simplex: its volume over that of the regular simplex with the same mean squared
        edge, so 1 if regular and 0 if flat; shape (k,)."""
        return qualities(self._nodes[self._simplices])

    def nodal_mean(self, of_simplices: ArrayLike) -> Array:
        """Values of simplices (k,) at the nodes (n,): means weighted by mass."""
        f = finite_array(of_simplices, "values of the simplices", shape=self._mass.shape)
        return np.asarray(self._shared(self._mass * f) / self.weights)

    def nodal_sums(self, of_corners: Array) -> Array:
        """Vectors at the corners of simplices (k, d+1, d), added up at each node (n, d).

        Examples
        --------
        >>> square = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]])
        >>> square.nodal_sums(np.ones((2, 3, 2)))[:, 0]
        array([2., 1., 2., 1.])
        """
        corners, columns = self._simplices.ravel(), of_corners.reshape(-1, self.dim).T
        return np.stack([np.bincount(corners, c, len(self._nodes)) for c in columns], axis=1)

    @classmethod
    def disc(
        cls, radius: float, rings: int, density: Callable[[Array], ArrayLike] | None = None,
        grading: float | None = None,
    ) -> Mesh:  # fmt: skip
        """A disc about the origin in the plane, in rings of 6, 12, 18, … nodes.

        ``density``, a function of points (m, 2) → (m,), sets the simplices' masses (uniform if
        not given), by a quadrature rule of order 2; it may be unnormalised.

        With a number in [0, 1) as ``grading`` the mesh has as many nodes, but no seams along six
        rays, and the nearer to 1, the more of its nodes are at the rim. At 0.8, say, steps of
        `MeshNewton` are of order 2 where the density vanishes at the rim; see docs/meshes.md.

        Examples
        --------
        >>> Mesh.disc(2.0, 3)
        Mesh(37 nodes, 54 simplices in R^2)
        >>> Mesh.disc(2.0, 3, grading=0.8)
        Mesh(37 nodes, 54 simplices in R^2)
        """
        return cls(*mesh_shapes.disc(radius, rings, density, grading))

    @classmethod
    def ball(
        cls, radius: float, layers: int, density: Callable[[Array], ArrayLike] | None = None,
        grading: float | None = None,
    ) -> Mesh:  # fmt: skip
        """A ball about the origin of R^3, in layers of 12, 42, 92, … nodes.

        With a number in [0, 1) as ``grading`` in layers of 14, 50, 110, … nodes of one lattice,
        without seams, and with more of them at the surface; see `disc`.

        Examples
        --------
        >>> Mesh.ball(1.0, 3), Mesh.ball(1.0, 3, grading=0.0)
        (Mesh(147 nodes, 540 simplices in R^3), Mesh(175 nodes, 648 simplices in R^3))
        """
        return cls(*mesh_shapes.ball(radius, layers, density, grading))

    @classmethod
    def box(
        cls,
        lower: ArrayLike,
        upper: ArrayLike,
        shape: tuple[int, ...],
        density: Callable[[Array], ArrayLike] | None = None,
    ) -> Mesh:
        """A box in R^2 or R^3, each of whose cells is cut into d! simplices.

        Examples
        --------
        >>> Mesh.box([0, 0, 0], [1, 1, 2], (2, 2, 3))
        Mesh(36 nodes, 72 simplices in R^3)
        """
        return cls(*mesh_shapes.box(lower, upper, shape, density))

    def log_volume_gradients(self) -> Array:
        """∂ log|T| / ∂(corner of T), shape (k, d+1, d)."""
        return log_volume_gradients(self._nodes[self._simplices])

    def with_nodes(self, nodes: ArrayLike) -> Mesh:
        """The same masses on moved nodes, if no simplex is turned over."""
        x = finite_array(nodes, "nodes", shape=self._nodes.shape)
        volumes = signed_volumes(x[self._simplices])
        if not volumes.min() > 0:
            raise InvalidMeasure(
                f"{int((volumes <= 0).sum())} simplices are turned over or flattened: use a "
                "smaller displacement"
            )
        new = object.__new__(Mesh)
        new._nodes, new._mass, new._simplices = frozen(x), self._mass, self._simplices
        new.__dict__["weights"] = self.weights
        return new

    def siblings(self, arrays: Sequence[Mapping[str, Array]]) -> Sequence[Measure] | None:
        if not self._only_moved(arrays, "nodes"):
            return None
        try:  # simplices that are not turned over are folded nowhere, as they are not here
            return [self.with_nodes(a["nodes"]) for a in arrays]
        except InvalidMeasure:
            return None

    def displaced(self, v: ArrayLike) -> Mesh:
        return self.with_nodes(self._nodes + self._displacement(v))

    def log_density(self, at: ArrayLike | None = None) -> Array:
        """Log of the density: of every simplex, shape (k,), or at points (m, d); −inf outside."""
        simplices = np.log(self._mass) - np.log(self.volumes)
        if at is None:
            return simplices
        x = real_array(at, "points").reshape(-1, self.dim)
        found = self._simplex_of(x)
        return np.where(found >= 0, simplices[found], -np.inf)

    def _simplex_of(self, x: Array) -> NDArray[np.intp]:
        """A simplex that holds each point, or −1."""
        corners = self._nodes[self._simplices]
        slopes, slack = self.log_volume_gradients(), 1e-12
        found = np.full(len(x), -1, dtype=np.intp)
        for simplex, point in near_pairs(corners, x[:, None]):
            # barycentric coordinates: d log|T| is that of the corner
            moved = x[point] - corners[simplex, 0]
            inner = np.einsum("ka,kja->kj", moved, slopes[simplex])
            inner[:, 0] += 1.0
            inside = (inner >= -slack).all(axis=1)
            found[point[inside][::-1]] = simplex[inside][::-1]
        return found

    def to_arrays(self) -> dict[str, Array]:
        simplices = self._simplices.astype(float)  # exact, and a dict of one type
        return {"nodes": self._nodes, "simplices": simplices, "mass": self._mass}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Mesh:
        return cls(arrays["nodes"], arrays["simplices"], arrays["mass"])

    def __repr__(self) -> str:
        return f"Mesh({len(self._nodes)} nodes, {len(self._simplices)} simplices in R^{self.dim})"


def _corners(simplices: ArrayLike, n: int, dim: int) -> Simplices:
    raw = real_array(simplices, "simplices")
    if raw.ndim != 2 or raw.shape[1] != dim + 1 or len(raw) == 0:
        raise InvalidMeasure(f"simplices in R^{dim} need shape (k, {dim + 1}), not {raw.shape}")
    if not (raw == np.floor(raw)).all() or raw.min() < 0 or raw.max() >= n:
        raise InvalidMeasure(f"simplices must hold numbers of nodes, 0 to {n - 1}")
    corners = raw.astype(np.int64)
    if (np.diff(np.sort(corners, axis=1), axis=1) == 0).any():
        raise InvalidMeasure("a simplex has a corner twice")
    return corners
