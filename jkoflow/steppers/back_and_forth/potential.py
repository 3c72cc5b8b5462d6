"""The smooth part of a functional on a grid, as a potential: exact if linear, else linearised."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...functionals.base import Functional, Smooth, make_sum
from ...measures.base import Array
from ...measures.grid import Grid, centres, with_whole_obstacles


class Linearised:
    """V + δG/δρ at a density that follows the iteration; V are the linear terms, G the others.

    V is read at ``refine`` points a cell and axis. δG/δρ is read at the cells' centres and
    interpolated by cubic splines.
    """

    def __init__(self, smooth: Functional, mu: Grid, refine: int) -> None:
        self.smooth, self.mu, self.refine = smooth, mu, refine
        self.straight = _chosen(smooth, linear=True)
        self.curved = _chosen(smooth, linear=False)
        self.reference = mu
        self.share = 1.0
        shape = tuple(n * refine for n in mu.shape)
        points = centres(mu.lower, mu.spacing / refine, shape)
        self._fixed = self._walled(_variation(self.straight, mu, points).reshape(shape))

    def read_at(self, refine: int) -> Linearised:
        """The same, at other points."""
        new = Linearised(self.smooth, self.mu, refine)
        new.reference, new.share = self.reference, self.share
        return new

    def _walled(self, refined: Array) -> Array:
        """Obstacles are whole cells: those whose centres V = +∞ holds at."""
        centre = _variation(self.straight, self.mu, self.mu.points).reshape(self.mu.shape)
        return with_whole_obstacles(refined, centre)

    @property
    def linear(self) -> bool:
        """Whether there is nothing to linearise."""
        return not self.curved.terms

    @property
    def free(self) -> bool:
        """Whether some place is no obstacle."""
        return bool((self._fixed < np.inf).any())

    def at_cells(self, rho: Grid) -> Array:
        """The whole potential at the cells' centres, for a density."""
        parts = (self.straight, self.curved)
        return np.asarray(sum(_variation(f, rho, rho.points) for f in parts)).reshape(rho.shape)

    def potential(self) -> Array:
        """V + δG/δρ(reference) at the refined points."""
        if self.linear:
            return self._fixed
        return self._fixed + self._refined(self._curved_at(self.reference))

    def mismatch(self, rho: Grid) -> tuple[float, float]:
        """∫(δG(ρ) − δG(reference)) d(ρ − reference), what linearising may have cost; and by how
        much δG differs where ρ is, up to a constant: by so much prices are wrong."""
        difference = (self._curved_at(rho) - self._curved_at(self.reference)).ravel()
        cost = float(difference @ (rho.weights - self.reference.weights))
        return cost, 0.5 * float(np.ptp(difference[rho.weights > 0]))

    def move(self, rho: Grid) -> None:
        """Take the next reference, a part of the way to ρ."""
        s = self.share
        mixed = (1.0 - s) * self.reference.density + s * rho.density
        self.reference = rho.with_density(mixed / (mixed.sum() * rho.cell_volume))

    def damp(self) -> None:
        """Go half as far from now on."""
        self.share *= 0.5

    def _curved_at(self, rho: Grid) -> Array:
        return _variation(self.curved, rho, rho.points).reshape(rho.shape)

    def _refined(self, f: Array) -> Array:
        """Cell values at the refined points, by cubic splines mirrored at the walls."""
        k = self.refine
        axes = [(np.arange(n * k) + 0.5) / k - 0.5 for n in f.shape]
        where = np.meshgrid(*axes, indexing="ij")
        return np.asarray(ndimage.map_coordinates(f, where, order=3, mode="reflect"))


def _chosen(smooth: Functional, linear: bool) -> Smooth:
    kept = [(c, f) for c, f in smooth.terms if bool(getattr(f, "linear", False)) is linear]
    total = make_sum(kept)
    assert isinstance(total, Smooth)
    return total


def _variation(f: Smooth, mu: Grid, at: Array) -> Array:
    if not f.terms:
        return np.zeros(len(at))
    return np.asarray(f.first_variation(mu, at))
