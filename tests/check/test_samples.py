"""check_samples: its words, its calibration, its power, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from laws_of_samples import BIMODAL, NORMAL, ar1, modes

import jkoflow as jf
from jkoflow import Verdict, check_samples
from jkoflow.check.samples import judged as samples
from jkoflow.check.samples.resampling import autocorrelation_time, chain, independent
from jkoflow.status import InvalidFunctional, InvalidMeasure, InvalidProblem, NotDefined


@pytest.mark.parametrize("dim", [2, 40])
def test_mode_weights_are_seen_though_not_by_the_stein_discrepancy(dim):
    """80/20 against 50/50 at n = 400."""
    blind = 0
    for k in range(5):
        rng = np.random.default_rng(k)
        report = check_samples(BIMODAL, modes(rng, 400, dim, 0.8), rng=rng)
        assert report["not rejected: mode masses"].verdict is Verdict.REJECTED
        blind += report["not rejected: kernel Stein discrepancy"].verdict is Verdict.ACCEPTED
    assert blind >= 3


def test_a_missing_mode_is_seen_by_a_reference_or_a_grid():
    rng = np.random.default_rng(1)
    x = modes(rng, 200, 2, 1.0)
    assert check_samples(BIMODAL, x, rng=1).verdict is Verdict.REJECTED
    x = modes(rng, 200, 7, 1.0)
    reference = modes(rng, 200, 7)
    assert check_samples(BIMODAL, x, rng=1, reference=reference).verdict is Verdict.REJECTED
    unseen = check_samples(BIMODAL, x, rng=1)
    assert any("no point has visited" in a for a in unseen.assumptions)


@pytest.mark.parametrize("dim", [1, 2, 30])
@pytest.mark.parametrize(
    "change",
    [lambda x: x + 0.4, lambda x: 1.25 * x, lambda x: 0.8 * x, lambda x: np.abs(x)],
    ids=["shifted", "wider", "narrower", "folded"],
)
def test_gross_faults_are_rejected(dim, change):
    x = np.random.default_rng(dim).normal(size=(400, dim))
    assert check_samples(NORMAL, change(x), rng=0).verdict is Verdict.REJECTED


def test_heavier_tails_are_rejected():
    x = np.random.default_rng(5).standard_t(3, (800, 2)) * 3**-0.5
    assert check_samples(NORMAL, x, rng=0).verdict is Verdict.REJECTED


def correlated(x, j, k):
    """Normal coordinates with a correlation of .6 between two of them."""
    x[:, k] = 0.6 * x[:, j] + 0.8 * x[:, k]
    return x


@pytest.mark.parametrize("n", [400, 1100])  # by paths, and by signs
def test_a_correlation_between_two_of_many_coordinates_is_seen(n):
    """In R^20, where distances show nothing of it; 40 of 40 samples at n = 400."""
    for k in range(3):
        rng = np.random.default_rng(k)
        report = check_samples(NORMAL, correlated(rng.normal(size=(n, 20)), 3 + k, 12), rng=rng)
        assert report["not rejected: Stein correlations"].verdict is Verdict.REJECTED
        assert report["not rejected: Stein moments"].verdict is Verdict.ACCEPTED


def test_a_correlation_is_held_against_that_of_the_law():
    """Points of N(0, Σ) with Σ_jk = .6 against N(0, Σ), and points of N(0, I) against it."""
    precision = np.eye(6)
    precision[np.ix_([1, 4], [1, 4])] = np.linalg.inv([[1.0, 0.6], [0.6, 1.0]])
    x = np.random.default_rng(3).normal(size=(400, 6))
    score = lambda x: -x @ precision  # noqa: E731
    report = check_samples(NORMAL, x, rng=0, reference=score)
    assert report["not rejected: Stein correlations"].verdict is Verdict.REJECTED
    true = check_samples(NORMAL, correlated(x, 1, 4), rng=0, reference=score)
    assert true.verdict is Verdict.ACCEPTED


def test_a_correlation_in_a_chain_is_seen():
    x = ar1(np.random.default_rng(4), 3000, 20, 0.5)
    report = check_samples(NORMAL, correlated(x, 0, 19), rng=0, correlated=True)
    assert report["not rejected: Stein correlations"].verdict is Verdict.REJECTED


def test_wrong_temperature_of_a_risk_against_its_fixed_point():
    """Radial laws in R^20: points of ρ* pass, those of another β do not."""
    from jkoflow.networks import GaussianClasses, radial_risk, truncated_relu

    classes = GaussianClasses.std(20, 0.6)
    F = jf.free_energy(radial_risk(classes, truncated_relu), lam=0.5, beta=20.0)
    star = jf.solve_gibbs(F, jf.Radial.normal(0.3, 20, 100), n=2000)
    x = jf.sample(star.measure, 500, 1)
    assert check_samples(F, x, rng=2, reference=star).verdict is Verdict.ACCEPTED
    hot = jf.free_energy(radial_risk(classes, truncated_relu), lam=0.5, beta=15.0)
    y = jf.sample(jf.solve_gibbs(hot, jf.Radial.normal(0.3, 20, 100), n=2000).measure, 500, 1)
    assert check_samples(F, y, rng=2, reference=star).verdict is Verdict.REJECTED
    with pytest.raises(NotDefined, match="reference=solve_gibbs"):
        check_samples(F, x, rng=2)


def test_particles_and_arrays_are_the_same_and_a_seed_decides():
    x = np.random.default_rng(3).normal(size=(120, 2))
    a = check_samples(NORMAL, x, rng=4)
    assert a == check_samples(NORMAL, jf.Particles(x), rng=4)
    assert a != check_samples(NORMAL, x, rng=5)


def test_input_is_not_changed():
    x = np.random.default_rng(3).normal(size=(120, 2))
    y = x.copy()
    check_samples(NORMAL, x, rng=4, reference=jf.Gaussian([0, 0], np.eye(2)))
    np.testing.assert_array_equal(x, y)


def test_units_of_the_coordinates_do_not_matter():
    x = np.random.default_rng(3).normal(size=(300, 3))
    size = np.array([1e-3, 1.0, 1e4])
    scaled = jf.Potential(lambda x: 0.5 * ((x / size) ** 2).sum(axis=1), lambda x: x / size**2)
    one = check_samples(NORMAL, x, rng=4)
    two = check_samples(scaled + jf.Entropy(), x * size, rng=4)
    for f, g in zip(one.findings, two.findings, strict=True):
        # the same numbers up to rounding, which may exchange two resamples of 400
        assert f.measured == pytest.approx(g.measured, abs=0.02)


def test_regions_of_one_s_own():
    rng = np.random.default_rng(6)
    x = modes(rng, 300, 4, 0.7)
    side = lambda x: (x[:, 0] > 0).astype(int)  # noqa: E731
    report = check_samples(BIMODAL, x, rng=0, reference=modes(rng, 600, 4), regions=side)
    assert report["not rejected: mode masses"].verdict is Verdict.REJECTED


def test_words_and_numbers_of_a_report():
    x = np.random.default_rng(8).normal(size=(200, 2))
    report = check_samples(NORMAL, x, rng=0)
    assert report.verdict is Verdict.ACCEPTED
    assert all(f.claim.startswith("not rejected: ") for f in report.findings)
    assert all("not rejected at 5%" in f.reason for f in report.findings)
    assert any("power" in a for a in report.assumptions)
    assert any("independent" in a for a in report.assumptions)
    for f in check_samples(NORMAL, x + 1.0, rng=0).findings:
        assert (f.verdict is Verdict.REJECTED) == (f.measured >= f.bound)
        assert ("REJECTED at 5%" in f.reason) == (f.verdict is Verdict.REJECTED)
    assert json.loads(report.to_json())["verdict"] == "ACCEPTED"


def test_alpha_is_the_level():
    x = np.random.default_rng(0).normal(size=(100, 2))
    loose = check_samples(NORMAL, x + 0.25, rng=1, alpha=0.2)
    assert "at 20%" in loose.findings[0].reason and loose.findings[0].bound == 0.8


def test_short_data_are_undecided_unless_they_are_clearly_wrong():
    x = np.random.default_rng(2).normal(size=(30, 2))
    short = check_samples(NORMAL, x, rng=0)
    assert short.verdict is Verdict.UNDECIDED
    assert all("effective sample size 30 is too small" in f.reason for f in short.findings)
    assert check_samples(NORMAL, x + 3.0, rng=0).verdict is Verdict.REJECTED
    assert check_samples(NORMAL, x[:2], rng=0).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("least", "verdict"),
    [(0.0124, Verdict.REJECTED), (0.0126, Verdict.UNDECIDED), (0.04, Verdict.UNDECIDED)],
)
def test_few_points_are_rejected_at_a_quarter_of_the_level(least, verdict):
    # 0.0125 · 2⁹ is 6.4 ≥ 5 patterns of signs, 0.0125 · 2⁸ is not
    for n, word in ((10, verdict), (49, verdict), (9, Verdict.UNDECIDED),
                    (50, Verdict.REJECTED)):  # fmt: skip
        tests = {"this": least, "that": 0.5}
        found = samples._findings(tests, independent(n), False, 0.0, 0.05, ())
        assert Verdict.of(found) is word, n
        assert [(f.measured, f.bound) for f in found] == [(1.0 - least, 0.95), (0.5, 0.95)]
        assert samples._findings(tests, chain(1.0, 99), True, 0.0, 0.05, ())[0].verdict is (
            Verdict.UNDECIDED)  # fmt: skip


def test_a_short_chain_is_undecided_whatever_it_shows():
    x = ar1(np.random.default_rng(2), 400, 2, 0.97)
    for y in (x, x + 1.0):
        report = check_samples(NORMAL, y, rng=0, correlated=True)
        assert report.verdict is Verdict.UNDECIDED
        assert "effective sample size" in report.findings[0].reason


def test_a_chain_taken_for_independent_points_is_undecided():
    x = ar1(np.random.default_rng(9), 2000, 2, 0.9)
    report = check_samples(NORMAL, x, rng=0)
    assert report.verdict is Verdict.UNDECIDED
    assert "correlated=True" in report.findings[0].reason


def test_a_wrong_chain_is_rejected():
    x = 1.3 * ar1(np.random.default_rng(9), 4000, 2, 0.8)
    assert check_samples(NORMAL, x, rng=0, correlated=True).verdict is Verdict.REJECTED


def test_the_proximal_law_of_the_sample_is_named():
    F = NORMAL + jf.QuadraticInteraction(1.0)
    x = np.random.default_rng(1).normal(size=(300, 3)) * 0.5**0.5
    report = check_samples(F, x, rng=0)
    assert report.verdict is Verdict.ACCEPTED
    assert any("proximal Gibbs law" in a for a in report.assumptions)


def test_many_points_are_thinned_and_it_is_said():
    x = np.random.default_rng(1).normal(size=(10_500, 1))
    score_only = check_samples(NORMAL, x, rng=0, reference=lambda x: -x)
    assert any("10500 points" in a for a in score_only.assumptions)
    assert score_only.verdict is Verdict.ACCEPTED


def test_memory_is_linear_in_the_points():
    """10 000 points: 800 MB would be one n² array of doubles; tiles of B columns are far below."""
    import tracemalloc

    x = np.random.default_rng(1).normal(size=(10_000, 5))
    tracemalloc.start()
    check_samples(NORMAL, x, rng=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


X = np.random.default_rng(0).normal(size=(60, 2))
BAD = [
    (InvalidMeasure, dict(x=np.full((60, 2), np.nan))),
    (InvalidMeasure, dict(x=1j * X)),
    (InvalidMeasure, dict(x=np.zeros((2, 3, 4)))),
    (InvalidMeasure, dict(x=[["a", "b"]])),
    (InvalidMeasure, dict(x=[])),
    (InvalidMeasure, dict(x=X[:1])),
    (InvalidMeasure, dict(x=jf.Particles(X[:2], [0.3, 0.7]))),
    (NotDefined, dict(x=jf.Gaussian(0.0, 1.0))),
    (InvalidProblem, dict(F="F")),
    (NotDefined, dict(F=jf.QuadraticPotential(1.0))),
    (NotDefined, dict(F=jf.QuadraticPotential(1.0) - jf.Entropy())),
    (NotDefined, dict(F=NORMAL + jf.PowerEnergy(2.0))),
    (InvalidProblem, dict(alpha=0.0)),
    (InvalidProblem, dict(alpha=np.nan)),
    (InvalidProblem, dict(alpha="5%")),
    (InvalidProblem, dict(alpha=1.5)),
    (InvalidProblem, dict(rng="seed")),
    (InvalidProblem, dict(rng=-1)),
    (InvalidProblem, dict(correlated="yes")),
    (InvalidProblem, dict(regions=3)),
    (InvalidMeasure, dict(reference=X[:, :1])),
    (InvalidMeasure, dict(reference=[[np.inf, 0.0]])),
    (InvalidMeasure, dict(reference=X[:1])),
    (InvalidMeasure, dict(reference=jf.Particles(X[:2], [0.3, 0.7]))),
    (InvalidMeasure, dict(reference=jf.Radial.normal(1.0, 3, 10))),
    (InvalidMeasure, dict(reference="normal")),
    (InvalidFunctional, dict(reference=lambda x: x[:, 0])),
    (InvalidFunctional, dict(reference=lambda x: np.nan * x)),
    (InvalidFunctional, dict(reference=lambda x: 1 / 0)),
    (InvalidFunctional, dict(regions=lambda x: x)),
    (InvalidFunctional, dict(regions=lambda x: 1 / 0)),
    (InvalidFunctional, dict(F=jf.Potential(lambda x: 1 / 0) + jf.Entropy())),
    (InvalidFunctional, dict(F=jf.Potential(lambda x: x[:, 0] * np.nan) + jf.Entropy())),
]  # fmt: skip


@pytest.mark.parametrize("error, change", BAD, ids=range(len(BAD)))
def test_bad_input_is_a_typed_error(error, change):
    arguments = dict(F=NORMAL, x=X, rng=0) | change
    F, x = arguments.pop("F"), arguments.pop("x")
    with pytest.raises(error) as caught:
        check_samples(F, x, **arguments)
    assert type(caught.value) is error and len(str(caught.value)) > 20


def test_constant_and_repeated_points():
    assert check_samples(NORMAL, np.zeros((80, 2)), rng=0).verdict is Verdict.REJECTED
    pairs = np.repeat(np.random.default_rng(0).normal(size=(200, 2)), 5, axis=0)
    assert check_samples(NORMAL, pairs, rng=0).verdict is not Verdict.ACCEPTED


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize(("far", "seen"), [(1e3, True), (7.0, True), (4.0, False)])
def test_one_point_where_there_is_no_mass_is_noticed(dim, far, seen):
    """Of 400 points. At 7 standard deviations nothing else sees it: labels are exchanged, and Stein
    functions bounded. A normal law has 3e-12 beyond 7 standard deviations, and 6e-5 beyond 4."""
    x = np.random.default_rng(3).normal(size=(400, dim))
    assert check_samples(NORMAL, x, rng=1).verdict is Verdict.ACCEPTED
    x[17] = far * np.eye(dim)[0]
    report = check_samples(NORMAL, x, rng=1)
    rejected = [f.claim for f in report.findings if f.verdict is Verdict.REJECTED]
    assert ("not rejected: outliers" in rejected) == seen, report.text()
    assert far > 7.0 or len(rejected) == seen


@pytest.mark.parametrize("correlated, n", [(False, 50), (True, 100)])
@pytest.mark.parametrize("p, word", [(0.05, Verdict.REJECTED), (0.0501, Verdict.ACCEPTED)])
def test_what_is_long_enough_is_judged_at_the_level(correlated, n, p, word):
    """And one point less is not, but for a quarter of the level."""
    for size, verdict in ((n, word), (n - 1, Verdict.UNDECIDED)):
        order = chain(1.0, size) if correlated else independent(size)
        (found,) = samples._findings({"this": p}, order, correlated, 0.0, 0.05, ())
        assert found.verdict is verdict, size


@pytest.mark.parametrize("patterns, word", [(5.01, Verdict.REJECTED), (4.99, Verdict.UNDECIDED)])
def test_five_patterns_of_signs_lie_beyond_the_level_at_which_few_points_are_rejected(
    patterns, word
):
    alpha = 4.0 * patterns / 2**9  # of the 2⁹ of ten points
    for p in (0.001, 0.0):  # which the χ² of bridges may be, to rounding
        (found,) = samples._findings({"this": p}, independent(10), False, 0.0, alpha, ())
        assert found.verdict is word


def test_levels_are_met_up_to_rounding():
    """p is a quotient of whole numbers, and so is the level, about."""
    for p, n in ((0.05, 500), (0.0125, 20)):
        for off, word in ((5e-10, Verdict.REJECTED), (1e-7, None)):
            (found,) = samples._findings({"p": p * (1 + off)}, independent(n), False, 0.0, 0.05, ())
            assert (found.verdict is Verdict.REJECTED) == (word is Verdict.REJECTED)


@pytest.mark.parametrize("looks, word", [(6.0, Verdict.REJECTED), (6.01, Verdict.UNDECIDED)])
def test_independence_is_doubted_beyond_six_standard_errors(looks, word):
    for p in (0.05, 0.001):
        (found,) = samples._findings({"this": p}, independent(500), False, looks, 0.05, ())
        assert found.verdict is word


def test_looks_are_the_largest_autocorrelation_of_points_and_their_distances():
    rng = np.random.default_rng(12)
    x = rng.normal(size=(300, 2)) * np.repeat(rng.exponential(size=60), 5)[:, None]
    square = ((x - x.mean(axis=0)) ** 2).sum(axis=1)
    lagged = []
    for series in (*x.T, square):
        c = series - series.mean()
        lagged.append(sum(c[1:] * c[:-1]) / sum(c * c))
    order, looks = samples._order(x, False)
    assert looks == pytest.approx(max(lagged) * 300**0.5) and order.time == 1.0
    assert np.argmax(lagged) == 2  # spreads are what is correlated here
    order, looks = samples._order(x, True)
    both = autocorrelation_time(np.column_stack([x, square]))
    assert order.time == both.max() > 2.0 and looks == 0.0 and order.gap == 1
    assert samples._order(np.ones((60, 1)), False)[1] == 0.0


def test_a_chain_is_thinned_evenly_and_independent_points_at_random():
    x = np.arange(25_000.0)[:, None]
    few, notes = samples._thinned(x[:10_000], True, np.random.default_rng(0))
    assert few is not None and len(few) == 10_000 and notes == ()
    even, _ = samples._thinned(x, True, np.random.default_rng(0))
    assert (even[0, 0], even[-1, 0]) == (0.0, 24_999.0)
    assert set(np.diff(even[:, 0])) == {2.0, 3.0} and len(even) == 10_000
    some, _ = samples._thinned(x, False, np.random.default_rng(0))
    assert len(np.unique(some)) == 10_000 and (np.diff(some[:, 0]) > 0).all()


@pytest.mark.parametrize("dim, n, said", [(2, 450, "n = 400, D = 2"), (3, 120, "n = 100, D = 40")])
def test_the_power_told_is_that_of_the_case(dim, n, said):
    """Without points of ρ*, in R³, the case without."""
    x = np.random.default_rng(13).normal(size=(n, dim))
    assert any(said in a for a in check_samples(NORMAL, x, rng=0).assumptions)


def test_options_may_be_numpy_s():
    x = ar1(np.random.default_rng(14), 600, 1, 0.5)
    report = check_samples(NORMAL, x, rng=0, correlated=np.True_, alpha=np.float64(0.05))
    assert report == check_samples(NORMAL, x, rng=0, correlated=True)
    order = chain(float(autocorrelation_time(np.column_stack([x, (x - x.mean()) ** 2])).max()), 600)
    said = f"autocorrelation time {order.time:.3g}, effective sample size {order.effective:.0f}"
    assert any(said in a for a in report.assumptions)
