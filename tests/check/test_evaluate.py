"""What rounding does to a functional, measured: against what it is known to do to |x|²."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run, check_step, policy
from jkoflow.check.around import breadth
from jkoflow.check.evaluate import (
    Noise,
    Rows,
    evaluate,
    gradients,
    norm,
    nudged,
    real,
    stack,
    values_only,
)  # fmt: skip
from jkoflow.measures.many import Laws
from jkoflow.status import InvalidFunctional

EPS = 2.0**-52
X = np.array([[0.3, -2.0], [1.7, 0.11], [-0.6, 5.0]])
W = np.array([0.2, 0.3, 0.5])
CLOUD = jf.Particles(X, W)


def test_the_norm_is_that_of_square_integrable_fields() -> None:
    assert norm(np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([0.25, 0.75])) == np.sqrt(7.0)


@pytest.mark.parametrize("mu", [CLOUD, jf.Quantiles([0.0, 0.4, 1.0, 7.0])])
def test_a_nudge_is_one_unit_of_rounding_up_and_down_in_turn(mu: Any) -> None:
    x, y = mu.points, nudged(mu).points
    turns = np.where(np.add.outer(*map(np.arange, x.shape)) % 2 == 0, 1.0, -1.0)
    # displacing rounds once more, by half a unit
    np.testing.assert_allclose(y - x, turns * EPS * x, atol=0.51 * EPS * np.abs(x).max())
    assert (y != x)[x != 0].all()


def test_edges_that_a_nudge_would_exchange_stay_sorted() -> None:
    mu = jf.Quantiles([0.0, 1.0, 1.0 + EPS, 1.0 + 2 * EPS])
    assert (np.diff(nudged(mu).edges) >= 0).all()  # type: ignore[attr-defined]


@pytest.mark.parametrize("a", [0.7, 1e6, 1e-6])
def test_the_errors_of_a_quadratic_are_known(a: float) -> None:
    """F = a|x|²/2: its terms sum to ½a∫|x|², w|x||∇F| to a∫|x|², and a nudge moves the gradient
    by aε|x|: 64ε(³⁄₂)a∫|x|² plus four times what F moves by, and 8aε‖x‖."""
    here = evaluate(jf.QuadraticPotential(a), CLOUD)
    second = float(W @ (X * X).sum(axis=1))
    assert here.energy == pytest.approx(0.5 * a * second, rel=1e-15, abs=0)
    assert here.size == pytest.approx(a * np.sqrt(second), rel=1e-15, abs=0)
    np.testing.assert_allclose(here.gradient, a * X, rtol=1e-15)
    turns = np.where(np.arange(6) % 2 == 0, 1.0, -1.0).reshape(3, 2)
    moved = a * abs(float(W @ (turns * EPS * X * X).sum(axis=1)))
    # the energy itself rounds by some ε ½a∫|x|² in the difference
    assert here.margin == pytest.approx(64 * EPS * 1.5 * a * second + 4 * moved,
                                        abs=8 * EPS * a * second)  # fmt: skip
    assert 0.5 <= here.blur / (8 * EPS * a * np.sqrt(second)) <= 1.5  # a nudge rounds, too


def test_parts_that_cancel_leave_their_rounding() -> None:
    V = jf.Potential(lambda x: 3.0 + x[:, 0], gradient=lambda x: np.eye(2)[:1].repeat(len(x), 0))
    both = evaluate(V + -1.0 * V, CLOUD)
    alone = evaluate(V, CLOUD)
    assert both.energy == 0.0
    assert both.margin >= 2 * 64 * EPS * abs(alone.energy)
    twice = evaluate(2.5 * V, CLOUD)  # and units of energy are no matter
    assert twice.margin == pytest.approx(2.5 * alone.margin, rel=0.1, abs=0)


def test_internal_parts_count_beside_smooth_ones() -> None:
    mu = jf.Quantiles.normal(0.0, 1.0, 20)
    V, H = jf.QuadraticPotential(1.0), jf.Entropy()
    parts = [evaluate(F, mu) for F in (V, H, V + H)]
    assert parts[2].size == pytest.approx(parts[0].size + parts[1].size, rel=1e-14, abs=0)
    np.testing.assert_allclose(parts[2].gradient, parts[0].gradient + parts[1].gradient)
    assert parts[2].energy == pytest.approx(parts[0].energy + parts[1].energy, rel=1e-14, abs=0)
    assert [len(gradients(F, mu)) for F in (V, H, V + H)] == [1, 1, 2]


@pytest.mark.parametrize("F", [
    jf.QuadraticPotential(1.3), jf.Entropy() + jf.QuadraticPotential(0.4),
    jf.PowerEnergy(2.0) + jf.QuadraticInteraction(2.0),
])  # fmt: skip
def test_many_measures_are_looked_at_as_one_is(F: Any) -> None:
    """`stack` and `evaluate` are two ways to the same numbers and errors."""
    mu = jf.Quantiles.normal(0.3, 0.8, 12)
    laws = Laws([mu.with_edges(c * mu.edges) for c in (0.5, 2.0, 1.0)])
    many = stack(F, laws)
    for k, nu in enumerate(laws.measures):
        one = evaluate(F, nu)
        assert many.rows.energy[k] == pytest.approx(one.energy, rel=1e-13, abs=0)
        np.testing.assert_allclose(many.gradient[k], one.gradient, rtol=1e-12, atol=1e-13)
        assert many.size[k] == pytest.approx(one.size, rel=1e-13, abs=0)
        assert many.rows.slope[k] == pytest.approx(norm(one.gradient, nu.weights), rel=1e-12, abs=0)
        assert many.rows.extent[k] == pytest.approx(norm(nu.points, nu.weights), rel=1e-14, abs=0)
    # measured at the last of them; the energy's parts are summed in another order, and
    # Σw|x·∇S| ≤ ‖x‖‖∇S‖: equal here up to a factor
    last = evaluate(F, laws.measures[-1])
    assert 0.3 < many.rows.margin[-1] / last.margin < 3.0
    assert 0.3 < many.rows.blur[-1] / last.blur < 3.0
    # and carried on to the others relative to the sizes of their parts
    for k, nu in enumerate(laws.measures):
        assert 0.05 < many.rows.margin[k] / evaluate(F, nu).margin < 20.0
    noise = many.noise
    again = stack(F, laws, Noise(3.0 * noise.energy, 5.0 * noise.gradient, noise.parts))
    none = stack(F, laws, Noise(0.0, 0.0, noise.parts)).rows.margin
    np.testing.assert_allclose(again.rows.margin - none, 3.0 * (many.rows.margin - none), rtol=1e-9)
    np.testing.assert_allclose(again.rows.blur, 5.0 * many.rows.blur, rtol=1e-14)


def test_rounding_is_carried_on_to_smaller_parts_in_proportion_to_larger_ones_as_it_is() -> None:
    """Where parts vanish rounding is all of them, and says nothing of parts that do not; of the
    energy 64ε of the parts comes on top."""
    F, edges = jf.QuadraticPotential(1.0), np.array([1.0, 2.0, 4.0])
    laws = Laws([jf.Quantiles(c * edges) for c in (0.5, 1.0, 2.0)])
    size = stack(F, laws).size
    scale = 1.5 * size**2  # ½∫x² + ‖x‖‖∇F‖
    rows = stack(F, laws, Noise(3.0, 5.0, (scale[1], size[1]))).rows
    np.testing.assert_allclose(rows.blur, 5.0 * np.minimum(size / size[1], 1.0), rtol=1e-14)
    np.testing.assert_allclose(rows.margin, 3.0 * np.minimum(scale / scale[1], 1.0), rtol=1e-12)
    rows = stack(F, laws, Noise(3.0, 5.0, (0.0, 0.0))).rows  # there were none: it is the rounding
    np.testing.assert_array_equal(rows.blur, 5.0)
    np.testing.assert_allclose(rows.margin, 3.0, rtol=1e-12)


@pytest.mark.parametrize("at", [jf.Gaussian([1.5, -0.7], 1e-40 * np.eye(2)), jf.Particles([1.5])])
def test_where_the_gradient_vanishes_it_is_known_to_what_a_nudge_shows(at: Any) -> None:
    """L(x − c) is 0 at c, and Lε|c| a unit of rounding away; one that jumps there has a kink, of
    which a nudge says nothing about rounding."""
    L, c = 1e5, at.mean()
    smooth = jf.Potential(lambda x: 0.5 * L * ((x - c) ** 2).sum(axis=1),
                          gradient=lambda x: L * (x - c))  # fmt: skip
    noise = Noise.at(smooth, at)
    assert noise.parts[1] == 0.0
    assert 2.0 < noise.gradient / (L * EPS * np.linalg.norm(c)) < 32.0
    kinked = jf.Potential(lambda x: np.abs(x - c).sum(axis=1), gradient=lambda x: np.sign(x - c))
    assert Noise.at(kinked, at).gradient == 0.0


def test_every_other_point_of_a_gaussian_is_nudged_by_two_units() -> None:
    """Powers of two, where that is exact."""
    x = np.array([[1.0, 2.0], [0.5, 4.0], [-2.0, 8.0], [1.0, 1.0]])
    mu: Any = SimpleNamespace(points=x, kind="gaussian", displaced=lambda v: v)
    turns = [[2.0, -2.0], [0.0, 0.0], [2.0, -2.0], [0.0, 0.0]]
    np.testing.assert_array_equal(nudged(mu), EPS * x * turns)


@pytest.mark.parametrize("std", [1e-3, 1e-9, 1e-13])
def test_the_mean_of_a_gaussian_is_nudged_however_narrow_it_is(std: float) -> None:
    """All points of its cubature agree in their first digits; ∇F = x − c cancels those, and is
    known to the rounding of x."""
    F = jf.Potential(lambda x: 0.5 * ((x - 1.4) ** 2).sum(axis=1), gradient=lambda x: x - 1.4)
    thin = jf.Gaussian([1.5, 1.5], std**2 * np.eye(2))
    for blur in (evaluate(F, thin).blur, stack(F, Laws([thin])).rows.blur[0]):
        assert 8 * EPS < blur < 8 * 8 * EPS


def test_noise_of_a_quadratic_is_relative_to_its_parts() -> None:
    """What a nudge changes of ½a∫|x|²; and 8ε of ‖ax‖."""
    noise = Noise.at(jf.QuadraticPotential(2.0), CLOUD)
    second = W @ (X * X).sum(axis=1)
    turns = np.where(np.arange(6) % 2 == 0, 1.0, -1.0).reshape(3, 2)
    moved = 2.0 * abs(W @ (turns * EPS * X * X).sum(axis=1))
    assert noise.energy == pytest.approx(4 * moved, abs=8 * EPS * 1.5 * 2.0 * second)
    assert noise.parts == pytest.approx((1.5 * 2.0 * second, 2.0 * np.sqrt(second)))
    assert 0.5 <= noise.gradient / (8 * EPS * noise.parts[1]) <= 1.5


def test_answers_rougher_than_they_say_are_known_to_what_a_nudge_changes() -> None:
    """Four times the energy's change and eight times the gradient's; 64ε is of no account here."""
    steep, at = 1e9, jf.Particles([1.5])
    F = jf.Potential(lambda x: steep * (x[:, 0] - 1.5), gradient=lambda x: 1.0 + steep * (x - 1.5))
    moved = abs(float(nudged(at).points[0, 0]) - 1.5) * steep
    here = evaluate(F, at)
    assert moved > 1e-7 and (here.energy, here.size) == (0.0, 1.0)
    assert here.margin == pytest.approx(4.0 * moved, rel=1e-6, abs=0)
    assert here.blur == pytest.approx(8.0 * moved, rel=1e-6, abs=0)
    noise = Noise.at(F, at)
    assert noise.parts == (1.5, 1.0)  # |x||∇δF| and |∇δF|
    assert noise.energy == pytest.approx(4.0 * moved, rel=1e-6, abs=0)
    assert noise.gradient == pytest.approx(8.0 * moved, rel=1e-6, abs=0)


@pytest.mark.parametrize("unit", [0.25, 30.0])
def test_differences_are_taken_again_over_four_times_the_length(unit: float) -> None:
    """Those of x³ over h are 3x² + h²: over 4h they differ by 15h², and h = ε^⅓ unit."""
    x = 0.4 * unit
    F, at = jf.Potential(lambda x: x[:, 0] ** 3).at_scale(unit), jf.Particles([x])
    true = 8.0 * 15.0 * (np.cbrt(EPS) * unit) ** 2
    here, noise = evaluate(F, at), Noise.at(F, at)
    # the differences themselves round by ε x³/h, 1/200 of 15h²
    assert here.blur == pytest.approx(true, rel=0.1, abs=0)
    assert noise.gradient == pytest.approx(true, rel=0.1, abs=0)


def test_a_measure_shows_its_own_length() -> None:
    """No unit is known besides, until a run tells one."""
    small = jf.Particles([0.0, 2e-7])
    assert breadth(evaluate(jf.QuadraticPotential(1.0), small)) == pytest.approx(1e-7, rel=1e-12)


def test_nothing_makes_no_noise() -> None:
    zero = jf.Particles(np.zeros((2, 1)))
    assert Noise.at(jf.QuadraticPotential(1.0), zero) == (0.0, 0.0, (0.0, 0.0))


class Edge(jf.QuadraticPotential):
    """Finite up to |x| = 1 exactly, and not beyond."""

    def value_at_points(self, x: Any, w: Any) -> float:
        return float(super().value_at_points(x, w)) if (np.abs(x) <= 1.0).all() else np.inf

    def value_and_gradient_at_points(self, x: Any, w: Any) -> Any:
        return self.value_at_points(x, w), self.strength * x


def test_at_the_edge_of_its_domain_a_functional_is_known_to_nothing() -> None:
    at = jf.Particles([1.0, 0.25])
    here = evaluate(Edge(1.0), at)
    assert here.energy == pytest.approx(0.5 * (1 + 0.0625) / 2) and here.margin == np.inf
    assert Noise.at(Edge(1.0), at).energy == np.inf
    report = check_step(Edge(1.0), jf.Particles([2.0, 0.5]).displaced([[-1.0], [0.0]]), at, 1.0)
    assert report.verdict is not Verdict.ACCEPTED


@pytest.mark.parametrize("value", [1j, np.ones(1), np.array([[1.0]]), np.nan, np.inf, -np.inf])
def test_an_energy_is_one_real_number(value: Any) -> None:
    with pytest.raises(InvalidFunctional):
        real(value)


def test_numbers_of_any_type_are_numbers() -> None:
    assert [real(v) for v in (2, 2.0, np.float32(2.0), np.array(2.0))] == [2.0] * 4


@pytest.mark.parametrize("answer", [
    lambda x: x[:1], lambda x: x[:, 0], lambda x: x + 0j, lambda x: x * np.nan, lambda x: x / 0,
])  # fmt: skip
def test_a_gradient_is_a_finite_vector_for_every_point(answer: Any) -> None:
    part = SimpleNamespace(terms=[None], gradient=lambda mu: answer(mu.points))
    none = SimpleNamespace(terms=[])
    for smooth, internal in ((part, none), (none, part)):
        F: Any = SimpleNamespace(smooth=smooth, internal=internal)
        with np.errstate(all="ignore"), pytest.raises(InvalidFunctional):
            gradients(F, CLOUD)


def test_without_parts_there_is_no_force() -> None:
    nothing = jf.QuadraticPotential(1.0).internal
    assert [g.tolist() for g in gradients(nothing, CLOUD)] == [np.zeros((3, 2)).tolist()]


class Mine(jf.PowerEnergy):
    """What a user's internal energy is: known by its values, and no kind of which more is known."""


def test_values_belong_to_gradients_but_for_users_densities_of_gaussians() -> None:
    normal, line = jf.Gaussian(0.0, 1.0), jf.Quantiles([0.0, 1.0])
    for exact in (jf.Entropy() + jf.QuadraticPotential(1.0), jf.PowerEnergy(2.0) + jf.Entropy()):
        assert evaluate(exact, normal).exact is True
    assert evaluate(Mine(2.0) + jf.Entropy(), normal).exact is False
    assert evaluate(Mine(2.0), line).exact is True


@pytest.mark.parametrize("d", [2, 5])
@pytest.mark.parametrize("m", [0.95, 3.0])
def test_runs_of_powers_on_gaussians_are_accepted_in_every_dimension(d: int, m: float) -> None:
    """Their forces are the derivatives of their values; cubature of ∇ρ^(m−1) is no such thing."""
    A = np.random.default_rng(d).normal(size=(d, d))
    F = 1.3 * jf.PowerEnergy(m) + jf.QuadraticPotential(0.7)
    problem = jf.Problem(F, jf.Gaussian(np.arange(d) / d, A @ A.T + np.eye(d)), tau=0.1, steps=3)
    report = check_run(problem, jf.flow(problem))
    assert report.verdict is Verdict.ACCEPTED, report


def test_rows_of_the_measures_one_step_before() -> None:
    rows = lambda k: Rows(*(np.array([10.0 * j + i for i in k]) for j in range(5)))  # noqa: E731
    shifted = rows([0, 1]).before(rows([2, 3, 4]))
    for a, b in zip(shifted, rows([1, 2, 3]), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(rows([0, 1, 2]).last(), rows([2]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_densities_on_a_grid_round_like_the_sum_of_their_terms() -> None:
    grid = jf.Grid(np.array([1.0, 3.0]) / 2.0, 0.0, 1.0)
    F = jf.PowerEnergy(2.0) + -2.0 * jf.QuadraticPotential(1.0)
    found = values_only(F, Laws([grid, grid]))
    parts = [jf.PowerEnergy(2.0).value(grid), 2.0 * jf.QuadraticPotential(1.0).value(grid)]
    assert found.rows.energy == pytest.approx([parts[0] - parts[1]] * 2, rel=1e-15, abs=0)
    margin = 64 * EPS * (parts[0] + parts[1])
    assert found.rows.margin == pytest.approx([margin] * 2, rel=1e-12, abs=0)
    for name in ("slope", "blur", "extent"):
        assert getattr(found.rows, name).tolist() == [0.0, 0.0]
    assert found.size.tolist() == [0.0, 0.0] and found.noise == (0.0, 0.0, (0.0, 0.0))
    assert stack(F, Laws([grid])).rows.energy[0] == found.rows.energy[0]


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_points_are_not_nudged_all_together(d: int) -> None:
    """What sees differences of points only would show no rounding."""
    mu = jf.Particles(np.ones((5, d)))
    moved = nudged(mu).points - mu.points
    assert (np.abs(moved) <= policy.EPS).all() and moved.any()
    assert (np.ptp(moved, axis=0) > 0.0).all()
    cloud = jf.Particles(np.full((7, d), 1.3534659406478058), np.arange(1.0, 8.0) / 28.0)
    report = jf.check_functional(jf.QuadraticInteraction(0.025), cloud, rng=0)
    assert report["gradient"].verdict is not jf.Verdict.REJECTED, report.text()
