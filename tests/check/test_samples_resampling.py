"""Autocorrelation, blocks, labels and corrections, by exact formulas and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from jkoflow.check.samples import resampling as rs


def ar1(a, n, rng, k=1):
    e = rng.normal(size=(n + 1000, k)) * (1 - a * a) ** 0.5
    return lfilter([1.0], [1.0, -a], e, axis=0)[1000:]


@pytest.mark.parametrize("a", [0.0, 0.6, 0.9])
def test_autocorrelation_time_of_ar1(a):
    found = rs.autocorrelation_time(ar1(a, 40_000, np.random.default_rng(1), k=4))
    exact = (1 + a) / (1 - a)
    # the relative error of Sokal's window is about √(2·5τ/n), here at most 0.07, one sigma
    assert np.abs(found.mean() / exact - 1) < 0.1


def test_autocorrelation_time_of_a_constant_is_one():
    assert rs.autocorrelation_time(np.ones((50, 2))).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("n", [40, 41, 64])
def test_autocorrelation_is_that_of_sums_without_wrapping_around(n):
    """Σ_i x_i x_{i+t} by a loop, up to the first lag t ≥ 5τ(t), and what the mean took of them: a
    share of (2t + 1)/n (Wolff 2004), or 1/n more where the term of lag 0 is given it twice."""
    x = ar1(0.3, n, np.random.default_rng(6))[:, 0]
    z = x - x.mean()
    tau = 1.0
    for t in range(1, n):
        tau += 2.0 * (z[:-t] @ z[t:]) / (z @ z)
        if t >= 5.0 * tau:
            break
    assert 1.0 < tau < n / 5
    more = rs.autocorrelation_time(x[:, None])[0] / tau - 1.0 - (2 * t + 1) / n
    assert -1e-10 < more < 1.0 / n + 1e-10


def test_blocks_are_longer_than_the_memory_and_equal():
    order = rs.chain(10.0, 5000)
    sizes = np.bincount(order.block)
    assert order.gap == 1 and order.effective == 500.0
    assert np.ptp(sizes) <= 1 and sizes.min() > 5 * 10
    values = np.random.default_rng(0).normal(size=(5000, 2))
    np.testing.assert_allclose(order.sums(values)[3], values[order.block == 3].sum(axis=0))


def test_independent_points_are_blocks_of_their_own():
    order = rs.independent(7)
    assert order.gap == 0 and order.blocks == 7 and order.effective == 7.0


def test_contrasts_keep_sums_and_exchange_labels():
    rng = np.random.default_rng(2)
    order = rs.independent(30)
    flips = rs.signs(30, 20, rng)
    v = rs.contrasts(order, flips, 40, rng)
    assert v.shape == (70, 41)
    np.testing.assert_allclose(v[:30, 0], 1 / 30)
    # signed columns are centred in both samples, exchanged ones have the same labels
    np.testing.assert_allclose(v[:30, :21].sum(axis=0)[1:], 0.0, atol=1e-15)
    np.testing.assert_allclose(np.sort(v[:, 21:], axis=0), np.sort(v[:, :1], axis=0).repeat(20, 1))
    signed = np.sign(v[:30, 1] + flips[:, 1].mean() / 30)
    np.testing.assert_array_equal(signed, flips[:, 1])


def test_contrasts_of_a_chain_are_signed_by_blocks():
    rng = np.random.default_rng(3)
    order = rs.chain(5.0, 1000)
    v = rs.contrasts(order, rs.signs(order.blocks, 10, rng), 100, rng)
    assert v.shape == (1100, 11)
    for k in range(order.blocks):
        assert np.ptp(v[:1000, 4][order.block == k]) == 0.0


def normal_tests(rng, correlation, tests, copies, shift=0.0):
    """Statistics |z| of equicorrelated normal scores; column 0 is the observation."""
    common = rng.normal(size=copies + 1)
    own = rng.normal(size=(tests, copies + 1))
    z = correlation**0.5 * common + (1 - correlation) ** 0.5 * own
    z[0, 0] += shift
    return [rs.Resampled.of(np.abs(row), copies) for row in z]


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_step_down_is_exact_whatever_the_dependence(correlation):
    rng = np.random.default_rng(4)
    rounds = 4000
    hits = sum(
        rs.step_down(normal_tests(rng, correlation, 5, 199), rng).min() <= 0.05
        for _ in range(rounds)
    )
    # binomial, 5%: standard error 0.34%, so four of them; Bonferroni would give 2% at 0.9
    assert abs(hits / rounds - 0.05) < 0.014


def test_beyond_all_resamples_the_observation_is_one_of_them():
    """p = (1 + 0)/(1 + 10), its own rank among 10⁴ being below that of all others."""
    test = rs.Resampled(1.0, np.zeros(9999), np.arange(10.0))
    assert rs.step_down([test], np.random.default_rng(0)).tolist() == [1 / 11]


def test_step_down_finds_the_one_that_differs():
    rng = np.random.default_rng(5)
    found = rs.step_down(normal_tests(rng, 0.3, 5, 999, shift=8.0), rng)
    # five tests of a thousand resamples each: the smallest p that can be told from 0 is 5e-3
    assert found[0] < 0.012 and (found[1:] > 0.012).all()


def test_p_values_are_uniform_with_ties():
    rng = np.random.default_rng(6)
    p = [
        rs.Resampled.of(rng.integers(0, 3, 100).astype(float), 99).p_value(rng)
        for _ in range(4000)
    ]
    for level in (0.05, 0.5, 0.9):
        assert abs(np.mean(np.array(p) <= level) - level) < 4 * (level * (1 - level) / 4000) ** 0.5


def test_across_is_holm_for_single_tests():
    groups = [np.array([p]) for p in (0.012, 0.03, 0.2)]
    assert np.allclose(np.concatenate(rs.across(groups)), [0.036, 0.06, 0.2])
    assert np.allclose(rs.across([np.array([0.01, 0.3])])[0], [0.01, 0.3])
    assert max(a.max() for a in rs.across([np.array([0.9]), np.array([0.8])])) <= 1.0


class Last:
    """A generator whose random numbers are all the same."""

    def __init__(self, value):
        self.value = value

    def random(self, size=None):
        return self.value if size is None else np.full(size, self.value)


def test_signs_are_ones_and_then_even():
    flips = rs.signs(400, 300, np.random.default_rng(0))
    assert flips.shape == (400, 301) and (flips[:, 0] == 1.0).all()
    assert set(np.unique(flips[:, 1])) == {-1.0, 1.0}
    # 120 000 signs: four standard errors of their mean
    assert abs(flips[:, 1:].mean()) < 4 / 120_000**0.5


def test_p_values_are_ranks_from_the_first_to_the_last():
    own = np.arange(9.0)
    for observed, above in ((9.5, 0), (4.5, 4), (-1.0, 9)):
        test = rs.Resampled(observed, own, own)
        assert test.p_value(Last(0.0)) == above / 10
        assert test.p_value(Last(1.0)) == (above + 1) / 10
    # four are above; itself and its equal share two ranks
    assert rs.Resampled(4.0, own, own).p_value(Last(1.0)) == 0.6


def test_resamples_of_a_test_and_those_in_common_are_told_apart():
    values = np.arange(7.0)
    alone, both = rs.Resampled.of(values[:4], 3), rs.Resampled.of(values, 3)
    assert (alone.observed, alone.own.tolist()) == (0.0, [1.0, 2.0, 3.0])
    assert alone.common.tolist() == both.common.tolist() == [1.0, 2.0, 3.0]
    assert both.own.tolist() == [4.0, 5.0, 6.0]


def test_labels_are_one_over_the_numbers_of_points():
    order = rs.independent(30)
    rng = np.random.default_rng(2)
    v = rs.contrasts(order, rs.signs(30, 20, rng), 40, rng)
    assert (v[:30, 0] == 1 / 30).all() and (v[30:, 0] == -1 / 40).all()


def test_autocorrelation_has_no_units():
    x = ar1(0.8, 2000, np.random.default_rng(4), k=2)
    np.testing.assert_allclose(
        rs.autocorrelation_time(1e-6 * x), rs.autocorrelation_time(x), rtol=1e-9
    )


def test_the_shortest_chain_has_two_blocks():
    assert rs.chain(30.0, 40).blocks == 2
    assert rs.chain(1.0, 1010).blocks == 100


@pytest.mark.parametrize("a", [0.5, 0.8])
def test_blocks_keep_what_is_known_of_ar1(a):
    """Var(Σ over a block)/L is τ − 2a(1 − a^L)/(L(1 − a)²)."""
    found = []
    for seed in range(20):
        x = ar1(a, 20_000, np.random.default_rng(seed))
        order, length = rs.chain_of(x), len(x) / rs.chain_of(x).blocks
        lost = 2 * a * (1 - a**length) / (length * (1 - a) ** 2) * (1 - a) / (1 + a)
        found.append((1 - order.kept) / lost)
    # the times scatter by 7% and more in this; at a = 0.8 the loss is 4%, of which kept ≤ 1
    assert abs(np.mean(found) - 1) < 0.25


@pytest.mark.parametrize(("a", "n", "seed", "k"), [(0.5, 400, 6, 2), (-0.2, 60, 25, 1),
                                                   (0.5, 60, 6, 2)])  # fmt: skip
def test_what_blocks_keep_is_the_share_of_all_functions_variances(a, n, seed, k):
    """Σ_{|t|<L} (1 − |t|/L) corr_t of Σ_t corr_t, lag by lag, of both signs, be they more or less
    than 1; all, if that is more than all, as in the last of these."""
    series = ar1(a, n, np.random.default_rng(seed), k)
    order, correlation = rs.chain_of(series), rs._correlations(series)[0]
    length, seen, every = n / order.blocks, 0.0, 0.0
    for t in range(1 - n, n):
        both = correlation[abs(t)].sum()
        every += both
        seen += both * max(0.0, 1.0 - abs(t) / length)
    assert 0.1 * every < seen and bool(seen < every) is (a < 0 or n == 400)
    assert bool(seen < 1.0) is (a < 0)
    assert order.kept == pytest.approx(min(seen / every, 1.0), rel=1e-12)


def test_what_is_held_against_larger_resamples_is_smaller():
    test = rs.Resampled(3.0, np.array([1.0, 2.0]), np.array([4.0])).tempered(1.5)
    assert (test.observed, test.own.tolist(), test.common.tolist()) == (2.0, [1.0, 2.0], [4.0])
    assert 0.0 < test.p_value(np.random.default_rng(0)) < 2 / 3  # one of two ties, none above


def test_the_slowest_function_of_a_chain_gives_the_blocks():
    rng = np.random.default_rng(0)
    slow, quick = ar1(0.9, 5000, rng), ar1(0.0, 5000, rng)
    one, both = rs.chain_of(slow), rs.chain_of(np.concatenate([quick, slow], axis=1))
    # transforms of two columns and of one may differ in the last digit
    assert one.time == rs.autocorrelation_time(slow).max()
    assert both.time == pytest.approx(one.time, rel=1e-12)
    # of 19 and 1, blocks lose a part of the 19
    assert (1 - both.kept) * 20 == pytest.approx((1 - one.kept) * 19, rel=0.15)
    np.testing.assert_array_equal(both.block, one.block)


def test_what_the_unknown_mean_hides_of_correlations_is_given_back():
    """The sum over a window W is low by τ(2W + 1)/n, 9% here, but for this."""
    found = rs.autocorrelation_time(ar1(0.8, 1000, np.random.default_rng(3), k=3000))
    # the mean is higher, windows being longer where τ looks long; the standard error is 0.9%, and
    # the median without correction 0.91
    assert 0.94 < np.median(found) / 9.0 < 1.06


def test_signs_of_a_few_blocks_have_variance_one_after_centring():
    rng, copies = np.random.default_rng(5), 4000
    order = rs.chain(2.0, 60)
    v = rs.contrasts(order, rs.signs(order.blocks, copies, rng), 50, rng)
    # 10 blocks of 4000 signs: a standard error of 0.7% of the mean square
    assert order.blocks == 9 and abs((60 * v[:60, 1:]).var() - 1) < 0.03
