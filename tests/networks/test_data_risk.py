"""The shared bound on curvatures of a data risk, against the Hessians that it bounds."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.networks import SimpleUnit, data_risk, relu, smooth_truncated_relu, softplus, tanh


@pytest.mark.parametrize("activation", [tanh, softplus, smooth_truncated_relu])
@pytest.mark.parametrize("seed", range(3))
def test_hessian_bound_holds_and_beats_the_sum(activation, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, 4))
    features = data_risk(SimpleUnit(activation), x, np.ones(30)).features
    c = rng.uniform(0, 1, 30)
    bound = features.hessian_bound(c)
    assert bound < c @ features.curvature_bounds
    theta = rng.normal(size=(500, 4)) * rng.uniform(0.1, 3, (500, 1))
    for signs in (np.ones(30), rng.choice([-1.0, 1.0], 30)):
        norms = np.linalg.norm(features.curvature(theta, signs * c), ord=2, axis=(1, 2))
        assert norms.max() <= bound


def test_the_modulus_holds_along_straight_couplings():
    rng = np.random.default_rng(4)
    R = data_risk(SimpleUnit(tanh), rng.normal(size=(20, 3)), rng.choice([-1.0, 1.0], 20))
    mu, radius = jf.Particles(rng.normal(size=(15, 3))), 0.3
    modulus = R.convexity_near(mu, radius)
    for _ in range(20):
        v, u = rng.normal(size=(2, 15, 3))
        v, u = (radius * a / np.sqrt((a**2).sum() / 15) for a in (v, u))
        ends = [R.value(mu.displaced(a)) for a in (v, u)]
        middle = R.value(mu.displaced(0.5 * (u + v)))
        squared = ((u - v) ** 2).sum() / 15
        assert middle <= 0.5 * sum(ends) - modulus * squared / 8 + 1e-14


def test_a_kink_claims_nothing():
    R = data_risk(SimpleUnit(relu), [[1.0, 2.0]], [1.0])
    assert R.convexity_near(jf.Particles([[0.5, 0.5]]), 0.1) is None
