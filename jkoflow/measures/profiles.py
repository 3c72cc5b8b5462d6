"""Self-similar laws on cells: normal and Barenblatt profiles, by their quantile functions.

A profile is a law on the line, or the law of the radius of a rotation-invariant law on R^d; its
dilates x ↦ centre + scale·x are the family that an internal energy's exact JKO step stays in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..arguments import is_finite, is_whole
from ..status import InvalidMeasure
from .base import Array
from .cells import Cells, level_masses, tail_mean
from .quantiles import Quantiles
from .radial import Radial

_RECOGNISED = 1e-7  # largest deviation of an edge, relative to the scale


class Profile(NamedTuple):
    """Quantile function ``ppf`` of a standard law, and ``isf(s)`` = ppf(1 − s) for small s."""

    ppf: Callable[[Array], Array]
    isf: Callable[[Array], Array]
    radial: bool

    def edges(self, mass: Array) -> Array:
        """Edges of cells with these masses; an infinite end is the mean of its outer half cell."""
        below = np.concatenate([[0.0], np.cumsum(mass)])
        above = np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]])
        lower = below <= 0.5
        with np.errstate(all="ignore"):
            x = np.where(
                lower, self.ppf(np.where(lower, below, 0.5)), self.isf(np.where(lower, 0.5, above))
            )
        if not np.isfinite(x[0]):
            x[0] = tail_mean(self.ppf, 0.5 * mass[0])
        if not np.isfinite(x[-1]):
            x[-1] = tail_mean(self.isf, 0.5 * mass[-1])
        return np.asarray(x)

    def fit(self, mu: Cells) -> tuple[float, float] | None:
        """(centre, scale) with mu's edges = centre + scale·edges, or None if there are none.

        Radial laws are centred at 0; their innermost edge, which may stand for a whole ball,
        may lie anywhere below the next one.
        """
        standard = self.edges(mu.mass)
        if self.radial:
            centre, kept = 0.0, slice(1, None)
            scale = float(standard[kept] @ mu.edges[kept] / (standard[kept] @ standard[kept]))
        else:
            kept = slice(None)
            mean = float(mu.weights @ standard)
            centred = standard - mean
            scale = float(mu.weights @ (centred * mu.edges) / (mu.weights @ centred**2))
            centre = float(mu.weights @ mu.edges) - scale * mean
        gap = np.abs(mu.edges - (centre + scale * standard))[kept].max()
        return (centre, scale) if scale > 0 and gap <= _RECOGNISED * scale else None


def normal_profile(dim: int | None = None) -> Profile:
    """N(0, 1) on the line, or the radius of N(0, I_dim)."""
    from scipy.special import gammainccinv, gammaincinv, ndtri

    if dim is None:
        return Profile(ndtri, lambda s: -ndtri(s), radial=False)
    return Profile(
        lambda s: np.sqrt(2.0 * gammaincinv(0.5 * dim, s)),
        lambda s: np.sqrt(2.0 * gammainccinv(0.5 * dim, s)),
        radial=True,
    )


def barenblatt_profile(m: float, dim: int | None = None) -> Profile:
    """The density ∝ (1 − |x|²)_+^{1/(m−1)}: (1+x)/2, or |x|² on R^dim, has a beta law."""
    from scipy.special import betainccinv, betaincinv

    p = barenblatt_exponent(m)
    if dim is None:
        return Profile(
            lambda s: 2.0 * betaincinv(p + 1.0, p + 1.0, s) - 1.0,
            lambda s: 1.0 - 2.0 * betaincinv(p + 1.0, p + 1.0, s),
            radial=False,
        )
    return Profile(
        lambda s: np.sqrt(betaincinv(0.5 * dim, p + 1.0, s)),
        lambda s: np.sqrt(betainccinv(0.5 * dim, p + 1.0, s)),
        radial=True,
    )


def barenblatt_exponent(m: float) -> float:
    """1/(m − 1); only m > 1 has a compactly supported profile."""
    if not (is_finite(m) and m > 1):
        raise InvalidMeasure(f"a Barenblatt profile of compact support needs m > 1, not {m!r}")
    return 1.0 / (m - 1.0)


def barenblatt_speed(m: float, coefficient: float, dim: int) -> float:
    """K in R' = K R^{−d(m−1)−1}, the radius of the Barenblatt solution of ∂_t ρ = cΔρ^m.

    With ρ = A R^{-d}(1 − |x/R|²)^{1/(m−1)} of mass 1, δF/δρ = (cm/(m−1)) ρ^{m−1} is quadratic on
    the support, so ∇δF = −K R^{−d(m−1)−2} x with K = 2cm A^{m−1}/(m−1),
    A = Γ(p+1+d/2)/(π^{d/2} Γ(p+1)), p = 1/(m−1).

    Examples
    --------
    >>> round(barenblatt_speed(2.0, 1.0, 1), 12)
    3.0
    """
    from scipy.special import gammaln

    p = barenblatt_exponent(m)
    log_a = gammaln(p + 1.0 + 0.5 * dim) - gammaln(p + 1.0) - 0.5 * dim * np.log(np.pi)
    return float(2.0 * coefficient * m * p * np.exp(log_a * (m - 1.0)))


def barenblatt(
    m: float, radius: float, n: int, dim: int | None = None, grading: str = "cosine"
) -> Quantiles | Radial:
    """The Barenblatt law ∝ (1 − |x/R|²)_+^{1/(m−1)} on n cells.

    Parameters
    ----------
    m : float
        Exponent of the porous medium equation, > 1.
    radius : float
        R > 0, of the support.
    n : int
    dim : int, optional
        Dimension d of a `Radial` law; without it, `Quantiles` on the line.
    grading : {"uniform", "cosine", "tails"}
        Of the masses; see `Quantiles.from_ppf`.

    Raises
    ------
    InvalidMeasure
        For m ≤ 1, or a radius or n that is not positive.

    Examples
    --------
    >>> barenblatt(2.0, 1.5, 100)
    Quantiles(n=100, on [-1.5, 1.5])
    >>> barenblatt(3.0, 1.0, 100, dim=2)
    Radial(n=100, dim=2, on [0, 1])
    """
    if not (is_finite(radius) and radius > 0):
        raise InvalidMeasure(f"the radius must be positive, but is {radius!r}")
    if dim is not None and not is_whole(dim):
        raise InvalidMeasure(f"dim must be a positive integer or None, but is {dim!r:.100}")
    _, mass = level_masses(n, grading)
    edges = radius * barenblatt_profile(m, dim).edges(mass)
    return Quantiles(edges, mass) if dim is None else Radial(edges, dim, mass)
