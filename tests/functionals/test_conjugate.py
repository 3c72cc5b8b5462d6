"""Conjugates of internal energies: σ inverts u', u* is Legendre's, and mass is bought exactly."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.functionals.conjugate import conjugate
from jkoflow.functionals.normalisation import normalised
from jkoflow.status import MissingStructure

ENERGIES = {
    "entropy": 0.7 * jf.Entropy(),
    "m=2": jf.PowerEnergy(2.0, 0.3),
    "m=3.5": 2 * jf.PowerEnergy(3.5),
    "m=1.3": jf.PowerEnergy(1.3),
    "m=.7": jf.PowerEnergy(0.7),
    "sum": 0.2 * jf.Entropy() + jf.PowerEnergy(2.5),
    "entropy and m=.6": 0.4 * jf.Entropy() + jf.PowerEnergy(0.6, 0.5),
    "two powers": jf.PowerEnergy(1.6, 0.4) + 0.3 * jf.PowerEnergy(3.0),
    "three terms": 0.2 * jf.Entropy() + jf.PowerEnergy(1.6, 0.4) + 0.3 * jf.PowerEnergy(3.0),
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


@pytest.mark.parametrize("name", ENERGIES)
def test_the_mass_is_one(name) -> None:
    star = conjugate(ENERGIES[name])
    price = np.random.default_rng(1).normal(size=(6, 7))
    if name != "m=.7":
        price[0, 0] = -np.inf  # an obstacle
    shift, rho = normalised(star, price, 0.1)
    assert rho.sum() * 0.1 == pytest.approx(1.0, abs=1e-12) and (rho >= 0).all()
    partial = (rho > 0) & (rho < 1.4) & (name == "congestion")  # one place, filled in part
    assert partial.sum() <= 1
    bought = star.density(price + shift)[~partial]
    assert rho[~partial] == pytest.approx(bought, rel=1e-9, abs=1e-12)


def test_the_mass_is_one_where_prices_are_steep() -> None:
    """A bound with little pressure below it: each cell fills within 2e-3 of price."""
    star = conjugate(jf.PowerEnergy(2.0, 1e-3) + jf.Congestion(1.0))
    x = (np.arange(64) + 0.5) / 16 - 2
    bowl = -((x[:, None] - 0.3) ** 2 + x**2)
    for price in (bowl, np.where(bowl < -1, -50.0, bowl), np.where(bowl > -0.3, 0.0, -3.0)):
        rho = normalised(star, price, 1 / 256)[1]
        # a unit of rounding of the price, 4e-16, times the steepness 1/2δ of half of the mass
        assert rho.sum() / 256 == pytest.approx(1.0, abs=1e-12 / 1e-3) and rho.max() <= 1.0


@pytest.mark.parametrize("inner", [n for n in ENERGIES if "c" not in n.split()[0]] + [None])
def test_too_small_a_box_is_an_error(inner) -> None:
    bounded = jf.Congestion(0.5) if inner is None else jf.Congestion(0.5) + ENERGIES[inner]
    price = np.linspace(-1.0, 1.0, 16).reshape(4, 4)
    with pytest.raises(MissingStructure, match="box"):
        normalised(conjugate(bounded), price, 1.0 / 16)


@pytest.mark.parametrize("F", [
    jf.QuadraticPotential(1.0), -1.0 * jf.Entropy(), jf.QuadraticPotential(1.0) - jf.PowerEnergy(2),
])  # fmt: skip
def test_what_has_no_conjugate(F) -> None:
    with pytest.raises(MissingStructure):
        conjugate(F)


PRICES = {
    "smooth": np.linspace(-3.0, 1.0, 50) ** 2,
    "all the same": np.zeros(40),
    "small": 1e-9 * np.linspace(0.0, 1.0, 40),
    "large": 1e6 + np.linspace(0.0, 5.0, 40),
    "low": -1e6 + np.linspace(0.0, 5.0, 40),
    "one peak": np.append(np.full(39, -50.0), 50.0),
}


@pytest.mark.parametrize("prices", PRICES)
@pytest.mark.parametrize("name", [n for n in ENERGIES if n != "congestion"])
def test_any_prices_buy_the_mass_one(name, prices) -> None:
    """At prices of size P a unit of rounding moves the mass by 2e-16·P·Σσ'."""
    star, price, volume = conjugate(ENERGIES[name]), PRICES[prices], 0.05
    shift, rho = normalised(star, price, volume)
    steep = float(np.nan_to_num(star.slope(price + shift, rho)).sum()) * volume
    rounding = 2e-15 * np.abs([price.max(), price.min(), shift]).max() * steep
    assert rho.sum() * volume == pytest.approx(1.0, abs=1e-12 + rounding)


def test_tails_below_the_least_number_do_no_harm() -> None:
    """log ρ is the price's where the other term is too small to be seen, and ρ^k underflows."""
    star = conjugate(0.5 * jf.Entropy() + jf.PowerEnergy(6.0))
    price = np.array([-300.0, -100.0, -30.0])
    assert np.log(star.density(price)) == pytest.approx(price / 0.5 - 1.0, rel=1e-14)
