"""Claimed curvature of first variations, against second differences at random places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.functionals.divergence import MMD
from jkoflow.functionals.kernels import EnergyKernel, GaussianKernel


def risk(rng: np.random.Generator, d: int) -> jf.Risk:
    b, y = rng.normal(size=(4, d)), rng.normal(size=4)
    size = np.linalg.norm(b, axis=1)
    return jf.Risk(
        lambda t: np.tanh(b @ t.T), y, slope_bounds=size, curvature_bound=0.77 * size**2
    )


def claims(rng: np.random.Generator, d: int) -> list[Any]:
    wave = jf.Potential(
        lambda x: np.cos(x).sum(axis=1), gradient=lambda x: -np.sin(x), convexity=-1.0
    )
    gaussian = MMD(rng.normal(size=(3, d)), GaussianKernel(0.7))
    parts = [risk(rng, d), wave, gaussian, jf.QuadraticInteraction(-0.8),
             jf.QuadraticPotential(1.3), jf.QuadraticInteraction(0.6)]  # fmt: skip
    return [*parts, 0.5 * parts[0] + 2.0 * wave + gaussian / 3, parts[0] - parts[4]]


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("k", range(8))
def test_first_variations_are_as_convex_as_claimed(d: int, k: int) -> None:
    rng = np.random.default_rng(10 * k + d)
    F = claims(rng, d)[k]
    mu = jf.Particles(rng.normal(size=(5, d)), rng.dirichlet(np.ones(5)))
    modulus = F.convexity_of_variation(mu)
    assert modulus is not None
    y = 2.0 * rng.normal(size=(4000, d))
    v = rng.normal(size=y.shape)
    v *= 1e-3 / np.linalg.norm(v, axis=1)[:, None]
    V = [F.first_variation(mu, y + s * v) for s in (-1.0, 0.0, 1.0)]
    bend = (V[0] - 2.0 * V[1] + V[2]) / 1e-6
    # rounding of V is 1e-15 of some units, over 1e-6
    assert bend.min() >= modulus - 1e-6
    if k not in (0, 2, 6, 7):  # sup‖Σ c_q ∇²φ_q‖ ≤ Σ|c_q| sup‖∇²φ_q‖ may be loose
        assert bend.min() <= modulus + 0.1


def test_what_nothing_is_claimed_for() -> None:
    mu = jf.Particles([0.0, 1.0])
    silent = jf.Potential(lambda x: x[:, 0] ** 2)
    assert silent.convexity_of_variation(mu) is None
    assert MMD([[0.0]], EnergyKernel()).convexity_of_variation(mu) is None
    assert jf.Entropy().convexity_of_variation(mu) is None
    assert (jf.QuadraticPotential(1.0) + silent).convexity_of_variation(mu) is None
    # from above only linear functionals are claimed
    assert (-1.0 * MMD([[0.0]], GaussianKernel(1.0))).convexity_of_variation(mu) is None
    assert (-2.0 * jf.QuadraticPotential(1.0)).convexity_of_variation(mu) == -2.0


@pytest.mark.parametrize("kind", ["quantiles", "radial", "gaussian"])
def test_the_entropy_near_a_law_is_above_its_lower_bound(kind: str) -> None:
    """Laws stretched and shifted by up to the radius, which is their distance."""
    rng = np.random.default_rng(5)
    mu: Any = {
        "quantiles": jf.Quantiles.normal(0.3, 0.8, 40),
        "radial": jf.Radial.normal(0.7, 5, 40),
        "gaussian": jf.Gaussian([0.2, 1.0], [[1.0, 0.3], [0.3, 0.5]]),
    }[kind]
    H, tightest = jf.Entropy(), np.inf
    for scale in np.geomspace(0.2, 20.0, 60):
        shift = 0.0 if kind == "radial" else rng.normal()
        other = mu.displaced((scale - 1.0) * mu.points + shift)
        radius = np.sqrt(mu.weights @ ((other.points - mu.points) ** 2).sum(axis=1))
        bound = H.lower_bound_near(mu, float(radius))
        assert bound is not None and H.value(other) >= bound
        tightest = min(tightest, H.value(other) - bound)
    assert tightest < 2.0
    F = 2.0 * H + jf.QuadraticPotential(1.0)
    assert F.lower_bound_near(mu, 0.5) == 2.0 * (H.lower_bound_near(mu, 0.5) or 0.0)
    assert (F - jf.QuadraticPotential(2.0)).lower_bound_near(mu, 0.5) is None
