"""The statistics against sums written out in full, and against quadrature under ρ*."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import kstest, skew

from jkoflow.check.samples import statistics as st


def scores(x):
    """Of the law with independent coordinates ∝ exp(−x⁴/4 − x)."""
    return -(x**3) - 1.0


def kernel_written_out(x, y, length_squared):
    """k and its derivatives at one pair, by central differences of k."""
    k = lambda a, b: (1 + ((a - b) ** 2).sum() / length_squared) ** -0.5  # noqa: E731
    h, eye = 1e-4, np.eye(len(x))
    dx = np.array([(k(x + h * e, y) - k(x - h * e, y)) / (2 * h) for e in eye])
    dy = np.array([(k(x, y + h * e) - k(x, y - h * e)) / (2 * h) for e in eye])
    trace = sum(
        (k(x + h * e, y + h * e) - k(x + h * e, y - h * e) - k(x - h * e, y + h * e)
         + k(x - h * e, y - h * e)) / (4 * h * h)
        for e in eye
    )  # fmt: skip
    return k(x, y), dx, dy, trace


def test_stein_kernel_is_its_definition():
    rng = np.random.default_rng(0)
    x, length = rng.normal(size=(6, 3)), 2.3
    s = scores(x)
    tile = st.stein_kernel(x, s, length)(slice(0, 3), slice(3, 6)) / length
    for i in range(3):
        for j in range(3):
            k, dx, dy, trace = kernel_written_out(x[i], x[3 + j], length)
            h = k * s[i] @ s[3 + j] + s[i] @ dy + s[3 + j] @ dx + trace
            # second differences with h = 1e-4 round by 1e-16/h² = 1e-8
            assert abs(tile[i, j] - h) < 1e-6


def on_the_line():
    """Nodes and masses of ρ* ∝ exp(−x⁴/4 − x)."""
    x = np.linspace(-8.0, 8.0, 4001)
    w = np.exp(-(x**4) / 4 - x - 1.0)
    return x[:, None], w / w.sum()


def test_stein_kernel_and_stein_moments_have_mean_zero_under_the_law():
    x, w = on_the_line()
    means = w @ st.stein_moments(x, scores(x))
    # the trapezoid rule is exact to rounding for smooth functions that vanish at both ends
    assert np.abs(means).max() < 1e-10
    some = slice(1500, 2500, 100)
    rows = st.stein_kernel(x, scores(x), 1.0)(some, slice(0, len(x)))
    assert np.abs(rows @ w).max() < 1e-9 * np.abs(rows).max()


def test_stein_moments_have_mean_zero_in_the_plane():
    t, g = np.polynomial.hermite_e.hermegauss(60)
    x = np.stack([m.ravel() for m in np.meshgrid(t, t)], axis=1)
    w = np.outer(g, g).ravel() / (2 * np.pi)
    means = w @ st.stein_moments(x, -x)
    # (1+z²)^(−½) has a pole at i: Gauss–Hermite with 60 nodes is only this good
    assert np.abs(means).max() < 1e-4
    assert np.abs(w @ st.stein_moments(1.1 * x, -1.1 * x)).max() > 1e-2


@pytest.mark.parametrize("n", [7, 513, 1100])  # one tile, just two, three
def test_quadratic_forms_are_double_sums(n):
    rng = np.random.default_rng(n)
    z, v = rng.normal(size=(n, 2)), rng.normal(size=(n, 3))
    r = np.linalg.norm(z[:, None] - z, axis=2)
    exact = -np.einsum("ib,ij,jb->b", v, r, v)
    # |z_i − z_j| from inner products loses half the digits where points nearly coincide
    np.testing.assert_allclose(st.quadratic_forms(st.distances(z), v), exact, rtol=1e-6)


@pytest.mark.parametrize("gap", [0, 1])
def test_quadratic_forms_leave_out_near_blocks(gap):
    rng = np.random.default_rng(3)
    n = 1000
    z, v, block = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)), np.arange(n) // 90
    r = np.linalg.norm(z[:, None] - z, axis=2) * (np.abs(block[:, None] - block) > gap)
    exact = -np.einsum("ib,ij,jb->b", v, r, v)
    found = st.quadratic_forms(st.distances(z), v, block, gap)
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_energy_distance_is_the_integral_of_the_squared_difference_on_the_line():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=50), rng.normal(0.5, size=70)
    v = np.concatenate([np.full(50, 1 / 50), np.full(70, -1 / 70)])[:, None]
    z = np.concatenate([x, y])
    order = np.argsort(z)
    cumulated = np.cumsum(v[order, 0])[:-1]
    exact = 2.0 * (cumulated**2 * np.diff(z[order])).sum()
    found = st.quadratic_forms(st.distances(z[:, None]), v)
    assert found[0] == pytest.approx(exact, rel=1e-6)


def test_centres_find_separate_groups():
    rng = np.random.default_rng(5)
    middles = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    z = (middles[:, None] + 0.1 * rng.normal(size=(4, 60, 2))).reshape(-1, 2)
    centres = st.centres_of(z, 4, rng)
    label = st.nearest(z, centres).reshape(4, 60)
    assert (label == label[:, :1]).all() and len(set(label[:, 0])) == 4


def test_centres_of_equal_points_are_one():
    assert len(st.centres_of(np.ones((5, 2)), 4, np.random.default_rng(0))) == 1


def test_halls_transformation_makes_skewed_sums_symmetric():
    """Means of 1 − χ²₁ at n = 60: without it 7% lie beyond the 1% points on one side."""
    rng = np.random.default_rng(6)
    rounds, n, far = 3000, 60, 0
    flips = np.where(rng.random((n, 400)) < 0.5, -1.0, 1.0)
    flips[:, 0] = 1.0
    for _ in range(rounds):
        t = st.largest_mean(1.0 - rng.normal(size=(n, 1)) ** 2, flips)
        far += t[0] >= np.quantile(t, 0.99)
    # 1% nominal; 2.5% leaves room for the next order of the expansion, whose size 7%-1% hints at
    assert far / rounds < 0.025


def test_the_largest_mean_is_students_made_symmetric_by_halls_transformation():
    """From means, variances and SciPy's skewness; the features' spreads are below 1 and above."""
    rng = np.random.default_rng(7)
    n, scale = 15, np.array([0.3, 1.0, 7.0])
    g = (rng.exponential(size=(n, 3)) - 0.8) * scale
    flips = np.where(rng.random((n, 6)) < 0.5, -1.0, 1.0)
    flips[:, 0] = 1.0
    students = np.sqrt(n) * np.array([
        [(g * sign[:, None])[:, k].mean() / (g * sign[:, None])[:, k].std() for k in range(3)]
        for sign in flips.T
    ])  # fmt: skip
    gamma = skew(g, axis=0) / np.sqrt(n)
    s = students[0]
    students[0] = s + gamma * s**2 / 3 + gamma**2 * s**3 / 27 + gamma / 6
    for k in range(3):
        found = st.largest_mean(g[:, [k]], flips)
        np.testing.assert_allclose(found, np.abs(students[:, k]), rtol=1e-10)
    np.testing.assert_allclose(st.largest_mean(g, flips), np.abs(students).max(axis=1), rtol=1e-10)


def test_features_that_do_not_vary_have_a_finite_mean():
    flips = np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    assert st.largest_mean(np.zeros((3, 1)), flips).tolist() == [0.0, 0.0]
    assert np.isfinite(st.largest_mean(np.ones((3, 1)), flips)).all()


def test_projections_count_what_lies_below_quantiles_of_all_points():
    rng = np.random.default_rng(8)
    z, directions = rng.normal(size=(40, 2)), np.array([[1.0, 0.0], [0.6, 0.8]])
    below, levels = st.projection_features(z, directions)
    along = [z[:, 0], 0.6 * z[:, 0] + 0.8 * z[:, 1], np.hypot(z[:, 0], z[:, 1])]
    shares = [0.01, 0.02, 0.05, *np.arange(0.1, 0.25, 0.05), *np.arange(0.3, 0.75, 0.1),
              0.8, 0.85, 0.9, 0.95, 0.98, 0.99]  # fmt: skip
    below = below.reshape(40, 3, len(shares))
    for k, t in enumerate(along):
        for q, share in enumerate(shares):
            np.testing.assert_array_equal(below[:, k, q], t <= np.quantile(t, share))
    np.testing.assert_allclose(levels.reshape(3, -1), below.mean(axis=0))


def test_projections_are_weighed_as_anderson_and_darling_do():
    linear, levels = np.array([0.1, 0.2, 0.3, 0.1]), np.array([[0.5, 0.0], [0.9, 1.0]])
    # q(1−q) is 0.25 and 0.09, and not below 1e-3 at the ends
    exact = max(0.5 * (0.1**2 / 0.25 + 0.2**2 / 1e-3), 0.5 * (0.3**2 / 0.09 + 0.1**2 / 1e-3))
    found = st.projection_statistic(np.column_stack([linear, 2 * linear]), levels)
    np.testing.assert_allclose(found, [exact, 4 * exact], rtol=1e-12)


def test_masses_are_weighed_as_pearson_does():
    linear, shares = np.array([[0.1, 0.0], [-0.1, 0.2]]), np.array([0.2, 0.8])
    np.testing.assert_allclose(
        st.mass_statistic(linear, shares), [0.01 / 0.2 + 0.01 / 0.8, 0.04 / 0.8], rtol=1e-12
    )


def test_moments_are_those_of_coordinates_and_radii():
    z = np.random.default_rng(9).normal(size=(30, 2)) * [1.0, 0.2]
    r = (z**2).sum(axis=1)
    raw = np.column_stack([z, z**2, r, r**2])
    exact = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    np.testing.assert_allclose(st.moment_features(z), exact, rtol=1e-9, atol=1e-12)
    assert not st.moment_features(np.ones((4, 1))).any()
    labels = np.array([[0.25], [0.25], [-0.25], [-0.25]])
    assert st.largest_difference(np.array([[1.0], [3.0], [0.0], [9.0]]), labels) == [1.25]


def test_pairs_on_two_sides_of_a_tile_are_left_out_too():
    n = st.TILE + 3
    rng = np.random.default_rng(10)
    z, v, block = rng.normal(size=(n, 1)), rng.normal(size=(n, 1)), np.arange(n)
    near = np.abs(block[:, None] - block) <= 1
    exact = -(v.T @ np.where(near, 0.0, np.abs(z - z.T)) @ v)[0]
    found = st.quadratic_forms(st.distances(z), v, block, 1)
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def all_pairs(z, s):
    """s_j b(z_k) + s_k b(z_j), pair by pair, as columns."""
    b = z / np.sqrt(1.0 + z * z)
    pairs = itertools.combinations(range(z.shape[1]), 2)
    return {(j, k): s[:, j] * b[:, k] + s[:, k] * b[:, j] for j, k in pairs}


@pytest.mark.parametrize("dim", [1, 2, 3, 6, 7])
def test_each_pair_of_coordinates_comes_once(dim):
    rng = np.random.default_rng(11)
    z, s = rng.normal(size=(2, 9, dim))
    parts = list(st.stein_correlations(z, s))
    assert all(part.shape[1] <= dim for part in parts)
    found = np.concatenate([np.zeros((9, 0)), *parts], axis=1).T
    exact = np.array(list(all_pairs(z, s).values())).reshape(-1, 9)
    assert found.shape == exact.shape == (dim * (dim - 1) // 2, 9)
    by_rows = [np.array(sorted(rows.tolist())).reshape(-1, 9) for rows in (found, exact)]
    np.testing.assert_allclose(*by_rows, rtol=1e-12)


@pytest.mark.parametrize("together", [7, 3])
def test_the_largest_correlation_is_students(together, monkeypatch):
    """Of all seven coordinates, and of groups 012, 34 and 56 of at most three."""
    monkeypatch.setattr(st, "TOGETHER", together)
    rng = np.random.default_rng(12)
    z, s = rng.exponential(size=(2, 40, 7)) - 0.8
    group = np.zeros(7) if together == 7 else np.array([0, 0, 0, 1, 1, 2, 2])
    values = [g for (j, k), g in all_pairs(z, s).items() if group[j] == group[k]]
    assert len(values) == (21 if together == 7 else 5)
    exact = max(abs(np.sqrt(40) * g.mean() / g.std()) for g in values)
    assert st.largest_correlation(z, s) == pytest.approx(exact, rel=1e-10)
    flips = np.where(rng.random((40, 5)) < 0.5, -1.0, 1.0)
    flips[:, 0] = 1.0
    found = np.max([st.largest_t(part, flips) for part in st.stein_correlations(z, s)], axis=0)
    signed = [[np.sqrt(40) * (g * v).mean() / (g * v).std() for g in values] for v in flips.T]
    np.testing.assert_allclose(found, np.abs(signed).max(axis=1), rtol=1e-10)
    assert found[0] == pytest.approx(exact, rel=1e-10)


def test_correlations_of_nothing_are_none():
    for z, s in (np.zeros((2, 5, 3)), np.ones((2, 5, 3)), np.ones((2, 5, 1))):
        assert np.isfinite(st.largest_correlation(z, s))
    assert st.largest_correlation(np.zeros((5, 3)), np.zeros((5, 3))) == 0.0


def test_stein_correlations_have_mean_zero_under_the_law():
    """N(0, Σ) with Σ₁₂ = .6, against its own score and against that of N(0, I)."""
    t, g = np.polynomial.hermite_e.hermegauss(60)
    x = np.stack([m.ravel() for m in np.meshgrid(t, t)], axis=1)
    w = np.outer(g, g).ravel() / (2 * np.pi)
    x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
    precision = np.linalg.inv([[1.0, 0.6], [0.6, 1.0]])
    (true,), (wrong,) = st.stein_correlations(x, -x @ precision), st.stein_correlations(x, -x)
    exact = -2 * 0.6 * (w @ (x[:, 0] ** 2 / np.sqrt(1 + x[:, 0] ** 2)))  # E[z₂ | z₁] = .6 z₁
    # the pole at i again
    assert abs(w @ true[:, 0]) < 1e-4 and abs(w @ wrong[:, 0] - exact) < 1e-4 < -exact


def test_signs_of_pairs_are_exact_for_normal_coordinates():
    """Each s_j b(z_k) + s_k b(z_j) is symmetric under N(0, I): the rank among signs is uniform."""
    rng = np.random.default_rng(14)
    ranks = []
    for _ in range(400):
        z = rng.normal(size=(15, 6))
        flips = np.where(rng.random((15, 100)) < 0.5, -1.0, 1.0)
        flips[:, 0] = 1.0
        t = np.max([st.largest_t(part, flips) for part in st.stein_correlations(z, -z)], axis=0)
        ranks.append((np.sum(t[1:] < t[0]) + rng.random()) / 100)
    assert kstest(ranks, "uniform").pvalue > 1e-3
