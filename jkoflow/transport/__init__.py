"""W2 distances and couplings, each with the potentials that prove it."""

from __future__ import annotations

from ..measures.base import Measure, a_measure
from ..measures.cells import Cells
from ..measures.gaussian import Gaussian
from ..measures.particles import Particles
from ..status import NotDefined

__all__ = ["wasserstein", "wasserstein_squared"]


def wasserstein(mu: Measure, nu: Measure) -> float:
    """W2(μ, ν), exactly, for measures of kinds that can be compared; see `wasserstein_squared`.

    Examples
    --------
    >>> wasserstein(Particles([[0.0, 0.0]]), Particles([[3.0, 4.0]]))
    5.0
    """
    return float(wasserstein_squared(mu, nu) ** 0.5)


def wasserstein_squared(mu: Measure, nu: Measure) -> float:
    """W2²(μ, ν) = min over couplings of ∫|x − y|² dπ, without a ½.

    Gaussians by Bures' formula; laws on the line and radial laws by quantile functions;
    points in R^d by an exact linear program with a verified gap.

    Raises
    ------
    NotDefined
        For kinds between which W2 is not known exactly; sample or quantise first
        (`jkoflow.measures.conversion`).
    TransportFailed
        If a linear program was not solved to a certified gap.

    Examples
    --------
    >>> wasserstein_squared(Gaussian(0.0, 1.0), Gaussian(1.0, 4.0))
    2.0
    """
    a_measure(mu, "mu")
    a_measure(nu, "nu")
    if isinstance(mu, Gaussian) and isinstance(nu, Gaussian):
        from . import bures

        return bures.distance_squared(mu, nu)
    if mu.dim != nu.dim:
        raise NotDefined(f"the measures live in R^{mu.dim} and R^{nu.dim}")
    on_line = mu.dim == 1 and "radial" not in (mu.kind, nu.kind)
    if on_line and isinstance(mu, Gaussian):
        return _to_normal(nu, mu)
    if on_line and isinstance(nu, Gaussian):
        return _to_normal(mu, nu)
    if on_line or (isinstance(mu, Cells) and mu.kind == nu.kind):
        from . import one_dimensional

        return one_dimensional.distance_squared(mu, nu)
    if isinstance(mu, Particles) and isinstance(nu, Particles):
        from . import exact

        return exact.couple(mu.points, nu.points, mu.weights, nu.weights).cost
    raise NotDefined(
        f"no exact W2 between {mu.kind} and {nu.kind}: convert one of them first, for instance "
        "with jkoflow.measures.conversion.sample"
    )


def _to_normal(mu: Measure, normal: Gaussian) -> float:
    from scipy.special import ndtri

    from .one_dimensional import distance_squared_to_ppf

    mean, std = float(normal.mean()[0]), float(normal.cov()[0, 0]) ** 0.5
    return distance_squared_to_ppf(
        mu, lambda s: mean + std * ndtri(s), lambda s: mean - std * ndtri(s)
    )
