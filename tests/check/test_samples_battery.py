"""The battery's parts: what its p-values are made of."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check.samples import battery as samples_battery
from jkoflow.check.samples import statistics as statistic
from jkoflow.check.samples.paths import Paths
from jkoflow.check.samples.resampling import chain, independent, signs
from jkoflow.check.samples.statistics import stein_kernel, stein_moments, symmetric_t

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("attraction", [-0.4, -0.2, 0.5])
def test_what_a_score_gives_way_is_known_for_quadratic_interactions(attraction):
    """The mean force of V + κW is −(1 + κ) times the error of the mean; with ρ* following, −1."""
    random = np.random.default_rng(3)
    x = random.normal(size=(300, 1))
    weighted = lambda w: -(x + attraction * (x - w @ x))  # noqa: E731
    scale = x.std(axis=0)
    z, s = (x - x.mean(axis=0)) / scale, weighted(np.full(300, 1 / 300)) * scale
    flips = random.choice([-1.0, 1.0], size=(300, 24))
    found = samples_battery._inflation(weighted, scale, z, s, flips)
    # never less than 1; the mean force responds the most, exactly, since it is affine
    assert found == pytest.approx(max(1.0, (1.0 + attraction) ** -2), rel=0.02)


@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.01, 0.001])
@pytest.mark.parametrize("n", [100, 3000])
def test_resamples_meet_the_level_exactly(alpha, n):
    ranks = (1 + samples_battery._copies(alpha, n)) * alpha
    assert ranks == pytest.approx(round(ranks)) and ranks > 10


def forces_of(n, seed=0):
    """A Gumbel sample in the plane with its scores."""
    x = np.random.default_rng(seed).gumbel(size=(n, 2))
    return x, np.exp(-x) - 1.0


def off_diagonal(z, s):
    """Σ_{i≠j} of the Stein kernel, pair by pair."""
    h = stein_kernel(z, s, 2.0)(slice(0, len(z)), slice(0, len(z)))
    return h.sum() - np.trace(h)


def correlation(z, s, sign=1.0):
    """Student's t² for mean zero, in the plane."""
    b = z / np.sqrt(1 + z * z)
    g = sign * (s[:, 0] * b[:, 1] + s[:, 1] * b[:, 0])
    return len(g) * g.mean() ** 2 / g.var()


def test_forces_are_tested_by_their_definitions():
    z, s = forces_of(40)
    order, rng = independent(40), np.random.default_rng(1)
    flips = signs(40, 30, rng)
    found = samples_battery._by_forces(z, s, order, flips)
    assert list(found) == ["kernel Stein discrepancy", "Stein moments", "Stein correlations"]
    assert found["kernel Stein discrepancy"].observed == pytest.approx(off_diagonal(z, s))
    t = symmetric_t(stein_moments(z, s))
    assert found["Stein moments"].observed == pytest.approx(np.abs(t).max() ** 2)
    assert found["Stein correlations"].observed == pytest.approx(correlation(z, s))
    resampled = [correlation(z, s, flips[:, k]) for k in range(1, 31)]
    np.testing.assert_allclose(found["Stein correlations"].own, resampled)
    for test in found.values():
        assert len(test.own) == len(test.common) == 30


def test_correlations_of_a_chain_are_of_sums_over_its_blocks():
    z, s = forces_of(200)
    order = chain(3.0, 200)
    found = samples_battery._by_forces(z, s, order, signs(order.blocks, 20, RNG))
    b = z / np.sqrt(1 + z * z)
    g = np.bincount(order.block, s[:, 0] * b[:, 1] + s[:, 1] * b[:, 0])
    exact = len(g) * g.mean() ** 2 / g.var()
    assert 1 < len(g) < 200
    assert found["Stein correlations"].observed == pytest.approx(exact)


def test_the_line_has_no_correlations():
    for n in (60, 1100):  # by paths, and by signs
        report = jf.check_samples(
            jf.QuadraticPotential(1.0) + jf.Entropy(), RNG.normal(size=(n, 1)), rng=0
        )
        assert "not rejected: Stein correlations" not in [f.claim for f in report.findings]


@pytest.mark.parametrize("copies", [20, 1250, 1251, 13_890])
def test_choices_from_paths_are_held_against_by_the_same_definitions(copies):
    """In the units of all states; the pairs only where they are not too many."""
    x, s = forces_of(60)
    states = np.stack([x, *(forces_of(60, k)[0] for k in range(1, 8))])
    paths = Paths(states, np.exp(-states) - 1.0)
    signed = samples_battery._by_forces(x, s, independent(60), signs(60, 30, RNG))
    found = samples_battery._along(paths, signed, copies, np.random.default_rng(2))
    mean, scale = states.mean(axis=(0, 1)), states.std(axis=(0, 1))
    chosen = [(p[k], f[k]) for p, f in paths.choices(copies, np.random.default_rng(2))
              for k in range(len(p))][:21]  # fmt: skip
    z, forces = [(p - mean) / scale for p, _ in chosen], [f * scale for _, f in chosen]
    both = list(zip(z, forces, strict=True))
    moments = [np.abs(symmetric_t(stein_moments(*q))).max() ** 2 for q in both]
    test = found["Stein moments"]
    assert test.observed == pytest.approx(moments[0]) and len(test.own) == copies
    np.testing.assert_allclose(test.own[:20], moments[1:])
    test = found["Stein correlations"]
    assert test.common is signed["Stein correlations"].common and len(test.own) == copies
    correlations = [correlation(*q) for q in both]
    np.testing.assert_allclose([test.observed, *test.own[:20]], correlations)
    test, before = found["kernel Stein discrepancy"], signed["kernel Stein discrepancy"]
    if copies == 13_890:  # more than 25 million pairs in half of the choices
        assert test is before
    else:
        pairs = [off_diagonal(*q) for q in both]
        assert len(test.own) == (625 if copies == 1251 else copies)  # 4.5 million pairs
        # in single precision, of sums of 3540 numbers of size one
        np.testing.assert_allclose([test.observed, *test.own[:20]], pairs, rtol=1e-4, atol=1e-2)
        assert test.common is before.common


def test_points_are_tested_by_their_definitions():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(30, 2)), 1.5 + 2.0 * rng.normal(size=(50, 2))
    order = independent(30)
    flips = signs(30, 25, rng)
    side = lambda x: (x[:, 0] > 0).astype(int)  # noqa: E731
    found = samples_battery._by_points(x, y, order, side, flips, rng)
    both = np.concatenate([x, y])
    z = (both - both.mean(axis=0)) / both.std(axis=0)
    far = np.linalg.norm(z[:, None] - z, axis=2)
    exact = 2 * far[:30, 30:].mean() - far[:30, :30].mean() - far[30:, 30:].mean()
    assert found["energy distance"].observed == pytest.approx(exact, rel=1e-5)
    p, q, share = side(x).mean(), side(y).mean(), side(both).mean()
    exact = (p - q) ** 2 * (1 / share + 1 / (1 - share))
    assert found["mode masses"].observed == pytest.approx(exact, rel=1e-4)
    r = (z**2).sum(axis=1)
    raw = np.column_stack([z, z**2, r, r**2])
    raw = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    exact = np.abs(raw[:30].mean(axis=0) - raw[30:].mean(axis=0)).max() ** 2
    assert found["moments"].observed == pytest.approx(exact, rel=1e-5)
    assert list(found) == ["energy distance", "projections", "mode masses", "moments"]
    for test in found.values():
        assert len(test.own) == len(test.common) == 25
        assert test.observed > np.median(test.own)  # these two do differ


def test_resamples_are_as_many_as_documented():
    assert [samples_battery._copies(0.05, n) for n in (50, 2000, 2001)] == [399, 399, 299]


@pytest.mark.parametrize("dim", [1, 2])
def test_projections_are_along_unit_vectors(dim, monkeypatch):
    seen = []
    features = statistic.projection_features

    def kept(z, directions):
        seen.append(directions)
        return features(z, directions)

    monkeypatch.setattr(statistic, "projection_features", kept)
    x, y = RNG.normal(size=(20, dim)), RNG.normal(size=(20, dim))
    samples_battery._by_points(x, y, independent(20), None, signs(20, 5, RNG), RNG)
    assert len(seen[0]) == (1 if dim == 1 else 10)
    np.testing.assert_allclose(np.linalg.norm(seen[0], axis=1), 1.0)


def asked(n, **options):
    """How many points a score is asked at, besides the sample."""
    count = []

    def score(x):
        count.append(len(x))
        return -x

    x = np.random.default_rng(4).normal(size=(n, 1))
    F = jf.QuadraticPotential(1.0) + jf.Entropy()
    jf.check_samples(F, x, rng=0, reference=score, **options)
    return sum(count) - n


def test_paths_are_run_for_few_independent_points_only():
    assert asked(60) >= 60 * 100  # a step for each state at least
    assert asked(1000) > 0
    assert asked(1001) == 0 and asked(150, correlated=True) == 0


@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.01])
def test_choices_meet_the_level_exactly(alpha, monkeypatch):
    seen = []

    def kept(paths, tests, copies, rng):
        seen.append(copies)
        return tests

    monkeypatch.setattr(samples_battery, "_along", kept)
    F, x = jf.QuadraticPotential(1.0) + jf.Entropy(), RNG.normal(size=(60, 1))
    jf.check_samples(F, x, rng=0, alpha=alpha)
    ranks = (1 + seen[0]) * alpha
    assert ranks == pytest.approx(round(ranks))
    assert seen[0] == {0.2: 49, 0.05: 199, 0.01: 999}[alpha]


def test_signs_stand_in_where_there_are_no_paths_that_move(monkeypatch):
    """Where ∇log ρ* is known at the points only, and where steps are refused."""
    x = RNG.normal(size=(60, 1))

    def here_only(at):
        return -at if np.isin(at, x).all() else np.full_like(at, np.nan)

    F = jf.QuadraticPotential(1.0) + jf.Entropy()
    monkeypatch.setattr(samples_battery, "_along", None)  # not to be called
    known = jf.check_samples(F, x, rng=0, reference=here_only)
    monkeypatch.setattr(Paths, "mixed", False)
    stuck = jf.check_samples(F, x, rng=0, reference=lambda at: -at)
    for report in (known, stuck):
        assert report.verdict is jf.Verdict.ACCEPTED and len(report.findings) == 2


def test_reference_points_are_twice_as_many_as_points_where_these_are_few():
    size = samples_battery._reference_size
    assert [size(n, None) for n in (10, 1000, 1500, 3000)] == [20, 2000, 2000, 3000]
    assert size(10, 7) == 7 and size(10, 50) == 50  # all there are
    assert size(10, 10**6) == 20_000


def test_regions_are_one_s_own_or_clusters():
    both = np.concatenate([RNG.normal(size=(40, 1)) + 50 * k for k in range(3)])
    own = samples_battery._regions(both, both, lambda x: np.repeat([7, -1, 7], 40), 120, RNG)
    assert own.shape == (120, 2) and (own.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(own[:, 1], np.repeat([True, False, True], 40))
    assert samples_battery._regions(both, both, None, 399, RNG).shape == (120, 4)
    assert samples_battery._regions(both, both, None, 400, RNG).shape == (120, 8)


def test_spreads_of_nothing_are_one():
    x = np.column_stack([np.zeros(4), [1.0, 1.0, 3.0, 3.0]])
    assert samples_battery._scale(x).tolist() == [1.0, 1.0]
    assert samples_battery._scale(5.0 * x).tolist() == [1.0, 5.0]


def test_long_products_are_in_single_precision():
    assert samples_battery._light(np.ones((3000, 1))).dtype == float
    assert samples_battery._light(np.ones((3001, 1))).dtype == np.float32


def test_masses_by_bridges_are_a_family_of_their_own():
    """Two modes of R³ with equal masses: nothing but the masses is wrong."""

    def f(x):
        return -0.5 * (x**2).sum(axis=1) + np.logaddexp(5.0 * x[:, 0], -5.0 * x[:, 0])

    def force(x):
        return -x + np.array([5.0, 0.0, 0.0]) * np.tanh(5.0 * x[:, :1])

    F = jf.KullbackLeibler(f, force)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(200, 3))
    x[:, 0] += np.where(rng.random(200) < 0.75, 5.0, -5.0)
    report = jf.check_samples(F, x, rng=0)
    assert [f.claim for f in report.findings][-1] == "not rejected: mode masses"
    assert report["not rejected: mode masses"].verdict is jf.Verdict.REJECTED
    assert report["not rejected: Stein moments"].verdict is jf.Verdict.ACCEPTED
    # one mode has no masses; and with points of ρ*, the clusters' masses are compared instead
    names = [f.claim for f in jf.check_samples(F, np.abs(x), rng=0).findings]
    assert "not rejected: mode masses" not in names
    names = [f.claim for f in jf.check_samples(F, x, rng=0, reference=x[::-1]).findings]
    assert len(names) == 7 and len(set(names)) == 7
