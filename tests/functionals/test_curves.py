"""Curves of laws: their values are the functional's, and their slopes the differences' limit."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.functionals.curves import Curve, displacement, mixture, remassed

RNG = np.random.default_rng(5)
CLOUD = jf.Particles(RNG.normal(size=(8, 2)), RNG.dirichlet(np.ones(8)))


def slope(curve, h=1e-6):
    """By a one-sided second-order difference: error h² and rounding 1e-16/h."""
    return (4 * curve.value(h) - curve.value(2 * h) - 3 * curve.value(0.0)) / (2 * h)


@pytest.mark.parametrize("F", [jf.QuadraticPotential(1.3), jf.QuadraticInteraction(0.4)], ids=repr)
def test_displacements(F):
    v = RNG.normal(size=(8, 2))
    curve = displacement(F, CLOUD, v, F.gradient(CLOUD))
    assert curve.slope == pytest.approx(slope(curve), rel=1e-8)
    assert abs(curve.slope) <= curve.size
    start, middle, end = curve.at_halves
    assert start == F.value(CLOUD) and end == F.value(CLOUD.displaced(v))
    assert middle == F.value(CLOUD.displaced(0.5 * v))


@pytest.mark.parametrize("S", [jf.QuadraticPotential(1.3), jf.QuadraticInteraction(0.4),
                               jf.MMD([[0.3, 0.1]], jf.functionals.gaussian_kernel(0.7))
                               if hasattr(jf.functionals, "gaussian_kernel")
                               else jf.QuadraticInteraction(-0.4)], ids=repr)  # fmt: skip
def test_mixtures(S):
    y, u = RNG.normal(size=(3, 2)), np.array([0.5, 0.2, 0.3])
    curve = mixture(S, CLOUD.points, CLOUD.weights, y, u)
    assert curve.slope == pytest.approx(slope(curve), rel=1e-7, abs=1e-9)
    assert abs(curve.slope) <= curve.size
    assert curve.value(0.0) == S.value(CLOUD) and curve.value(1.0) == S.value(jf.Particles(y, u))
    # what is continuous in t is so at both ends, where fewer points are looked at
    for t in (0.0, 1.0):
        assert curve.value(abs(t - 1e-12)) == pytest.approx(curve.value(t), abs=1e-10)


SQUARE = jf.Mesh([[0, 0], [2, 0], [2, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]], [0.3, 0.7])
DENSITIES = [
    jf.Quantiles.normal(0.3, 1.0, 12), jf.Radial.normal(0.8, 4, 9), SQUARE,
    jf.Grid([[0.0, 1.0], [2.0, 1.0]], [0.0, 0.0], [1.0, 1.0]),
]  # fmt: skip


@pytest.mark.parametrize("U", [jf.Entropy(), jf.PowerEnergy(3.0)], ids=repr)
@pytest.mark.parametrize("mu", DENSITIES, ids=repr)
def test_masses(mu, U):
    other = mu.mass * RNG.uniform(0.1, 1.9, len(mu.mass))
    curve = remassed(U, mu, other / other.sum())
    # one-sided differences of x log x: second order at positive masses
    assert curve.slope == pytest.approx(slope(curve, 1e-5), rel=1e-6)
    assert abs(curve.slope) <= curve.size
    start, middle, end = curve.at_halves
    assert start == pytest.approx(U.value(mu), rel=1e-14)
    assert middle <= 0.5 * (start + end)  # both are convex along mixtures


@pytest.mark.parametrize(
    ("beside", "kinked"), [(0.0, True), (2e-8, True), (5e-7, True), (5e-6, False)]
)
def test_a_kink_beside_is_seen_as_far_as_64_times_the_first_bend(beside, kinked):
    """|t − beside| with the mean slope of both sides, and a hundredth of it that bends at once."""
    curve = Curve(lambda t: abs(t - beside) + 0.01 * abs(t), 0.0, 1.0)
    assert curve.kinked(list(3e-8 * 4.0 ** np.arange(10)), beside, 1e-12, 0.0) is kinked


def test_a_wrong_slope_of_a_parabola_is_no_kink():
    curve = Curve(lambda t: t + 1e6 * t * t, 0.5, 1.0)
    assert not curve.kinked(list(3e-8 * 4.0 ** np.arange(10)), 0.0, 1e-15, 0.0)
