"""Blob energies ∫f(k_ε*ρ) dρ: internal energies of point clouds, by a smoothed density."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from ..arguments import is_finite
from ..measures.base import Array, Measure
from ..status import InvalidFunctional, NotDefined
from .base import Smooth
from .blob_kernels import compiled, moments

_KINDS = ("particles",)


class Blob(Smooth):
    """∫f(p) dρ with p = k_ε*ρ, k_ε the density of N(0, ε²I); subclasses give f, as f(log p).

    The first variation is f(p) + k_ε*(f'(p)ρ). All sums run over all pairs, in O(n²) time (about
    a nanosecond a pair and sum) and O(n) memory, each particle's own blob included.
    """

    def __init__(self, bandwidth: float) -> None:
        if not is_finite(bandwidth) or bandwidth <= 0:
            raise InvalidFunctional(
                f"bandwidth must be a positive length, the standard deviation of a blob, not "
                f"{bandwidth!r:.80}"
            )
        self.bandwidth = float(bandwidth)

    @abstractmethod
    def of_density(self, log_density: Array) -> tuple[Array, Array]:
        """f and log |f'| at log p; f' is positive in every case."""

    def on(self, mu: Measure) -> Smooth:
        if mu.kind in _KINDS:
            return self
        raise NotDefined(
            f"{type(self).__name__} smooths point clouds, and a {type(mu).__name__} measure is "
            "none: use Particles, or Entropy() and PowerEnergy(m), which need no smoothing there"
        )

    def value_at_points(self, x: Array, w: Array) -> float:
        held = w > 0
        return float(w[held] @ self.of_density(self._log_density(x[held], w[held]))[0])

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        x, w = x[w > 0], w[w > 0]
        p = self._log_density(x, w)
        pull = np.exp(np.log(w) + self.of_density(p)[1] + self._log_height(x))
        own = self.of_density(self._log_density_anywhere(x, w, at))[0]
        return own + self._sums(x, pull, at)[0]

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        return self.value_and_gradient_at_points(x, w)[1]

    def value_and_gradient_at_points(self, x: Array, w: Array) -> tuple[float, Array]:
        if not (w > 0).all():
            return self._with_weightless(x, w)
        total, spread = self._sums(x, w, x, moment=True)
        f, log_slope = self.of_density(np.log(total) + self._log_height(x))
        slope = np.exp(log_slope + self._log_height(x))
        pull = self._sums(x, w * slope, x, moment=True)[1]
        gradient = -(slope[:, None] * spread + pull) / self.bandwidth**2
        return float(w @ f), gradient

    def _with_weightless(self, x: Array, w: Array) -> tuple[float, Array]:
        """∇δF at points without mass, too, where p may be as small as it likes."""
        kept = w > 0
        gradient = np.empty_like(x)
        value, gradient[kept] = self.value_and_gradient_at_points(x[kept], w[kept])
        y, v = x[kept], w[kept]
        _, log_slope = self.of_density(self._log_density(y, v))
        pull = np.exp(np.log(v) + log_slope + self._log_height(x))
        for i in np.flatnonzero(~kept):
            z = x[i] - y
            exponent = np.log(v) - 0.5 * (z**2).sum(axis=1) / self.bandwidth**2
            top = exponent.max()
            k = np.exp(exponent - top)
            log_p = np.log(k.sum()) + top + self._log_height(x)
            share = np.exp(self.of_density(log_p)[1] + log_p) * k / k.sum()
            bells = pull * np.exp(-0.5 * (z**2).sum(axis=1) / self.bandwidth**2)
            gradient[i] = -(share + bells) @ z / self.bandwidth**2
        return value, gradient

    def _log_height(self, x: Array) -> float:
        """log k_ε(0)."""
        return -0.5 * x.shape[1] * float(np.log(2.0 * np.pi * self.bandwidth**2))

    def _log_density(self, x: Array, w: Array) -> Array:
        """log p at the points, each of which has mass, so that p > 0."""
        return np.log(self._sums(x, w, x)[0]) + self._log_height(x)

    def _log_density_anywhere(self, x: Array, w: Array, at: Array) -> Array:
        """log p; where sums underflow, by their largest term."""
        with np.errstate(divide="ignore"):
            result = np.log(self._sums(x, w, at)[0]) + self._log_height(x)
        for i in np.flatnonzero(result < -690.0 + self._log_height(x)):
            exponent = np.log(w) - 0.5 * ((at[i] - x) ** 2).sum(axis=1) / self.bandwidth**2
            top = exponent.max()
            result[i] = top + np.log(np.exp(exponent - top).sum()) + self._log_height(x)
        return result

    def _sums(self, x: Array, c: Array, at: Array, moment: bool = False) -> tuple[Array, Array]:
        """Σ_j c_j k_ij and Σ_j c_j k_ij (at_i − x_j), with k = exp(−|z|²/2ε²): no height yet."""
        total, spread = np.empty(len(at)), np.empty((x.shape[1] if moment else 0, len(at)))
        run = compiled(moments)
        h = 0.5 / self.bandwidth**2
        run(_columns(x), np.ascontiguousarray(c), _columns(at), h, total, spread)
        return total, spread.T


def _columns(x: Array) -> Array:
    """Coordinates as rows, (d, n), contiguous."""
    return np.ascontiguousarray(x.T)


class BlobEntropy(Blob):
    """∫log(k_ε*ρ) dρ, the entropy of point clouds smoothed with N(0, ε²I).

    As ε → 0 it tends to `Entropy` on densities; an empirical measure has no entropy itself, so a
    flow of particles is that of this functional, and is judged under its name. With δF/δρ =
    log p + k_ε*(ρ/p) and p = k_ε*ρ, particles move deterministically.

    Parameters
    ----------
    bandwidth : float
        ε, the standard deviation of a blob, in units of length. Blobs have to overlap: a few
        times the distance of neighbours, which n^(−1/d) is a measure of.

    Raises
    ------
    InvalidFunctional
        If the bandwidth is not a positive number.
    NotDefined
        On measures other than `Particles`.

    Notes
    -----
    For low dimension: where the volume that a blob fills is small against that of the cloud, p
    sees each particle's own blob only, and nothing spreads. Nothing is claimed about convexity, so
    the judge calls minimality UNDECIDED. Curvature is not given: `ParticleProximal` takes L-BFGS.

    J. A. Carrillo, K. Craig, F. S. Patacchini, A blob method for diffusion, Calculus of Variations
    and PDE 58 (2019).

    Examples
    --------
    >>> from jkoflow import Particles
    >>> F = BlobEntropy(0.5)
    >>> mu = Particles([[0.0], [1.0]])
    >>> round(F.value(mu), 12)      # log of (1 + e^-2)/2 / √(2π ε²)
    -0.792010522162
    >>> F.gradient(mu).ravel().round(12)
    array([ 0.95362338, -0.95362338])
    """

    def of_density(self, log_density: Array) -> tuple[Array, Array]:
        return log_density, -log_density

    def spec(self) -> dict[str, Any]:
        return {"name": "BlobEntropy", "bandwidth": self.bandwidth}

    def __repr__(self) -> str:
        return f"BlobEntropy({self.bandwidth:g})"


class BlobPower(Blob):
    """c/(m−1) ∫(k_ε*ρ)^(m−1) dρ, m > 1: the porous medium energy of point clouds, smoothed.

    As ε → 0 it tends to `PowerEnergy` on densities. For m = 2 it is the interaction energy of the
    kernel k_ε.

    Parameters
    ----------
    m : float
        Exponent, > 1.
    bandwidth : float
        ε, the standard deviation of a blob.
    coefficient : float
        c > 0.

    Raises
    ------
    InvalidFunctional
        For parameters out of range.
    NotDefined
        On measures other than `Particles`.

    Notes
    -----
    J. A. Carrillo, K. Craig, F. S. Patacchini, A blob method for diffusion (2019).

    Examples
    --------
    >>> from jkoflow import Interaction, Particles
    >>> mu = Particles([[0.0], [1.0], [3.0]])
    >>> bell = lambda z: np.exp(-0.5 * z[:, 0] ** 2) / np.sqrt(2 * np.pi)
    >>> bool(np.isclose(BlobPower(2.0, 1.0).value(mu), 2 * Interaction(bell).value(mu)))
    True
    """

    def __init__(self, m: float, bandwidth: float, coefficient: float = 1.0) -> None:
        super().__init__(bandwidth)
        if not is_finite(m) or m <= 1:
            raise InvalidFunctional(
                f"the exponent m must exceed 1, but is {m!r:.80}; for m = 1 use BlobEntropy"
            )
        if not is_finite(coefficient) or coefficient <= 0:
            raise InvalidFunctional(f"the coefficient must be positive, but is {coefficient!r:.80}")
        self.m, self.coefficient = float(m), float(coefficient)

    def lower_bound(self) -> float | None:
        return 0.0

    def of_density(self, log_density: Array) -> tuple[Array, Array]:
        k = self.m - 1.0
        f = self.coefficient / k * np.exp(k * log_density)
        return f, np.log(self.coefficient) + (k - 1.0) * log_density

    def spec(self) -> dict[str, Any]:
        return {
            "name": "BlobPower", "m": self.m, "bandwidth": self.bandwidth,
            "coefficient": self.coefficient,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"BlobPower({self.m:g}, {self.bandwidth:g}, {self.coefficient:g})"
