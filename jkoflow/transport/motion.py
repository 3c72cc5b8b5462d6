"""Where the points of a measure came from, and the geodesic through both places, beyond it too."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..measures.base import Array, Measure
from ..measures.cells import Cells
from ..measures.extrapolation import KEPT, carried_edges
from ..measures.gaussian import Gaussian
from ..measures.mesh import Mesh
from ..measures.particles import Particles
from ..record import Witness
from ..status import NotDefined
from .bures import optimal_map
from .couplings import barycentres


class Motion(NamedTuple):
    """How the points of ``after`` were reached from those of ``before``.

    ``shift`` is X − T(X), shape (n, d), T(X_i) being where point i was: the barycentre, if it
    was put together from several. Of Gaussians it is the shift of the mean, shape (d,), and
    ``back`` the symmetric matrix of the optimal map T; ``back`` is None otherwise. ``squared`` is
    the cost of the coupling, which is W2² where the coupling is optimal.
    """

    shift: Array
    back: Array | None
    squared: float


def pulled_back(witness: Witness | None, values: Array) -> Array:
    """Values (n, d) at the old points, at the new ones (n, d) that were coupled with them.

    A "pairing" permutes them, a "coupling" takes means, and anything else leaves their order.

    Examples
    --------
    >>> swap = Witness("pairing", {"order": np.array([1, 0])})
    >>> pulled_back(swap, np.array([[1.0], [2.0]])).ravel()
    array([2., 1.])
    """
    if witness is None or witness.kind not in ("pairing", "coupling"):
        return values
    arrays = witness.arrays
    if witness.kind == "pairing":
        return np.asarray(values[arrays["order"]])
    rows, columns, masses = (arrays[k] for k in ("rows", "columns", "values"))
    return barycentres(rows, columns, masses, values, len(values))


def motion(after: Measure, before: Measure, witness: Witness | None = None) -> Motion:
    """The motion from ``before`` to ``after``, along the coupling that the witness gives.

    Without a witness point i comes from point i, and between Gaussians the map is the optimal one.

    Raises
    ------
    NotDefined
        For measures whose points have nothing to do with each other, and where the new Gaussian
        is singular.

    Examples
    --------
    >>> moved = motion(Particles([[3.0], [2.0]]), Particles([[1.0], [2.0]]))
    >>> moved.shift.ravel(), moved.squared
    (array([2., 0.]), 2.0)
    """
    if isinstance(after, Gaussian) and isinstance(before, Gaussian) and after.dim == before.dim:
        shift, back = after.mean() - before.mean(), optimal_map(after, before)
        spread = after.sqrt_cov - back @ after.sqrt_cov
        return Motion(shift, back, float(shift @ shift) + float(np.vdot(spread, spread)))
    _same_points(after, before)
    x, y, w = after.points, before.points, after.weights
    shift = x - pulled_back(witness, y)
    squared = float(w @ (shift * shift).sum(axis=1))
    if witness is not None and witness.kind == "coupling":
        rows, columns, values = (witness.arrays[k] for k in ("rows", "columns", "values"))
        squared = float(values @ ((x[rows] - y[columns]) ** 2).sum(axis=1))
    return Motion(shift, None, squared)


def _same_points(after: Measure, before: Measure) -> None:
    known = isinstance(after, Cells | Particles | Mesh) and type(after) is type(before)
    if not known or after.points.shape != before.points.shape:
        raise NotDefined(
            f"no geodesic is known from {before!r} to {after!r}: both must be quantiles, radial "
            "laws, particles or meshes with the same points in motion, or Gaussians"
        )
    if np.abs(after.weights - before.weights).max() > 1e-12 and isinstance(after, Cells | Mesh):
        raise NotDefined("no geodesic is known between cells with different masses")


def carried(mu: Measure, moved: Motion, alpha: float) -> Measure | None:
    """μ carried on by ``alpha`` times its motion; None where it would fold over.

    alpha = −1 goes back to where it came from, and between −1 and 0 lies the geodesic. For
    alpha > 0 the line is no geodesic for ever: cells, simplices and axes shrink, and each has to
    keep `KEPT` of itself. Edges on the line are held back where they would not, the others go
    all the way (`jkoflow.measures.extrapolation`); a mesh or a Gaussian counts as folded.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> before, after = Quantiles([0.0, 1.0]), Quantiles([0.0, 0.5])
    >>> [carried(after, motion(after, before), alpha) for alpha in (-1, 0.5)]
    [Quantiles(n=1, on [0, 1]), Quantiles(n=1, on [0, 0.25])]
    """
    kept = KEPT if alpha > 0 else 0.0
    if isinstance(mu, Gaussian):
        return _stretched(mu, moved, alpha, kept)
    x = mu.points + alpha * moved.shift
    if not np.isfinite(x).all():
        return None
    if isinstance(mu, Particles):
        return Particles(x, mu.weights)
    if isinstance(mu, Cells):
        return mu.with_edges(carried_edges(mu, moved.shift[:, 0], alpha))
    assert isinstance(mu, Mesh)
    from ..measures.simplices import signed_volumes

    volumes = signed_volumes(x[mu.simplices])
    if (volumes <= 0).any() or (volumes < kept * mu.volumes).any():
        return None
    return mu.with_nodes(x)


def _stretched(mu: Gaussian, moved: Motion, alpha: float, kept: float) -> Gaussian | None:
    """N(m + αs, BΣB) with B = I + α(I − T)."""
    assert moved.back is not None
    matrix = (1.0 + alpha) * np.eye(mu.dim) - alpha * moved.back
    if not np.isfinite(matrix).all() or np.linalg.eigvalsh(matrix)[0] < kept:
        return None
    factor = matrix @ mu.sqrt_cov
    return Gaussian(mu.mean() + alpha * moved.shift, factor @ factor.T)
