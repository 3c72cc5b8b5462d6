"""Conjugates of internal energies: σ inverts u', u* is Legendre's, and mass is bought exactly."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.status import MissingStructure
from jkoflow.functionals.conjugate import conjugate, normalised

ENERGIES = {
    "entropy": 0.7 * jf.Entropy(),
    "m=2": jf.PowerEnergy(2.0, 0.3),
    "m=3.5": 2 * jf.PowerEnergy(3.5),
    "m=1.3": jf.PowerEnergy(1.3),
    "m=.7": jf.PowerEnergy(0.7),
    "sum": 0.2 * jf.Entropy() + jf.PowerEnergy(2.5),
    "capped entropy": 0.7 * jf.Entropy() + jf.Congestion(1.4),
    "capped m=2": jf.PowerEnergy(2.0) + jf.Congestion(1.4),
    "capped sum": 0.2 * jf.Entropy() + jf.PowerEnergy(2.5) + jf.Congestion(1.4),
    "congestion": jf.Congestion(1.4),
}


def energy(F, rho):
    """u(ρ) from the functional itself, on one cell of volume 1/ρ and mass 1, times ρ."""
    return np.array([F.value(jf.Quantiles([0.0, 1.0 / r])) * r for r in rho])


@pytest.mark.parametrize("name", ENERGIES)
def test_surplus_is_the_conjugate(name) -> None:
    F, star = ENERGIES[name], conjugate(ENERGIES[name])
    sign = -1.0 if name == "m=.7" else 1.0
    price = sign * np.linspace(0.3, 4.0, 9)
    sigma = star.density(price)
    rho = np.linspace(1e-4, 12.0, 4000)
    u = energy(F, rho)
    brute = (price[:, None] * rho - u).max(axis=1)
    got = star.surplus(price, sigma)
    assert (got >= brute - 1e-9).all()  # σ is the maximiser
    inside = sigma < 11.0
    # the densities tried are 3e-3 apart, which at a price of 4 costs 1.2e-2 next to a bound
    assert got[inside] == pytest.approx(brute[inside], abs=0.013)
    t = 1e-6
    slope = star.surplus(price + t, star.density(price + t)) - star.surplus(
        price - t, star.density(price - t)
    )
    assert slope / (2 * t) == pytest.approx(sigma, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", [n for n in ENERGIES if "c" not in n.split()[0]])
def test_slope_is_the_derivative_of_the_density(name) -> None:
    star = conjugate(ENERGIES[name])
    price = (-1.0 if name == "m=.7" else 1.0) * np.linspace(0.4, 3.0, 8)
    t = 1e-6
    slope = (star.density(price + t) - star.density(price - t)) / (2 * t)
    assert star.slope(price, star.density(price)) == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("name", [n for n in ENERGIES if n != "congestion"])
def test_the_mass_is_one(name) -> None:
    star = conjugate(ENERGIES[name])
    price = np.random.default_rng(1).normal(size=(6, 7))
    if name != "m=.7":
        price[0, 0] = -np.inf  # an obstacle
    shift, rho = normalised(star, price, 0.1)
    assert rho.sum() * 0.1 == pytest.approx(1.0, abs=1e-12) and (rho >= 0).all()
    assert rho == pytest.approx(star.density(price + shift), rel=1e-9, abs=1e-12)


def test_too_small_a_box_is_an_error() -> None:
    with pytest.raises(MissingStructure, match="box"):
        normalised(conjugate(jf.Congestion(0.5)), np.zeros((2, 2)), 0.25)


@pytest.mark.parametrize("F", [
    jf.QuadraticPotential(1.0), -1.0 * jf.Entropy(), jf.QuadraticPotential(1.0) - jf.PowerEnergy(2),
])  # fmt: skip
def test_what_has_no_conjugate(F) -> None:
    with pytest.raises(MissingStructure):
        conjugate(F)
