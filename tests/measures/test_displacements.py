"""Random displacements: as large as was asked, and such that measures can make them."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.measures.displacements import (
    monotone_displacements,
    random_companions,
    random_displacements,
)

RNG = np.random.default_rng(7)
SQUARE = jf.Mesh([[0, 0], [2, 0], [2, 1], [0, 1], [1, 0.1]],
                 [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])  # fmt: skip
MEASURES = [
    jf.Particles(RNG.normal(size=(9, 3)), RNG.dirichlet(np.ones(9))),
    jf.Particles([[2.0]]),
    jf.Quantiles(np.r_[-3.0, np.sort(RNG.normal(size=40)), 7.0]),
    jf.Quantiles([0.0, 1.0, 1.0, 2.0]),
    jf.Radial.normal(0.4, 5, 30),
    jf.Radial([0.0, 1e-9, 1.0], 2),
    jf.Gaussian([1.0, 5.0], [[2.0, 0.9], [0.9, 0.5]]),
    SQUARE,
]


def size(v, mu):
    return float(np.sqrt(mu.weights @ (v * v).sum(axis=1)))


@pytest.mark.parametrize("spread", [1e-3, 0.7, 30.0])
@pytest.mark.parametrize("mu", MEASURES, ids=repr)
def test_measures_can_make_them_in_both_directions(mu, spread):
    fields = random_displacements(mu, spread, np.random.default_rng(3))
    assert len(fields) == (4 if mu.kind in ("gaussian", "quantiles", "radial") else 5)
    for v in fields:
        assert size(v, mu) <= spread * (1 + 1e-12)
        for t in (-1.0, -0.5, 0.5, 1.0):
            mu.displaced(t * v)  # raises where edges would cross
    largest = max(size(v, mu) for v in fields)
    room = mu.kind in ("particles", "gaussian")
    assert largest > (0.2 * spread if room else 0.0), "none of them moves the measure"


@pytest.mark.parametrize("mu", MEASURES, ids=repr)
def test_tangents_say_of_a_field_what_displacing_needs(mu):
    """Sums and multiples of them lead where those of the fields lead, and are as long."""
    v, w, *_ = random_displacements(mu, 0.5, np.random.default_rng(3))
    there, tangent = mu.displaced(0.3 * v - 0.2 * w), 0.3 * mu.tangent(v) - 0.2 * mu.tangent(w)
    for name, array in mu.moved(tangent).to_arrays().items():
        np.testing.assert_allclose(array, there.to_arrays()[name], rtol=0, atol=1e-13)
    assert abs(mu.length(tangent) - size(0.3 * v - 0.2 * w, mu)) < 1e-13


@pytest.mark.parametrize("mu", MEASURES, ids=repr)
def test_the_seed_decides(mu):
    first, again, other = (
        random_displacements(mu, 1.0, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(v, w) for v, w in zip(first, again, strict=True))
    assert not all(np.array_equal(v, w) for v, w in zip(first, other, strict=True))


def test_cells_keep_half_of_their_length_and_radii_half_of_themselves():
    for mu in MEASURES[2:6]:
        for v in random_displacements(mu, 50.0, np.random.default_rng(0)):
            for t in (-1.0, 1.0):
                moved = mu.displaced(t * v)
                # to rounding of the edges
                assert (np.diff(moved.edges) >= 0.5 * np.diff(mu.edges) - 1e-14).all()
                assert moved.edges[0] >= 0.5 * mu.edges[0] or mu.kind == "quantiles"


def test_no_simplex_turns_over():
    for v in random_displacements(SQUARE, 50.0, np.random.default_rng(0)):
        for t in np.linspace(-1, 1, 9):
            moved = SQUARE.displaced(t * v)
            corners = moved.nodes[SQUARE.simplices]
            areas = np.linalg.det(corners[:, 1:] - corners[:, :1])
            assert (areas > 0).all()


@pytest.mark.parametrize("mu", [MEASURES[0], SQUARE, MEASURES[6]], ids=repr)
def test_monotone_fields_are_gradients_of_convex_functions(mu):
    """⟨T(x) − T(y), x − y⟩ ≥ ½|x − y|², T = id + v, and v is linear with a symmetric matrix."""
    x = mu.points
    for v in monotone_displacements(mu, 0.6, np.random.default_rng(4)):
        assert 0 < size(v, mu) <= 0.6 * (1 + 1e-12)
        design = np.hstack([x, np.ones((len(x), 1))])
        A = np.linalg.lstsq(design, v, rcond=None)[0]
        np.testing.assert_allclose(design @ A, v, atol=1e-12)  # rounding
        np.testing.assert_allclose(A[:-1], A[:-1].T, atol=1e-12)
        assert np.abs(np.linalg.eigvalsh(A[:-1])).max() <= 0.5 + 1e-12


def test_companions_are_laws_on_moved_points():
    mu = jf.Particles(np.arange(40.0)[:, None])
    fields = random_displacements(mu, 0.5, np.random.default_rng(1))[:3]
    companions = random_companions(mu, fields, np.random.default_rng(2))
    assert len(companions) == 3
    for nu, v in zip(companions, fields, strict=True):
        y, u = nu.points(), nu.weights
        assert len(y) == 16 and (u > 0).all() and u.sum() == pytest.approx(1.0, abs=1e-14)
        halfway = {round(float(z), 12) for z in (mu.points + 0.5 * v)[:, 0]}
        assert {round(float(z), 12) for z in y[:, 0]} <= halfway and len(set(y[:, 0])) == 16
        assert set(nu.points(0.0)[:, 0]) <= set(mu.points[:, 0])
        np.testing.assert_allclose(nu.points(0.25), 0.75 * nu.points(0.0) + 0.25 * y, rtol=1e-15)


def test_companions_leave_out_points_that_hardly_weigh():
    w = np.array([1.0, 1e-3, 1.1e-3, 1.8e-4, 1e-9])
    mu = jf.Particles(np.arange(5.0)[:, None], w / w.sum())
    for nu in random_companions(mu, [np.zeros((5, 1))] * 9, np.random.default_rng(2)):
        assert sorted(nu.points()[:, 0]) == [0.0, 1.0, 2.0]


def test_radii_that_are_all_zero_can_only_be_moved_outwards():
    mu = jf.Radial(np.zeros(6), 4)
    for v in random_displacements(mu, 0.5, np.random.default_rng(2)):
        assert 0.0 < np.sqrt(mu.weights @ v[:, 0] ** 2) <= 0.5 * (1 + 1e-12)  # rounding
        assert mu.displaced(v).edges[-1] > 0.0
