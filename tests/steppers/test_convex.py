"""ConvexProgram: an oracle for Newton, non-smooth energies, constraints, statuses."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

import jkoflow as jf
from jkoflow.measures.profiles import barenblatt
from jkoflow.status import InvalidFunctional, NotDefined, Status
from jkoflow.steppers import ConvexProgram, QuantileNewton
from jkoflow.steppers.convex.stepper import ConvexExpression
from jkoflow.transport.one_dimensional import lumped_distance_squared


def one_step(F, mu, tau, stepper=None):
    return (stepper or ConvexProgram()).step(F, mu, tau, {}, np.random.default_rng(0))


def quartic_potential():
    return jf.Potential(
        lambda x: x[:, 0] ** 4 / 4,
        gradient=lambda x: x**3,
        hessian=lambda x: 3 * x[:, :, None] ** 2,
    )


def quartic_expression():
    return ConvexExpression(lambda x, w: w @ cp.power(x[:, 0], 4) / 4)


CASES = {
    "Fokker–Planck": (
        jf.Quantiles.normal(0.3, 0.5, 40),
        jf.Entropy() + jf.QuadraticPotential(1.0, [0.2]),
    ),
    "porous medium": (barenblatt(2.0, 1.0, 40), jf.PowerEnergy(2.0, 0.6)),
    "attraction": (
        barenblatt(3.0, 1.0, 30),
        jf.PowerEnergy(3.0, 0.3) + jf.QuadraticInteraction(2.0),
    ),
    "repulsion": (
        barenblatt(2.0, 1.0, 30),
        jf.PowerEnergy(2.0) + jf.QuadraticInteraction(-0.4),
    ),
    "fast diffusion": (jf.Quantiles.normal(0.0, 1.0, 30, "cosine"), jf.PowerEnergy(0.7)),
    "no internal energy": (jf.Quantiles([0.0, 1.0, 2.0]), jf.QuadraticPotential(1.0)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("tau", [0.1, 1.5])
def test_newton_and_the_cone_solver_find_the_same_minimum(name, tau):
    mu, F = CASES[name]
    oracle = one_step(F, mu, tau)
    newton = one_step(F, mu, tau, QuantileNewton())
    assert oracle.status is newton.status is Status.CONVERGED
    values = [
        F.value(out.measure) + lumped_distance_squared(out.measure, mu) / (2 * tau)
        for out in (oracle, newton)
    ]
    gap = values[0] - values[1]
    # Clarabel aims at a relative gap of 1e-10 and may stop at 1e-8; Newton is at rounding
    assert -1e-12 < gap < 1e-7 * (1 + abs(values[1]))
    assert agree(oracle.measure, newton.measure, gap, 1 / tau + min(0.0, F.convexity or 0.0))


def agree(found, best, gap, modulus):
    """A gap bounds the distance to the minimiser of a strongly convex objective."""
    return lumped_distance_squared(found, best) <= 2 / modulus * (gap + 1e-12)


@pytest.mark.parametrize("tau", [0.1, 1.5])
def test_expressions_stand_in_for_potentials(tau):
    mu = jf.Quantiles.normal(0.2, 1.0, 30, "cosine")
    oracle = one_step(jf.Entropy() / 2 + 2 * quartic_expression(), mu, tau)
    newton = one_step(jf.Entropy() / 2 + 2 * quartic_potential(), mu, tau, QuantileNewton())
    # a gap of 1e-8, as above
    assert oracle.status is Status.CONVERGED
    assert agree(oracle.measure, newton.measure, 1e-7, 1 / tau)


def test_an_expression_is_a_functional_like_any_other():
    x = np.random.default_rng(0).normal(size=(9, 1))
    mu, F, V = jf.Particles(x), quartic_expression(), quartic_potential()
    assert F.value(mu) == pytest.approx(V.value(mu), rel=1e-13)
    np.testing.assert_allclose(F.gradient(mu), V.gradient(mu), atol=1e-12)
    at = np.linspace(-1, 1, 4)[:, None]
    difference = F.first_variation(mu, at) - V.first_variation(mu, at)
    # equal up to a constant; the expression's by differences, to about 1e-8
    np.testing.assert_allclose(difference, difference[0], atol=1e-7)
    assert F.spec()["name"] == "ConvexExpression"
    other = ConvexExpression(lambda x, w: w @ cp.power(x[:, 0], 4) / 3)
    assert F.spec() != other.spec()


def test_the_group_soft_threshold():
    """min |X|·w + |X−x|²/(2τ): each point shrinks by τ towards 0 and stops there."""
    rng = np.random.default_rng(1)
    x, tau = rng.normal(size=(30, 2)), 0.4
    out = one_step(ConvexExpression(lambda x, w: w @ cp.norm(x, axis=1)), jf.Particles(x), tau)
    r = np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(out.measure.points, x * np.maximum(1 - tau / r, 0), atol=1e-7)
    f, g = out.witness.arrays["f"], out.witness.arrays["g"]
    cost = ((out.measure.points[:, None] - x) ** 2).sum(axis=2)
    assert (cost - f[:, None] - g).min() > -1e-12
    assert out.distance_squared == pytest.approx(f.mean() + g.mean(), rel=1e-9)


def test_a_wall_is_a_constraint():
    F = ConvexExpression(lambda x, w: (w @ cp.sum(cp.square(x), axis=1) / 2, [x[:, 0] >= 0.2]))
    x, tau = np.array([[1.0, -1.0], [0.1, 3.0], [-2.0, 0.0]]), 0.5
    mu = jf.Particles(x)
    out = one_step(F, mu, tau)
    expected = x / (1 + tau)
    expected[:, 0] = np.maximum(expected[:, 0], 0.2)
    np.testing.assert_allclose(out.measure.points, expected, atol=1e-6)
    assert np.isfinite(F.value(out.measure)) and F.value(mu) == np.inf


def test_a_flow_through_cvxpy_compiles_once():
    stepper, F = ConvexProgram(), ConvexExpression(lambda x, w: w @ cp.abs(x)[:, 0])
    problem = jf.Problem(F, jf.Particles([2.0, -0.5, 0.1]), tau=[0.3, 0.2, 0.5])
    run = jf.flow(problem, stepper)
    np.testing.assert_allclose(run.final.points.ravel(), [1.0, 0.0, 0.0], atol=1e-7)
    assert len(stepper._programs) == 1
    assert stepper == ConvexProgram()  # what it remembers is no part of its value
    for _ in range(6):
        one_step(1.0 * F + jf.QuadraticPotential(1.0), problem.initial, 0.1, stepper)
    assert len(stepper._programs) <= 4


def test_a_step_does_not_depend_on_what_was_solved_before():
    """Else a resumed run, with a fresh stepper, would differ from an unbroken one in last bits."""
    start = jf.Particles(np.random.default_rng(2).normal(size=(5, 2)))
    problem = jf.Problem(jf.QuadraticPotential(1.0), start, tau=[0.05, 0.05, 0.1])
    used = ConvexProgram()
    first, second = jf.flow(problem, used), jf.flow(problem, used)
    np.testing.assert_array_equal(first.final.points, second.final.points)


def test_points_that_would_cross_are_paired_again():
    targets = np.array([[2.0, 0.0], [-2.0, 0.0]])
    F = ConvexExpression(lambda x, w: 40 * cp.sum_squares(x - targets))
    mu = jf.Particles([[0.0, 0.0], [1.0, 0.1]])
    out = one_step(F, mu, 1.0)
    assert out.status is Status.CONVERGED and out.stats["pairings"] > 1
    from jkoflow.transport import wasserstein_squared

    exact = wasserstein_squared(out.measure, mu)
    assert out.distance_squared == pytest.approx(exact, rel=1e-9)
    # each point, pulled to its target with 80 and to its partner with ½
    swapped = mu.points[::-1]
    np.testing.assert_allclose(out.measure.points, (80 * targets + swapped / 2) / 80.5, atol=1e-7)


def test_failures_are_statuses():
    mu = jf.Particles([[0.0], [1.0]])
    impossible = ConvexExpression(lambda x, w: (cp.sum(x), [x >= 1, x <= 0]))
    assert one_step(impossible, mu, 0.1).status is Status.INFEASIBLE
    assert one_step(jf.QuadraticPotential(-20.0), mu, 0.1).status is Status.UNBOUNDED
    F = quartic_expression() + jf.QuadraticPotential(-20.0)
    assert one_step(F, mu, 0.1).status is Status.NOT_CONVEX
    early = ConvexProgram(options={"max_iter": 2})
    out = one_step(quartic_expression(), mu, 0.1, early)
    assert out.status is Status.SOLVER_FAILED
    assert out.measure.points.shape == mu.points.shape


def test_bad_input_is_a_typed_error():
    mu = jf.Particles([[0.0], [1.0]])
    for build, message in [
        (lambda x, w: cp.sum(cp.sqrt(x)), "not convex"),
        (lambda x, w: x, "scalar"),
        (lambda x, w: 3.0, "scalar"),
    ]:
        with pytest.raises(InvalidFunctional, match=message):
            one_step(ConvexExpression(build), mu, 0.1)
    with pytest.raises(InvalidFunctional, match="build"):
        ConvexExpression("x")
    with pytest.raises(NotDefined, match="density"):
        one_step(jf.Entropy(), mu, 0.1)
    with pytest.raises(NotDefined, match="ConvexExpression"):
        one_step(quartic_potential(), mu, 0.1)
    with pytest.raises(NotDefined, match="Quantiles and Particles"):
        one_step(jf.Entropy(), jf.Gaussian(0.0, 1.0), 0.1)
    with pytest.raises(InvalidFunctional, match="coefficients"):
        one_step(-1.0 * quartic_expression(), mu, 0.1)
