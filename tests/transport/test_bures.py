"""Bures–Wasserstein: against the textbook formula, commuting cases, and near-singular ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from jkoflow.check import Verdict
from jkoflow.check.transport import Transport, certify
from jkoflow.measures.gaussian import Gaussian
from jkoflow.record import Witness
from jkoflow.status import InvalidMeasure, NotDefined
from jkoflow.transport.bures import distance_squared, geodesic, optimal_map


def some_gaussian(dim, seed, floor=0.1):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(dim, dim))
    return Gaussian(rng.normal(size=dim), factor @ factor.T / dim + floor * np.eye(dim))


@pytest.mark.parametrize("dim", [1, 2, 5, 30])
def test_the_distance_is_the_textbook_s(dim):
    mu, nu = some_gaussian(dim, 0), some_gaussian(dim, 1)
    cross = sqrtm(mu.sqrt_cov @ nu.cov() @ mu.sqrt_cov).real
    exact = np.sum((mu.mean() - nu.mean()) ** 2) + np.trace(mu.cov() + nu.cov() - 2 * cross)
    assert distance_squared(mu, nu) == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("dim", [1, 2, 5, 30])
def test_the_map_is_symmetric_positive_and_pushes_forward(dim):
    mu, nu = some_gaussian(dim, 2), some_gaussian(dim, 3)
    T = optimal_map(mu, nu)
    assert (T == T.T).all() and np.linalg.eigvalsh(T)[0] > 0
    np.testing.assert_allclose(T @ mu.cov() @ T, nu.cov(), atol=1e-12 * dim)
    gap = (T - np.eye(dim)) @ mu.cov() @ (T - np.eye(dim))
    moved = np.sum((mu.mean() - nu.mean()) ** 2)
    assert np.trace(gap) + moved == pytest.approx(distance_squared(mu, nu), rel=1e-11)
    np.testing.assert_allclose(T @ optimal_map(nu, mu), np.eye(dim), atol=1e-11 * dim)


def test_tiny_distances_keep_their_digits():
    """tr Σ + tr S − 2 tr(…)^½ would leave an error of 1e-16, 100 times the distance itself."""
    sigma = np.diag([1.0, 2.0, 5.0])
    mu, nu = Gaussian(np.zeros(3), sigma), Gaussian(np.zeros(3), sigma * (1 + 1e-9) ** 2)
    assert distance_squared(mu, nu) == pytest.approx(8e-18, rel=1e-5)


def test_near_singular_covariances():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    small, large = np.array([1e-12, 1e-6, 1.0, 10.0]), np.array([1e-8, 4.0, 1e-10, 9.0])
    mu = Gaussian.from_eigen(np.zeros(4), small, turn)
    nu = Gaussian.from_eigen(np.zeros(4), large, turn)
    exact = np.sum((np.sqrt(small) - np.sqrt(large)) ** 2)
    assert distance_squared(mu, nu) == pytest.approx(exact, rel=1e-13)
    T = optimal_map(mu, nu)
    np.testing.assert_allclose(T @ mu.cov() @ T, nu.cov(), atol=1e-9)


def test_singular_covariances_have_a_distance_but_no_map():
    point, line = Gaussian([0.0, 0.0], np.zeros((2, 2))), Gaussian([3.0, 0.0], np.diag([4.0, 0.0]))
    assert distance_squared(point, line) == pytest.approx(13.0, rel=1e-14)
    with pytest.raises(NotDefined, match="regular"):
        optimal_map(point, line)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_geodesics_have_constant_speed(t):
    mu, nu = some_gaussian(3, 4), some_gaussian(3, 5)
    between = geodesic(mu, nu, t)
    whole = distance_squared(mu, nu) ** 0.5
    assert distance_squared(mu, between) ** 0.5 == pytest.approx(t * whole, rel=1e-10, abs=1e-7)
    assert distance_squared(between, nu) ** 0.5 == pytest.approx((1 - t) * whole, abs=1e-7)


def test_bad_input_is_refused():
    with pytest.raises(InvalidMeasure, match="live in"):
        distance_squared(some_gaussian(2, 0), some_gaussian(3, 0))
    with pytest.raises(InvalidMeasure, match="geodesic"):
        geodesic(some_gaussian(2, 0), some_gaussian(2, 1), 1.5)


@pytest.mark.parametrize("dim", [2, 10, 50])
@pytest.mark.parametrize("seed", range(3))
def test_the_map_between_thin_laws_is_right_to_what_the_judge_asks(dim, seed):
    """Deviations from 1 to 3·10⁻⁷: a bare decomposition misses by the rounding of the broad
    directions over thin ones, in R⁵⁰ by more than the judge allows."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    factor = turn * 10.0 ** rng.uniform(-6.5, 0.0, dim)
    mu = Gaussian(np.zeros(dim), factor @ factor.T)
    noise = rng.normal(size=(dim, dim)) / np.sqrt(dim)
    true = np.eye(dim) + 0.05 * (noise + noise.T)
    nu = Gaussian(np.zeros(dim), (true @ factor) @ (true @ factor).T)
    found = Witness("symmetric-map", {"matrix": optimal_map(mu, nu)})
    proof = certify(mu, nu, found)
    assert isinstance(proof, Transport) and proof.finding.verdict is Verdict.ACCEPTED
