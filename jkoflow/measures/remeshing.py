"""A new mesh under an old density: masses moved by exact intersections, so that none is lost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arguments import is_finite
from ..status import InvalidMeasure, NotDefined
from .base import Array
from .mesh import Mesh
from .mesh_intersections import Numbers, overlaps
from .simplices import Simplices, facets, qualities

_COVERED = 1e-3  # of its volume, for a new simplex to be kept
_CLEAR = 0.7  # of the spacing, between new nodes and the boundary's


class Remeshed(NamedTuple):
    """The new ``mesh``; a proved ``distance_bound`` ≥ W2(new, old) between the densities; and
    the mass that lay ``outside`` of the new simplices, which the nearest of them got."""

    mesh: Mesh
    distance_bound: float
    outside: float


def remesh(mu: Mesh, target: Mesh | None = None, *, spacing: float | None = None) -> Remeshed:
    """The density of ``mu`` on well-shaped simplices, with its mass conserved.

    Each new simplex T' gets the mass ∫_T' dμ, from the volumes of T ∩ T', and spreads it evenly.
    This is averaging: by Jensen's inequality no internal energy rises, except where mass from
    ``outside`` is put; integrals of smooth functions change by O(h²) where the old density
    varies smoothly. It is done between two flows, and no step of either.

    Parameters
    ----------
    mu : Mesh
    target : Mesh, optional
        The new simplices (its masses do not matter). Those that ``mu`` covers by less than 1e-3
        are dropped. Needed in R^3; in the plane a triangular lattice is made that keeps
        the boundary of ``mu``.
    spacing : float, optional
        Of the lattice; if not given, such that their number stays about the same.

    Raises
    ------
    InvalidMeasure
        If no new simplex is covered, or the spacing makes no sense.
    NotDefined
        In R^3 without a target.

    Examples
    --------
    >>> stretched = Mesh.disc(1.0, 9).with_nodes(Mesh.disc(1.0, 9).nodes * [4.0, 0.5])
    >>> new = remesh(stretched)
    >>> bool(stretched.quality().max() < 0.4), bool(np.median(new.mesh.quality()) > 0.8)
    (True, True)
    >>> round(float(new.mesh.mass.sum()), 12), new.outside < 1e-12
    (1.0, True)
    """
    if spacing is not None and not (is_finite(spacing) and spacing > 0):
        raise InvalidMeasure(f"the spacing must be positive, not {spacing!r:.80}")
    if target is None:
        target = _lattice(mu, spacing)
    if target.dim != mu.dim:
        raise InvalidMeasure(f"the target lies in R^{target.dim}, the mesh in R^{mu.dim}")
    return _transferred(mu, target)


def _transferred(mu: Mesh, target: Mesh) -> Remeshed:
    old, new = mu.nodes[mu.simplices], target.nodes[target.simplices]
    i, j, share = overlaps(old, new)
    share = share / mu.volumes[i]
    landed = mu.mass[i] * share
    covered = np.bincount(j, share * mu.volumes[i], len(new)) / target.volumes
    kept = np.flatnonzero(covered > _COVERED)
    if not len(kept):
        raise InvalidMeasure("the target lies nowhere under the mesh: choose one that covers it")
    stays = covered[j] > _COVERED
    mass = np.bincount(j[stays], landed[stays], len(new))
    left = np.maximum(mu.mass - np.bincount(i[stays], landed[stays], len(old)), 0.0)
    bound = float(mass @ _diameters(new) ** 2)
    left[left < 1e-12 * mu.mass] = 0.0
    away = np.flatnonzero(left)
    if len(away):
        to, distance = _nearest(old[away].mean(axis=1), new[kept].mean(axis=1))
        mass += np.bincount(kept[to], left[away], len(new))
        far = distance + _diameters(old[away]) + _diameters(new[kept[to]])
        bound += float(left[away] @ far**2)
    used, corners = np.unique(target.simplices[kept], return_inverse=True)
    corners = corners.reshape(-1, mu.dim + 1)
    mesh = Mesh(target.nodes[used], corners, mass[kept] / mass[kept].sum())
    return Remeshed(mesh, float(np.sqrt(bound)), float(left.sum()))


def _nearest(x: Array, among: Array) -> tuple[Numbers, Array]:
    from scipy.spatial import cKDTree

    distance, to = cKDTree(among).query(x)
    return to, distance


def _diameters(corners: Array) -> Array:
    first, second = np.triu_indices(corners.shape[1], 1)
    return np.asarray(np.linalg.norm(corners[:, first] - corners[:, second], axis=2).max(axis=1))


def _lattice(mu: Mesh, spacing: float | None) -> Mesh:
    """Delaunay's triangulation of the boundary and of a triangular lattice inside."""
    if mu.dim != 2:
        raise NotDefined("in R^3 give target=, such as Mesh.ball or Mesh.box: triangulations of "
                         "arbitrary points contain flat tetrahedra")  # fmt: skip
    from scipy.spatial import Delaunay

    rim = boundary(mu.simplices)
    h = _regular_edge(mu) if spacing is None else float(spacing)
    edge = mu.nodes[rim]
    between = []
    for a, b in edge:
        count = max(1, round(float(np.linalg.norm(b - a)) / h))
        between.append(a + np.arange(count)[:, None] / count * (b - a))
    outline = np.concatenate([*between, mu.nodes[np.unique(rim)]])
    outline = np.unique(np.round(outline, 12), axis=0)
    low, high = mu.nodes.min(axis=0), mu.nodes.max(axis=0)
    rows = np.arange(low[1], high[1], h * np.sqrt(0.75))
    inner = np.concatenate([
        np.column_stack([x := np.arange(low[0] + 0.5 * h * (k % 2), high[0], h),
                         np.full(len(x), y)]) for k, y in enumerate(rows)
    ])  # fmt: skip
    inner = inner[mu.log_density(inner) > -np.inf]
    if len(inner):
        inner = inner[_nearest(inner, outline)[1] > _CLEAR * h]
    x = np.concatenate([outline, inner])
    triangles = Delaunay(x).simplices
    corners = x[triangles]
    good = np.abs(qualities(corners)) > 1e-6
    good &= mu.log_density(corners.mean(axis=1)) > -np.inf
    used, numbered = np.unique(triangles[good], return_inverse=True)
    return Mesh(x[used], numbered.reshape(-1, 3))


def boundary(simplices: Simplices) -> Simplices:
    """The facets that belong to one simplex only, (k, d)."""
    faces, shared = facets(simplices)
    return np.asarray(np.unique(faces[shared == 1], axis=0))


def _regular_edge(mu: Mesh) -> float:
    """Of the regular triangle with the mean area."""
    return float(np.sqrt(4.0 / np.sqrt(3.0) * mu.volumes.mean()))
