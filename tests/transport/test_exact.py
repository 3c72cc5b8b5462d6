"""Exact couplings: against enumeration, SciPy and closed forms, and under hostile costs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from jkoflow.status import InvalidMeasure, TransportFailed
from jkoflow.transport import exact
from jkoflow.transport.couplings import barycentres
from jkoflow.transport.distances import squared_distances
from jkoflow.transport.exact import couple, optimal_coupling


def assert_proved(best, cost, a, b):
    """What a reader can verify without solving: marginals, feasibility, gap."""
    n, m = cost.shape
    # sums of at most n values of size 1/n: a few roundings each
    np.testing.assert_allclose(np.bincount(best.rows, best.values, n), a, atol=1e-14)
    np.testing.assert_allclose(np.bincount(best.columns, best.values, m), b, atol=1e-14)
    assert (best.values > 0).all()
    rounding = 4e-16 * np.abs(cost).max() * 4
    assert (best.f[:, None] + best.g - cost).max() <= rounding
    gap = best.values @ cost[best.rows, best.columns] - best.f @ a - best.g @ b
    assert gap <= 1e-9 * best.cost + 64 * np.finfo(float).eps * np.abs(cost).max()


def test_small_problems_against_every_permutation(rng):
    for n in (1, 2, 5, 6):
        cost = rng.normal(size=(n, n)) ** 2
        best = optimal_coupling(cost)
        every = min(
            cost[np.arange(n), list(p)].mean() for p in itertools.permutations(range(n))
        )
        assert best.cost == pytest.approx(every, rel=1e-13)  # the same sum in another order
        assert cost[np.arange(n), best.permutation()].mean() == pytest.approx(every, rel=1e-13)


def test_unequal_weights_and_sizes_are_proved(rng):
    x, y = rng.normal(size=(37, 3)), rng.normal(size=(53, 3)) + 1.0
    a, b = rng.dirichlet(np.ones(37)), rng.dirichlet(np.ones(53))
    best = couple(x, y, a, b)
    assert_proved(best, squared_distances(x, y), a, b)
    assert best.permutation() is None
    assert len(best.rows) <= 37 + 53 - 1  # a vertex of the polytope


def test_translation_has_its_closed_form(rng):
    x, shift = rng.normal(size=(120, 7)), np.full(7, 0.3)
    best = couple(x, x + shift)
    assert best.permutation().tolist() == list(range(120))
    assert best.cost == pytest.approx(shift @ shift, rel=1e-12)  # rounding of the shifted points


def test_barycentres_are_the_conditional_means():
    y = np.array([[0.0], [1.0], [10.0]])
    best = couple(np.array([[0.4], [9.0]]), y, [0.5, 0.5], [0.25, 0.25, 0.5])
    means = barycentres(best.rows, best.columns, best.values, y, 2)
    np.testing.assert_allclose(means, [[0.5], [10.0]], rtol=1e-14)


def test_warm_start_changes_nothing_but_the_time(rng):
    x, y = rng.normal(size=(80, 4)), rng.normal(size=(80, 4))
    cost = squared_distances(x, y)
    cold = optimal_coupling(cost)
    warm = optimal_coupling(cost, potentials=(cold.f, cold.g))
    misled = optimal_coupling(cost, potentials=(rng.normal(size=80), 9 * rng.normal(size=80)))
    assert cold.permutation().tolist() == warm.permutation().tolist()
    assert cold.permutation().tolist() == misled.permutation().tolist()


@pytest.mark.parametrize("power", [4, 8, 12, 16])
def test_a_huge_range_of_costs_is_solved_or_refused(rng, power):
    """POT can return a wrong plan without a warning there (its issue 229)."""
    cost = 10.0 ** rng.uniform(0, power, size=(40, 40))
    rows, columns = linear_sum_assignment(cost)
    true = cost[rows, columns].mean()
    try:
        best = optimal_coupling(cost)
    except TransportFailed:
        assert power >= 12  # below, double precision suffices for a proof
        return
    # the proof's own resolution: 1e-9 relative, and rounding of the largest cost
    assert best.cost - true <= 1e-9 * true + 1.5e-14 * 10.0**power


def test_a_lying_solver_is_found_out(rng, monkeypatch):
    import ot

    cost = rng.random((12, 12))
    wrong = np.eye(12)[rng.permutation(12)] / 12
    monkeypatch.setattr(ot, "emd", lambda *_, **__: (wrong, {"u": np.zeros(12), "warning": None}))
    a = rng.dirichlet(np.ones(12))
    with pytest.raises(TransportFailed, match="marginals"):
        optimal_coupling(cost, a, a)
    # with equal weights the assignment solver takes over, and is right
    best = optimal_coupling(cost)
    rows, columns = linear_sum_assignment(cost)
    assert best.cost == pytest.approx(cost[rows, columns].mean(), rel=1e-13)
    assert_proved(best, cost, np.full(12, 1 / 12), np.full(12, 1 / 12))


def test_a_suboptimal_plan_is_found_out(rng):
    cost = rng.random((9, 9))
    uniform = np.full(9, 1 / 9)
    with pytest.raises(TransportFailed, match="not proved optimal"):
        exact._verified(cost, uniform, uniform, np.outer(uniform, uniform), np.zeros(9))


@pytest.mark.parametrize("how", ["warning", "log", "error"])
def test_nothing_that_the_solver_says_is_lost(rng, monkeypatch, how):
    import warnings

    import ot

    def emd(a, b, c, **_):
        if how == "error":
            raise AssertionError("sums differ")
        if how == "warning":
            warnings.warn("numItermax reached", stacklevel=2)
        return np.outer(a, b), {"u": np.zeros(len(a)), "warning": "numItermax reached"}

    monkeypatch.setattr(ot, "emd", emd)
    with pytest.raises(TransportFailed, match=r"numItermax|sums differ"):
        optimal_coupling(rng.random((4, 3)))


@pytest.mark.parametrize(
    "cost",
    [
        [[0.0, np.nan], [1.0, 1.0]],
        [[0.0, np.inf], [1.0, 1.0]],
        [[0.0, 1j], [1.0, 1.0]],
        [0.0, 1.0],
        np.zeros((0, 2)),
        [[None, 1.0], [1.0, 1.0]],
    ],
)
def test_costs_that_are_none_are_refused(cost):
    with pytest.raises(TransportFailed, match="cost"):
        optimal_coupling(cost)


def test_weights_that_are_none_are_refused():
    cost = np.ones((2, 2))
    for bad in ([0.5, 0.6], [1.5, -0.5], [np.nan, 1.0], [1.0]):
        with pytest.raises(InvalidMeasure):
            optimal_coupling(cost, bad)


def test_float32_costs_are_solved_in_double_precision(rng):
    x = rng.normal(size=(60, 5)).astype(np.float32)
    cost = squared_distances(x, x[::-1] + np.float32(0.25)).astype(np.float32)
    best = optimal_coupling(cost)
    wide = cost.astype(float)
    assert_proved(best, wide, np.full(60, 1 / 60), np.full(60, 1 / 60))
    rows, columns = linear_sum_assignment(wide)
    assert best.cost == pytest.approx(wide[rows, columns].mean(), rel=1e-13)


def test_constant_and_negative_costs(rng):
    assert optimal_coupling(np.full((3, 5), 2.0)).cost == pytest.approx(2.0, rel=1e-15)
    cost = rng.random((20, 20))
    shifted = optimal_coupling(cost - 7.0)
    # subtracting a constant changes no plan; 1e-13: rounding of 7 + cost
    assert shifted.cost == pytest.approx(optimal_coupling(cost).cost - 7.0, rel=1e-13)


def test_distances_keep_their_digits_where_points_are_close(rng):
    x = 1e3 + rng.normal(size=(50, 6))
    y = x + 1e-9 * rng.normal(size=(50, 6))
    direct = ((x[:, None] - y[None]) ** 2).sum(axis=2)
    # 1e-12: entries above 1e-3 of |x|² + |y|² lose at most three digits to cancellation
    np.testing.assert_allclose(squared_distances(x, y), direct, rtol=1e-12)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_light_points_keep_their_mass() -> None:
    """The solver leaves EPS of all mass anywhere. Points that hold 1e-10 stay with themselves, and
    what it adds to them is no mass: marginals are right relative to each weight."""
    rng = np.random.default_rng(21)
    for _ in range(20):
        w = 10.0 ** rng.uniform(-12, 0, 60)
        w /= w.sum()
        x = rng.normal(size=(60, 3))
        best = couple(x, x + 0.3 * np.sin(7.0 * x[:, ::-1]), w, w)
        for index in (best.rows, best.columns):
            off = np.abs(np.bincount(index, best.values, 60) - w)
            assert (off <= 2.0**-52 + 1e-12 * w).all()  # what the judge asks
