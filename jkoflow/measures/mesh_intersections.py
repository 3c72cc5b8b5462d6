"""What simplices of two meshes share: which pairs meet, and the volumes of their intersections."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .base import Array
from .simplices import Simplices, cofactors, edges, facets, signed_volumes

_CHUNK = 2**10  # simplices at a time, each with some tens of partners
_PAIRS = 2**20  # boxes compared at once
_ROUNDING = 8 * 2.0**-52  # of coordinates; touching facets look 2 units deep at most, if that
Numbers = NDArray[np.intp]


def overlaps(old: Array, new: Array) -> tuple[Numbers, Numbers, Array]:
    """All pairs (i, j) of simplices that meet, with the volumes of what they share."""
    none = np.empty(0, dtype=np.intp)
    found = [(none, none, np.empty(0))]
    for i, j in near_pairs(old, new):
        volume = intersections(old[i], new[j])
        some = volume > 0.0
        found.append((i[some], j[some], volume[some]))
    i, j, volume = (np.concatenate([part[k] for part in found]) for k in range(3))
    return i, j, volume


def overlaps_itself(nodes: Array, simplices: Simplices) -> bool:
    """Whether positively oriented simplices cover a place twice.

    What is covered twice ends at the boundary of one of the simplices that cover it: so one that
    has a facet on the boundary shares some of its volume with another. What rounding of the
    coordinates can make of facets that touch is left out, and no more: where two sides of a cut
    are pushed over each other, energies are wrong from the first moment on.

    Examples
    --------
    >>> two, part = np.array([[0, 1, 2], [3, 4, 5]]), np.array([[0, 0], [1, 0], [0, 1.0]])
    >>> [overlaps_itself(np.concatenate([part, part + shift]), two) for shift in (1.0, 0.4)]
    [False, True]
    """
    corners, shared = nodes[simplices], facets(simplices)[1]
    outer = (shared == 1).reshape(simplices.shape[1], -1).any(axis=0)
    low, high = corners.min(axis=1).T, corners.max(axis=1).T
    depth = _ROUNDING * float(np.abs(nodes).max())
    rounding = depth * (high - low).max(axis=0) ** (nodes.shape[1] - 1)
    for i in np.array_split(np.flatnonzero(outer), len(corners) * outer.sum() // _PAIRS + 1):
        meet = i[:, None] != np.arange(len(corners))
        for least, most in zip(low, high, strict=True):
            meet &= (least[i, None] < most) & (least < most[i, None])
        k, j = np.nonzero(meet)
        a, b = corners[i[k]], corners[j]
        near = ~(_beyond(a, b, depth) | _beyond(b, a, depth))
        common = intersections(a[near], b[near])
        if (common > np.minimum(rounding[i[k]], rounding[j])[near]).any():
            return True
    return False


def _beyond(a: Array, b: Array, depth: float) -> NDArray[np.bool_]:
    """Whether some facet of b has all of a on its outer side but for a depth, pair by pair."""
    normal, base = _facets(b)
    height = np.einsum("kfd,kfcd->kfc", normal, a[:, None] - base[:, :, None])
    inside = depth * np.linalg.norm(normal, axis=2)
    return np.asarray((height.max(axis=2) <= inside).any(axis=1))


def _facets(b: Array) -> tuple[Array, Array]:
    """Inner normals of the facets opposite to each corner, and a corner on each, (k, d+1, d)."""
    normal = cofactors(edges(b))
    normal = np.concatenate([-normal.sum(axis=1, keepdims=True), normal], axis=1)
    return normal, b[:, [1, *[0] * (b.shape[1] - 1)]]


def near_pairs(a: Array, b: Array) -> Iterator[tuple[Numbers, Numbers]]:
    """Pairs of simplices (or points, of shape (k, 1, d)) whose bounding boxes meet, in chunks.

    Centres are looked up in a tree, once for each octave of the sizes of ``a``.
    """
    from scipy.spatial import cKDTree

    low_a, high_a, low_b, high_b = a.min(axis=1), a.max(axis=1), b.min(axis=1), b.max(axis=1)
    reach_a = 0.5 * np.linalg.norm(high_a - low_a, axis=1)
    reach_b = 0.5 * np.linalg.norm(high_b - low_b, axis=1)
    octave = np.frexp(reach_a)[1]
    for size in np.unique(octave):
        group = np.flatnonzero(octave == size)
        tree = cKDTree(0.5 * (low_a + high_a)[group])
        centres, radii = 0.5 * (low_b + high_b), reach_b + reach_a[group].max()
        for start in range(0, len(b), _CHUNK):
            part = slice(start, start + _CHUNK)
            lists = tree.query_ball_point(centres[part], radii[part] * (1.0 + 1e-12))
            counts = [len(one) for one in lists]
            if not sum(counts):
                continue
            i = group[np.concatenate([np.asarray(one, dtype=np.intp) for one in lists])]
            j = np.repeat(np.arange(start, start + len(counts)), counts)
            meet = ((low_a[i] <= high_b[j]) & (low_b[j] <= high_a[i])).all(axis=1)
            yield i[meet], j[meet]


def intersections(a: Array, b: Array) -> Array:
    """Volumes of the intersections of simplices with simplices of positive volume, pair by pair.

    Each of ``a`` is cut by the facets of its partner, and the pieces on the inner side are cut
    into simplices again.

    Examples
    --------
    >>> triangle = np.array([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    >>> intersections(triangle, triangle + [0.5, 0.0])
    array([0.125])
    """
    normal, base = _facets(b)
    pieces, owner = a, np.arange(len(a))
    for facet in range(b.shape[1]):
        n, corner = normal[owner, facet], base[owner, facet]
        height = np.einsum("kld,kd->kl", pieces - corner[:, None], n)
        pieces, kept = _above(pieces, height)
        owner = owner[kept]
    return np.asarray(np.bincount(owner, np.abs(signed_volumes(pieces)), len(a)))


def _above(pieces: Array, height: Array) -> tuple[Array, Numbers]:
    """What of simplices lies at positive height, as simplices, and of which each is a part.

    With p corners above and r = d + 1 − p below, the part above is the prism of simplices
    (a_i, c_i1, …, c_ir), with cuts c_ij of the edges from a_i to b_j.
    """
    corners = pieces.shape[1]
    order = np.argsort(-height, axis=1, kind="stable")
    x = np.take_along_axis(pieces, order[:, :, None], axis=1)
    h = np.take_along_axis(height, order, axis=1)
    above = (h > 0.0).sum(axis=1)
    parts, numbers = [x[above == corners]], [np.flatnonzero(above == corners)]
    for p in range(1, corners):
        chosen = np.flatnonzero(above == p)
        if not len(chosen):
            continue
        up, down = x[chosen, :p, None], x[chosen, None, p:]
        h_up, h_down = h[chosen, :p, None], h[chosen, None, p:]
        t = h_up / (h_up - h_down)
        cuts = up + t[..., None] * (down - up)
        ends = np.concatenate([up, cuts], axis=2)  # (k, p, r + 1, d)
        for path in _paths(p, corners - p + 1):
            parts.append(ends[:, [i for i, _ in path], [j for _, j in path]])
            numbers.append(chosen)
    return np.concatenate(parts), np.concatenate(numbers)


def _paths(p: int, r: int) -> list[list[tuple[int, int]]]:
    """Monotone paths through a p × r table, the simplices of a product of two simplices."""
    if p == 1 or r == 1:
        return [[(i, j) for i in range(p) for j in range(r)]]
    last = (p - 1, r - 1)
    return [[*path, last] for path in _paths(p - 1, r) + _paths(p, r - 1)]
