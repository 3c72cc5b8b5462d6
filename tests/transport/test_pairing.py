"""Pairings proved optimal by potentials, and sorting on the line, against the exact solver."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow.transport import distances
from jkoflow.transport.exact import couple
from jkoflow.transport.pairing import line_coupling, pairing_potentials, violation


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def brute_violation(x, y, f, g):
    return (f[:, None] + g - ((x[:, None] - y[None]) ** 2).sum(axis=2)).max()


def test_gradients_of_convex_functions_are_proved(rng):
    """y = ∇u(x) with u convex is optimal, and its potential is |x|² − 2u(x): no sweep needed."""
    x = rng.normal(size=(150, 4))
    a = rng.normal(size=(4, 4))
    a = a @ a.T
    y, u = x @ a, 0.5 * np.einsum("ij,jk,ik->i", x, a, x)
    found = pairing_potentials(x, y, (x**2).sum(1) - 2 * u, sweeps=0)
    assert found is not None
    # potentials and squares of size 1e3 round by 1e-13 each
    assert brute_violation(x, y, found.f, found.g) <= 1e-12
    np.testing.assert_allclose(found.f + found.g, ((x - y) ** 2).sum(1), atol=1e-12)


def test_sweeps_find_potentials_from_nothing(rng):
    x = rng.normal(size=(60, 3))
    y = 0.5 * x + 0.2
    found = pairing_potentials(x, y, np.zeros(60), sweeps=60)
    assert found is not None
    assert brute_violation(x, y, found.f, found.g) <= 1e-14


@pytest.mark.parametrize("trial", range(8))
def test_the_verdict_agrees_with_the_exact_solver(trial):
    """Pairings on the edge between optimal and not: noise of growing size on a translation."""
    rng = np.random.default_rng(trial)
    x = rng.normal(size=(25, 3))
    y = x + 0.1 * (1 + trial) * rng.normal(size=(25, 3))
    optimal = couple(x, y).cost >= ((x - y) ** 2).sum(1).mean() * (1 - 1e-12)
    # 25 sweeps reach every shortest path between 25 points, so None is a proof here
    assert (pairing_potentials(x, y, np.zeros(25), sweeps=25) is not None) == optimal


def test_one_swapped_pair_among_many_is_rejected(rng):
    x = rng.normal(size=(400, 8))
    order = np.arange(400)
    order[[3, 77]] = order[[77, 3]]
    assert pairing_potentials(x, x[order] * 1.0, np.zeros(400)) is None
    assert pairing_potentials(x, x * 1.0, np.zeros(400)) is not None


def test_tiny_steps_far_from_the_origin_are_decided_above_the_rounding(rng):
    """Displacements of 1e-9 at 1e3: a matrix product alone would lose every digit of them."""
    x = 1e3 + rng.normal(size=(40, 5))
    x[1] = x[0] + 1e-9  # twins
    y = x + 1e-9
    assert pairing_potentials(x, y, np.zeros(40), sweeps=40) is not None
    y = x.copy()
    y[[0, 1]] = y[[1, 0]]
    assert pairing_potentials(x, y, np.zeros(40), sweeps=40) is None


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow, on the way to no answer
def test_where_squares_overflow_nothing_is_proved(rng):
    x = 1e160 * rng.normal(size=(5, 2))
    assert pairing_potentials(x, 0.9 * x, np.zeros(5)) is None


def test_blocks_do_not_change_the_answer(rng, monkeypatch):
    x, y = rng.normal(size=(33, 2)), rng.normal(size=(33, 2))
    f, g = rng.normal(size=33), rng.normal(size=33)
    whole = violation(x, y, f, g)
    monkeypatch.setattr(distances, "_CHUNK", 100)
    assert violation(x, y, f, g) == pytest.approx(whole, rel=1e-13)  # BLAS sums in blocks
    assert whole == pytest.approx(brute_violation(x, y, f, g), rel=1e-13)


@pytest.mark.parametrize("equal", [True, False])
def test_the_line_agrees_with_the_exact_solver(rng, equal):
    x, y = rng.normal(size=30), 3 * rng.random(30)
    a = np.full(30, 1 / 30) if equal else rng.dirichlet(np.ones(30))
    b = a if equal else rng.dirichlet(np.ones(30))
    rows, columns, values, found = line_coupling(x, y, a, b)
    assert (len(rows) == 30) == equal
    np.testing.assert_allclose(np.bincount(rows, values, 30), a, atol=1e-15)
    np.testing.assert_allclose(np.bincount(columns, values, 30), b, atol=1e-15)
    cost = values @ (x[rows] - y[columns]) ** 2
    assert cost == pytest.approx(couple(x[:, None], y[:, None], a, b).cost, rel=1e-12)
    # telescoping sums over 30 points of size 10
    assert brute_violation(x[:, None], y[:, None], found.f, found.g) <= 1e-13
    assert found.f @ a + found.g @ b == pytest.approx(cost, rel=1e-12)


def test_equal_weights_on_the_line_are_never_split():
    """Cumulated sums of 1/n differ in the last digit; that is no mass."""
    for n in (3, 7, 49, 1000, 4097):
        rng = np.random.default_rng(n)
        w = np.full(n, 1 / n)
        rows, columns, _, _ = line_coupling(rng.normal(size=n), rng.normal(size=n), w, w)
        assert len(rows) == len(np.unique(rows)) == len(np.unique(columns)) == n


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("seed", range(20))
def test_masses_below_rounding_go_where_the_potentials_say(dim, seed):
    """1e-22 changes no sum: sorting and linear programs lose such rows and columns."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 4, (30, dim)) + 0.0, rng.normal(size=(30, dim))
    a, b = (10.0 ** rng.uniform(-40, 0, 30) for _ in range(2))
    a, b = a / a.sum(), b / b.sum()
    if dim == 1:
        rows, columns, values, found = line_coupling(x[:, 0], y[:, 0], a, b)
    else:
        found = couple(x, y, a, b)
        rows, columns, values = found.rows, found.columns, found.values
    assert (values > 0).all()
    for indices, weights in ((rows, a), (columns, b)):
        assert set(indices) == set(range(30))
        np.testing.assert_allclose(np.bincount(indices, values), weights, atol=1e-15)
    assert brute_violation(x, y, found.f, found.g) <= 1e-13  # as above
    cost = values @ ((x[rows] - y[columns]) ** 2).sum(axis=1)
    assert found.f @ a + found.g @ b == pytest.approx(cost, rel=1e-12)


@pytest.mark.parametrize("light", [1e-9, 5e-13, 3e-14, 1e-15, 1e-18])
@pytest.mark.parametrize("solve", ["sorting", "program"])
def test_a_light_point_that_passes_heavy_ones_moves_all_of_them_a_little(solve, light):
    """Each heavy one gives its neighbour that much: mass, not rounding, until it is rounding."""
    w = np.array([light, *np.linspace(1.0, 3.0, 40)])
    w /= w.sum()
    x, y = np.arange(41.0), np.append(50.0, np.arange(1.0, 41.0))
    if solve == "sorting":
        rows, columns, values, _ = line_coupling(x, y, w, w)
    else:
        found = couple(x[:, None], y[:, None], w, w)
        rows, columns, values = found.rows, found.columns, found.values
    for k in (rows, columns):
        assert (np.abs(np.bincount(k, values, 41) - w) <= 2.0**-52 + 1e-12 * w).all()
