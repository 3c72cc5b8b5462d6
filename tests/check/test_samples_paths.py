"""Reversible paths: stationary, of no direction, and with choices that are exact for few points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gumbel_r, kstest, norm

from jkoflow.check.samples import paths as sp
from jkoflow.check.samples.statistics import largest_correlation
from jkoflow.status import InvalidFunctional


def gumbel_score(x):
    return np.exp(-x) - 1.0


def gumbel(x):
    return -(x + np.exp(-x)).sum(axis=1)


def half_normal(x):
    """|N(0, 1)|, with a wall at the origin."""
    return np.where((x > 0).all(axis=1), -0.5 * (x**2).sum(axis=1), -np.inf)


@pytest.mark.parametrize("states", [1, 40])
@pytest.mark.parametrize("way", ["density", "forces"])
def test_every_state_is_of_the_law(way, states):
    ratio = sp.ratio_of(gumbel) if way == "density" else sp.ratio_along(gumbel_score)
    rng = np.random.default_rng(1)
    x = rng.gumbel(size=(20_000, 1))
    paths = sp.paths_through(x, gumbel_score, ratio, rng, states)
    assert paths is not None and paths.points.shape == (states + 1, 20_000, 1)
    np.testing.assert_array_equal(paths.points[0], x)
    for k in {1, states}:
        # 20 000 points would show 1% in the distribution function
        assert kstest(paths.points[k, :, 0], gumbel_r.cdf).pvalue > 1e-4
    np.testing.assert_allclose(paths.scores, gumbel_score(paths.points))


def test_steps_have_no_direction():
    """x and its neighbour may be exchanged: ⟨f(x) g(y)⟩ = ⟨g(x) f(y)⟩."""
    rng = np.random.default_rng(2)
    x = rng.gumbel(size=(50_000, 1))
    paths = sp.paths_through(x, gumbel_score, sp.ratio_of(gumbel), rng, 1)
    assert paths is not None
    x, y = paths.points[:, :, 0]
    lopsided = (x < 0) * np.tanh(y) - (y < 0) * np.tanh(x)
    assert abs(lopsided.mean()) < 4 * lopsided.std() / 50_000**0.5
    assert np.mean(x != y) > 0.5  # not for want of moves


def test_a_path_goes_on_from_the_point_both_ways():
    """State k is k steps away before the turn, and k − turn after it; turns are uniform."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4000, 1))
    far = x + 30.0 * np.where(np.arange(4000) < 2000, 1.0, -1.0)[:, None]
    paths = sp.paths_through(far, lambda x: 0.0 * x, lambda x, y: np.zeros(len(x)), rng, 20)
    assert paths is not None
    # free steps: differences of neighbours are short except where the path turns
    start = far[:, 0]
    away = np.abs(paths.points[1:, :, 0] - start)
    steps = np.abs(np.diff(paths.points[:, :, 0], axis=0))
    assert np.median(away[-1]) < np.median(np.abs(np.cumsum(steps, axis=0)[-1]))
    variance = np.square(paths.points[1:, :, 0] - start).mean(axis=1)
    # of a free walk with unit variance v a step, turned back at a uniform one of 0..20: state k is
    # min(k, ·) steps away: the mean of k (no turn yet, 21−k of 21) and of k − turn (turn < k)
    k = np.arange(1, 21)
    expected = (k * (21 - k) + k * (k + 1) / 2) / 21
    np.testing.assert_allclose(variance / variance[0], expected / expected[0], rtol=0.15)


def test_paths_come_to_the_law_from_afar():
    rng = np.random.default_rng(4)
    x = 3.0 + 0.5 * rng.normal(size=(400, 2))
    paths = sp.paths_through(x, lambda x: -x, sp.ratio_along(lambda x: -x), rng)
    assert paths is not None
    late = paths.points[50:].reshape(-1, 2)
    assert np.abs(late.mean(axis=0)).max() < 1.0 and np.abs(late.std(axis=0) - 1.0).max() < 0.4


def test_walls_are_never_crossed():
    rng = np.random.default_rng(5)
    x = np.abs(rng.normal(size=(5000, 1)))
    seen = []

    def score(x):
        seen.append(x.min())
        return -x

    paths = sp.paths_through(x, score, sp.ratio_of(half_normal), rng)
    assert paths is not None and paths.points.min() > 0 and min(seen) > 0
    assert kstest(paths.points[-1, :, 0], lambda t: 2 * norm.cdf(t) - 1).pvalue > 1e-4


def test_ratios_along_are_those_of_the_density():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(2, 9, 3))
    f = lambda x: -(x**4).sum(axis=1) + x[:, 0] * x[:, 1]  # noqa: E731

    def score(x):
        return -4.0 * x**3 + np.stack([x[:, 1], x[:, 0], 0.0 * x[:, 0]], axis=1)

    # five nodes are exact for polynomials of degree 9 along the way
    np.testing.assert_allclose(sp.ratio_along(score)(x, y), f(y) - f(x), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(sp.ratio_of(f)(x, y), f(y) - f(x))


def test_choices_are_exact_where_a_covariance_is_hardly_known():
    """40 points of N(0, I) in R^20: |x|² of steps in their own covariance were 0.9 of it."""
    rng, law = np.random.default_rng(13), lambda x: -0.5 * (x**2).sum(axis=1)
    sizes, ranks = [], []
    for _ in range(60):
        x = rng.normal(size=(40, 20))
        paths = sp.paths_through(x, lambda x: -x, sp.ratio_of(law), rng, 60)
        assert paths is not None
        largest = [np.abs(p.mean(axis=1)).max(axis=1) for p, _ in paths.choices(59, rng)]
        means = np.concatenate(largest)
        ranks.append((np.sum(means[1:] < means[0]) + rng.random()) / 60)
        sizes.append(paths.points[-1].var())
    # 48 000 squares: four standard errors are 2.6%
    assert abs(np.mean(sizes) - 1.0) < 0.026
    assert kstest(ranks, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("n", [4, 12])
def test_choices_are_exact_for_few_points(n):
    """The rank of a skewed mean among choices is uniform; by signs it is far from it."""
    rng = np.random.default_rng(7)
    ranks = []
    for _ in range(500):
        x = rng.gumbel(size=(n, 1))
        paths = sp.paths_through(x, gumbel_score, sp.ratio_of(gumbel), rng, 30)
        assert paths is not None
        means = np.concatenate([s.mean(axis=(1, 2)) for _, s in paths.choices(99, rng)])
        ties = (means[1:] == means[0]).sum()
        ranks.append((np.sum(means[1:] < means[0]) + rng.random() * (1 + ties)) / 100)
    assert kstest(ranks, "uniform").pvalue > 1e-3


def test_the_largest_correlation_is_exact_for_few_points():
    """Of twelve points of Gumbel coordinates in R^4: the rank among choices is uniform."""
    rng = np.random.default_rng(16)
    ranks = []
    for _ in range(300):
        x = rng.gumbel(size=(12, 4))
        paths = sp.paths_through(x, gumbel_score, sp.ratio_of(gumbel), rng, 30)
        assert paths is not None
        found = [
            largest_correlation(*both)
            for b in paths.choices(99, rng)
            for both in zip(*b, strict=True)
        ]
        t = np.array(found)
        ranks.append(((t[1:] < t[0]).sum() + rng.random() * (1 + (t[1:] == t[0]).sum())) / 100)
    assert kstest(ranks, "uniform").pvalue > 1e-3


def test_choices_begin_with_the_points_and_take_all_states_alike():
    points = np.arange(3.0 * 50).reshape(3, 50, 1)
    paths = sp.Paths(points, -points)
    both = list(paths.choices(2000, np.random.default_rng(8)))
    x, s = (np.concatenate(parts) for parts in zip(*both, strict=True))
    assert x.shape == (2001, 50, 1)
    np.testing.assert_array_equal(x[0], points[0])
    np.testing.assert_array_equal(s, -x)
    state, path = np.divmod(x[1:, :, 0], 50)
    assert (path == np.arange(50)).all()  # one state of each path
    # 100 000 draws of three states: four standard errors are 0.6%
    assert np.abs(np.bincount(state.ravel().astype(int)) / 1e5 - 1 / 3).max() < 0.006


def test_paths_that_hardly_move_are_told():
    rng = np.random.default_rng(9)
    own, noise = rng.normal(size=(1, 4000, 2)), rng.normal(size=(50, 4000, 2))
    assert sp.Paths(noise, noise).mixed
    for share, mixed in ((0.4, True), (0.6, False)):
        scores = noise.copy()  # of one coordinate, this share of the variance stays on a path
        scores[:, :, 1] = share**0.5 * own[:, :, 1] + (1 - share) ** 0.5 * noise[:, :, 1]
        assert sp.Paths(noise, 7.0 + 3.0 * scores).mixed is mixed


@pytest.mark.parametrize("condition", [1.0, 1e8])
def test_narrow_laws_are_walked_along(condition):
    """N(0, Σ) in R^10, of a Σ that no coordinate shows."""
    rng = np.random.default_rng(10)
    q = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    size = np.geomspace(1.0, condition**0.5, 10)
    precision = (q / size**2) @ q.T
    score = lambda x: -x @ precision  # noqa: E731
    x = (rng.normal(size=(400, 10)) * size) @ q.T
    paths = sp.paths_through(x, score, sp.ratio_along(score), rng)
    assert paths is not None and paths.mixed


def test_a_law_that_is_not_defined_on_the_way_has_no_paths():
    def score(x):
        if (x < 0).any():
            raise InvalidFunctional("not below zero")
        return -x

    x = np.abs(np.random.default_rng(11).normal(size=(200, 1)))
    assert sp.paths_through(x, score, sp.ratio_along(score), np.random.default_rng(0)) is None


def test_equal_points_have_paths_too():
    x = np.ones((5, 2))
    ratio = sp.ratio_along(lambda x: -x)
    paths = sp.paths_through(x, lambda x: -x, ratio, np.random.default_rng(0))
    assert paths is not None and np.isfinite(paths.points).all()
    assert np.ptp(paths.points[1:], axis=(0, 1)).min() > 0


def test_steps_are_in_units_of_the_covariance():
    rng = np.random.default_rng(12)
    mix = np.array([[2.0, 0.0], [300.0, 0.1]])
    x = rng.normal(size=(5000, 2)) @ mix.T
    root = sp._root(x)
    np.testing.assert_allclose(root @ root.T, np.cov(x.T, bias=True), rtol=1e-6)
    # of up to 2D points, halfway to the diagonal
    for few, share in ((x[:4], 0.5), (1e-4 * x[:4], 0.5), (x[:5], 0.0)):
        root, cov = sp._root(few), np.cov(few.T, bias=True)
        exact = (1 - share) * cov + share * np.diag(np.diag(cov))
        np.testing.assert_allclose(root @ root.T, exact, rtol=1e-6)


def test_drifts_are_half_the_force_in_units_of_the_noise_and_never_longer():
    """x + h²/2 ΣΣᵀs + hΣξ: the drift is h/2 Σᵀs noises, of which one is the most."""
    roots = (np.array([[2.0, 0.0], [1.0, 0.5]]), np.eye(2))
    kernel = sp._Langevin(lambda x: x, lambda x, y: x, roots, np.random.default_rng(0))
    s = np.array([[0.2, 0.4], [0.2, 0.4], [-0.3, 9.0], [-0.3, -9.0], [1.0, 0.0]])
    h = np.array([[0.5], [2.0], [0.5], [0.5], [0.1]])
    exact = [[0.2, 0.05], [0.2, 0.4], [1.0, 1.0], [-0.075, -1.0], [0.1, 0.0]]
    np.testing.assert_allclose(kernel._drift(s, h), exact)


def test_the_units_of_each_half_are_those_of_the_other():
    """Steps of the even points are as large as the odd ones are spread, and the reverse."""
    rng = np.random.default_rng(15)
    x = rng.normal(size=(2000, 2)) * np.where(np.arange(2000)[:, None] % 2, [100.0, 0.1], 1.0)
    free = lambda x: 0.0 * x  # noqa: E731
    paths = sp.paths_through(x, free, lambda x, y: np.zeros(len(x)), rng, 1)
    assert paths is not None
    spread = (paths.points[1] - x)[::2].std(axis=0), (paths.points[1] - x)[1::2].std(axis=0)
    # sizes are uniform from 0.1 to 2 over D^(1/6); 1000 points know a standard deviation to 2%,
    # steps of random sizes to 4%
    size = ((2.0**3 - 0.1**3) / (3 * 1.9)) ** 0.5 / 2 ** (1 / 6)
    np.testing.assert_allclose(spread, size * np.array([[100.0, 0.1], [1.0, 1.0]]), rtol=0.15)
