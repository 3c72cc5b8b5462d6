"""Barenblatt and normal profiles: mass, moments, recognition up to dilation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma

import jkoflow as jf
from jkoflow.measures.profiles import (
    barenblatt,
    barenblatt_profile,
    barenblatt_speed,
    normal_profile,
)
from jkoflow.status import InvalidMeasure


@pytest.mark.parametrize(
    ("m", "dim", "c"), [(2.0, 1, 1.0), (3.0, 1, 0.4), (1.7, 3, 2.3), (4.0, 5, 0.6)]
)
def test_the_speed_is_the_ratio_of_energy_and_second_moment(m, dim, c):
    """Within dilations the step minimises E₁R^{−d(m−1)} + M₂(R−R₀)²/(2τ), so K = d(m−1)E₁/M₂."""
    p, sphere = 1 / (m - 1), 2 * np.pi ** (dim / 2) / gamma(dim / 2)
    height = gamma(p + 1 + dim / 2) / (np.pi ** (dim / 2) * gamma(p + 1))
    density = lambda r: height * (1 - r * r) ** p  # noqa: E731

    def radial_integral(f):
        return quad(lambda r: sphere * r ** (dim - 1) * f(r), 0, 1, epsabs=1e-13)[0]

    assert radial_integral(density) == pytest.approx(1.0, rel=1e-9)
    energy = c / (m - 1) * radial_integral(lambda r: density(r) ** m)
    second = radial_integral(lambda r: r * r * density(r))
    # quad meets the derivative's singularity at r = 1 to about 1e-9
    assert barenblatt_speed(m, c, dim) == pytest.approx(dim * (m - 1) * energy / second, rel=1e-8)


@pytest.mark.parametrize("dim", [None, 1, 2, 5])
@pytest.mark.parametrize("m", [1.5, 2.0, 3.0])
def test_levels_of_the_density(dim, m):
    mu = barenblatt(m, 0.8, 400, dim)
    p, d = 1 / (m - 1), dim or 1
    height = gamma(p + 1 + d / 2) / (np.pi ** (d / 2) * gamma(p + 1)) / 0.8**d
    middle = 0.5 * (mu.edges[1:] + mu.edges[:-1])
    inside = slice(20, -20)
    exact = height * (1 - (middle / 0.8) ** 2) ** p
    density = np.exp(mu.log_density())
    # cells are averages: second order in their length, about (π/400)² where the density is regular
    np.testing.assert_allclose(density[inside], exact[inside], rtol=2e-2)
    assert mu.edges[-1] == pytest.approx(0.8, abs=1e-12)


@pytest.mark.parametrize("dim", [None, 3])
def test_dilates_are_recognised_and_others_are_not(dim):
    mu = barenblatt(2.0, 1.0, 50, dim)
    centre = 0.0 if dim else 0.7
    profile = barenblatt_profile(2.0, dim)
    found = profile.fit(mu.with_edges(centre + 1.3 * mu.edges))
    assert found == pytest.approx((centre, 1.3), abs=1e-12)
    assert barenblatt_profile(2.2, dim).fit(mu) is None
    assert normal_profile(dim).fit(mu) is None


@pytest.mark.parametrize("grading", ["uniform", "cosine", "tails"])
def test_normal_laws_are_recognised(grading):
    centre, scale = normal_profile().fit(jf.Quantiles.normal(-0.4, 2.0, 301, grading))
    assert (centre, scale) == pytest.approx((-0.4, 2.0), abs=1e-12)
    _, scale = normal_profile(7).fit(jf.Radial.normal(0.3, 7, 300, grading))
    assert scale == pytest.approx(0.3, abs=1e-12)


@pytest.mark.parametrize(
    ("m", "radius"), [(1.0, 1.0), (0.5, 1.0), (np.nan, 1.0), (2.0, 0.0), (2.0, -1)]
)
def test_bad_profiles_are_refused(m, radius):
    with pytest.raises(InvalidMeasure):
        barenblatt(m, radius, 10)
