"""The exact excess of n iid particles: against Monte Carlo, against sums, against enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from jkoflow import Entropy, Particles, QuadraticInteraction, QuadraticPotential, Radial
from jkoflow.functionals.finite_size import finite_size_correction
from jkoflow.functionals.risk import Risk
from jkoflow.networks import GaussianClasses, radial_risk, truncated_relu
from jkoflow.status import InvalidFunctional


def waves(theta):
    return np.stack([np.cos(theta[:, 0]), theta[:, 0] * theta[:, 1], theta[:, 1] ** 2])


RISK = Risk(waves, [0.5, -1.0, 2.0], [0.2, 0.5, 1.5])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_enumeration_of_all_samples(n):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 2)), rng.dirichlet(np.ones(4))
    F = RISK + 0.7 * QuadraticInteraction(1.3) - 2.0 * QuadraticPotential(0.4)
    mean = sum(
        np.prod(w[list(chosen)]) * F.value(Particles(x[list(chosen)]))
        for chosen in product(range(4), repeat=n)
    )
    mu = Particles(x, w)
    # exact: only rounding is left
    assert finite_size_correction(F, mu, n) == pytest.approx(mean - F.value(mu), abs=1e-12)


@pytest.mark.parametrize("n", [3, 20])
def test_monte_carlo_on_a_radial_law(n):
    R = radial_risk(GaussianClasses.std(12, 0.6), truncated_relu)
    law = Radial.normal(0.5, 12, 4000)
    rng = np.random.default_rng(n)
    radii = 0.5 * np.linalg.norm(rng.standard_normal((12000, n, 12)), axis=2)
    w = np.full(n, 1.0 / n)
    values = [R.value_at_points(r[:, None], w) for r in radii]
    expected = R.value(law) + finite_size_correction(R, law, n)
    # four standard errors; the cells' own error, 1e-6, is far below
    assert abs(np.mean(values) - expected) < 4 * np.std(values) / np.sqrt(len(values))
    assert finite_size_correction(R, law, n) > 5 * np.std(values) / np.sqrt(len(values))


def test_a_linear_functional_has_none():
    mu = Particles(np.random.default_rng(1).normal(size=(30, 2)))
    assert finite_size_correction(QuadraticPotential(2.0), mu, 4) == pytest.approx(0.0, abs=1e-14)


def test_bad_input():
    mu = Particles([[0.0, 1.0]])
    for bad in (0, -1, 2.5, np.nan, "3"):
        with pytest.raises(InvalidFunctional):
            finite_size_correction(RISK, mu, bad)
    with pytest.raises(InvalidFunctional, match="internal"):
        finite_size_correction(RISK + Entropy(), mu, 3)
