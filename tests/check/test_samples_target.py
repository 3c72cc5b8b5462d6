"""ρ* of a functional: its score and its points, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check.samples import target as samples_target
from jkoflow.check.samples.grid import grid_law
from jkoflow.check.samples.modes import mode_mass_p_value
from jkoflow.check.samples.target import split, target_of
from jkoflow.status import InvalidFunctional

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))


def test_score_of_a_potential():
    F = 2.0 * jf.QuadraticPotential(1.5, center=[1.0, 0.0, 0.0]) + jf.Entropy() / 4.0
    np.testing.assert_allclose(target_of(F, X, None).score, -12.0 * (X - [1.0, 0.0, 0.0]))


def test_score_of_a_log_density():
    F = jf.KullbackLeibler(lambda x: -(x**4).sum(axis=1))
    # central differences: 1e-10 relative to the size of x⁴
    np.testing.assert_allclose(target_of(F, X, None).score, -4 * X**3, rtol=1e-7, atol=1e-7)


def test_score_of_an_interaction_at_the_sample_itself():
    F = jf.QuadraticInteraction(3.0) + jf.QuadraticPotential(1.0) + jf.Entropy() / 2.0
    target = target_of(F, X, None)
    np.testing.assert_allclose(target.score, -2.0 * (X + 3.0 * (X - X.mean(axis=0))))
    assert any("proximal Gibbs" in a for a in target.assumptions)


@pytest.mark.parametrize("kind", ["quadratic", "by hand"])
def test_score_of_an_interaction_at_a_reference(kind):
    """Both ways to a gradient at points without mass."""
    W = jf.QuadraticInteraction(3.0)
    if kind == "by hand":
        W = jf.Interaction(lambda z: 1.5 * (z**2).sum(axis=1), lambda z: 3.0 * z)
    F = W + jf.QuadraticPotential(1.0) + jf.Entropy() / 2.0
    mean = np.array([1.0, -2.0, 0.5])
    target = target_of(F, X, jf.Gaussian(mean, np.eye(3)))
    np.testing.assert_allclose(target.score, -2.0 * (X + 3.0 * (X - mean)), rtol=1e-9, atol=1e-9)
    assert any("given reference law" in a for a in target.assumptions)


def test_score_of_one_s_own_functional_at_a_reference():
    @jf.functional
    def spread(x, w):
        return float(w @ ((x - w @ x) ** 2).sum(axis=1))

    F = spread + jf.Entropy()
    y = np.array([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    target = target_of(F, X[:4], y)
    # differences of mixtures, 1e-5 apart, in steps of 3e-4: about 1e-6
    np.testing.assert_allclose(target.score, -2.0 * (X[:4] - y.mean(axis=0)), atol=1e-4)


def test_score_of_a_radial_law_points_outwards():
    F = jf.Potential(lambda r: 0.25 * r[:, 0] ** 4, lambda r: r**3) + jf.Entropy() / 2.0
    target = target_of(F, X, jf.Radial.normal(1.0, 3, 50))
    r = np.linalg.norm(X, axis=1)[:, None]
    np.testing.assert_allclose(target.score, -2.0 * r**2 * X)
    assert target.draw(20, RNG).shape == (20, 3)


@pytest.mark.parametrize("dim", [2, 3])
def test_score_of_a_radial_law_at_the_origin_is_zero(dim):
    F = jf.Potential(lambda r: r[:, 0], np.ones_like) + jf.Entropy()
    x = np.vstack([np.zeros(dim), X[:5, :dim]])
    target = target_of(F, x, jf.Radial.normal(1.0, dim, 50))
    r = np.linalg.norm(x[1:], axis=1)[:, None]
    np.testing.assert_allclose(target.score, np.vstack([np.zeros(dim), -x[1:] / r]))


def test_a_law_of_many_points_is_looked_at_from_one_end_to_the_other():
    law = jf.Particles(np.arange(5000.0))
    local = samples_target._Local(jf.QuadraticInteraction(1.0).smooth, 1.0, law, 1)
    some = local.about().law.points[:, 0]
    assert len(some) == samples_target._FEW and (some[0], some[-1]) == (0.0, 4999.0)
    few = jf.Particles(np.arange(5.0))
    local = samples_target._Local(jf.QuadraticInteraction(1.0).smooth, 1.0, few, 1)
    assert local.about() is local


def test_references_are_functions_laws_or_both():
    law, score = jf.Particles(X), lambda x: -x
    assert samples_target.parts_of(score, 3) == (score, None)
    assert samples_target.parts_of(law, 3) == (None, law)
    assert samples_target.parts_of((score, law), 3) == (score, law)
    assert samples_target.parts_of(None, 3) == (None, None)


def test_a_given_score_is_used():
    F = jf.QuadraticPotential(1.0) + jf.Entropy()
    y = RNG.normal(size=(50, 3))
    target = target_of(F, X, (lambda x: -7.0 * x, y))
    np.testing.assert_allclose(target.score, -7.0 * X)
    assert {tuple(p) for p in target.draw(50, RNG)} == {tuple(p) for p in y}


def test_split_adds_up_entropies():
    assert split(jf.Entropy() / 4 + jf.Entropy() / 4 + jf.QuadraticPotential(1.0))[1] == 2.0


def test_grid_law_on_the_line_is_the_law():
    """Moments of exp(−3(x²−1)²), by quadrature, within sampling error."""
    t = np.linspace(-4, 4, 20001)
    w = np.exp(-3 * (t**2 - 1) ** 2)
    exact = (w @ t**2) / w.sum()
    # a sample on one side only: the other mode is found
    law = grid_law(lambda x: -3 * (x[:, 0] ** 2 - 1) ** 2, np.full((9, 1), 1.0), cheap=True)
    assert law is not None
    y = law.draw(200_000, np.random.default_rng(1))[:, 0]
    assert abs((y**2).mean() - exact) < 4 * (y**2).std() / 200_000**0.5
    assert abs((y > 0).mean() - 0.5) < 4 * 0.5 / 200_000**0.5


def test_grid_law_in_the_plane_is_the_law():
    """A banana: x₂ given x₁ is N(x₁², 1/4), x₁ is N(0, 1)."""
    f = lambda x: -0.5 * x[:, 0] ** 2 - 2.0 * (x[:, 1] - x[:, 0] ** 2) ** 2  # noqa: E731
    law = grid_law(f, np.random.default_rng(2).normal(size=(40, 2)), cheap=True)
    assert law is not None
    y = law.draw(100_000, np.random.default_rng(3))
    rest = y[:, 1] - y[:, 0] ** 2
    for value, exact in ((y[:, 0], 0.0), (y[:, 0] ** 2, 1.0), (rest, 0.0), (rest**2, 0.25)):
        # half a percent of bias from cells, at most, besides four standard errors
        assert abs(value.mean() - exact) < 4 * value.std() / 100_000**0.5 + 0.005


@pytest.mark.parametrize(
    "f", [lambda x: 0.0 * x[:, 0], lambda x: -0.5 * np.log1p(x[:, 0] ** 2)], ids=["flat", "Cauchy"]
)
def test_grid_law_gives_up_where_the_density_does_not_decay(f):
    assert grid_law(f, np.zeros((5, 1)), cheap=True) is None


TAILS = {
    "normal": (lambda x: -0.5 * (x**2).sum(axis=1), lambda r, d: r.normal(size=(400, d))),
    "t(5)": (lambda x: -0.5 * (5 + x.shape[1]) * np.log1p((x**2).sum(axis=1) / 5),
             lambda r, d: r.normal(size=(400, d)) / np.sqrt(r.chisquare(5, size=(400, 1)) / 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
@pytest.mark.parametrize("dim", [1, 2])
def test_the_mass_below_the_lowest_of_n_points_is_one_over_n(name, dim):
    """Exactly: ρ*{f ≤ f(x)} is uniform in [0, 1] for x from ρ*, and n times the least of n is
    exponential, mean and standard deviation 1."""
    f, sample = TAILS[name]
    found = []
    for seed in range(60):
        x = sample(np.random.default_rng(seed), dim)
        law = grid_law(f, x, cheap=dim == 1)
        found.append(400 * law.tail(f(x).min()))
    assert abs(np.mean(found) - 1.0) < 4 / 60**0.5
    assert np.max(found) > 1.0 > np.min(found)


def test_no_grid_above_the_plane():
    F = jf.QuadraticPotential(1.0) + jf.Entropy()
    assert target_of(F, X, None).draw is None
    assert target_of(F, X[:, :2], None).draw is not None


def three_modes(dim, counts, rng):
    """N(a_k, I) of masses 1/2, 1/4, 1/4, with given counts of points."""
    a = np.zeros((3, dim))
    a[0, 0], a[1, 1], a[2, 2] = 7.0, 7.0, 7.0
    log_mass = np.log([0.5, 0.25, 0.25])

    def parts(x):
        square = ((x[:, None] - a) ** 2).sum(axis=2)
        return log_mass - 0.5 * square

    def f(x):
        return np.logaddexp.reduce(parts(x), axis=1)

    def force(x):
        p = parts(x)
        share = np.exp(p - np.logaddexp.reduce(p, axis=1)[:, None])
        return share @ a - x

    x = np.concatenate([a[k] + rng.normal(size=(c, dim)) for k, c in enumerate(counts)])
    return f, force, rng.permutation(x)


@pytest.mark.parametrize("dim", [3, 20])
def test_masses_of_modes_without_a_reference(dim):
    rng = np.random.default_rng(dim)
    p = []
    for _ in range(60):
        counts = rng.multinomial(400, [0.5, 0.25, 0.25])
        p.append(mode_mass_p_value(*three_modes(dim, counts, rng), 1.0, rng))
    # uniform: mean ½ with standard error 0.29/√60 = 0.037
    assert abs(np.mean(p) - 0.5) < 4 * 0.037
    assert mode_mass_p_value(*three_modes(dim, [133, 133, 134], rng), 1.0, rng) < 1e-3


def test_one_mode_has_no_masses():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(300, 4))
    f = lambda x: -0.5 * (x**2).sum(axis=1)  # noqa: E731
    assert mode_mass_p_value(f, lambda x: -x, x, 1.0, rng) is None


def test_a_density_may_vanish_beyond_a_wall_but_not_be_infinite():
    x = np.array([[1.0], [2.0]])

    def half(sign):
        wall = lambda x: np.where(x[:, 0] > 0, x[:, 0], sign * np.inf)  # noqa: E731
        S = jf.Potential(wall, np.ones_like) + 2.0 * jf.QuadraticPotential(1.0)
        return S + jf.Entropy() / 3.0

    target = target_of(half(1.0), x, None)
    at = np.array([[-1.0], [1.0], [2.0]])
    np.testing.assert_allclose(target.log_density(at), [-np.inf, -6.0, -18.0])
    assert target.anywhere is not None
    ratio = target.anywhere[1]
    assert ratio(at[1:2], at[2:3]) == [-12.0] and ratio(at[1:2], at[:1]) == [-np.inf]
    with pytest.raises(InvalidFunctional, match="NaN or −∞"):
        target_of(half(-1.0), np.array([[1.0, 1.0, 1.0]]), None).log_density(np.array([[-1.0] * 3]))


def test_paths_may_go_where_forces_do_not_depend_on_the_sample():
    linear = jf.QuadraticPotential(1.0) + jf.Entropy()
    assert target_of(linear, X, None).anywhere is not None
    assert target_of(linear + jf.QuadraticInteraction(1.0), X, None).anywhere is None
    score, ratio = target_of(linear, X, lambda x: -5.0 * x).anywhere
    np.testing.assert_allclose(score(X + 1), -5.0 * (X + 1))
    np.testing.assert_allclose(ratio(X, 2.0 * X), -7.5 * (X**2).sum(axis=1))


def test_what_depends_on_the_sample_is_said_and_known_where_it_does():
    linear = jf.QuadraticPotential(1.0) + jf.Entropy()
    law, words = jf.Particles(X[::-1]), (samples_target.OWN, samples_target.GIVEN)
    for F, reference, said, follows in (
        (linear, None, None, False),
        (linear, law, None, False),
        (linear + jf.QuadraticInteraction(1.0), None, samples_target.OWN, True),
        (linear + jf.QuadraticInteraction(1.0), law, samples_target.GIVEN, False),
        (linear + jf.QuadraticInteraction(1.0), lambda x: -x, None, False),
    ):
        target = target_of(F, X, reference)
        assert [w for w in target.assumptions if w in words] == ([said] if said else [])
        assert (target.weighted is not None) is follows
