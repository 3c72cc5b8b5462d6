"""flow_adaptive on grids: errors below the tolerance, times landed on, and where it ends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

import jkoflow as jf
from jkoflow.flows.adaptive.grid import GridPaths, Resolution, arriving, leaving, seen
from jkoflow.measures.profiles import barenblatt_speed
from jkoflow.record import Witness
from jkoflow.status import NotDefined, Status, StepFailed
from jkoflow.steppers import BackAndForth, ConvexProgram, EntropicScaling, SecondOrder

A, C, MEAN, STD = 2.0, 0.05, 0.2, 0.12
OU = C * jf.Entropy() + jf.QuadraticPotential(A)


def normal(mean, std, n, dim):
    """Cell averages on [−1, 1]^dim."""
    faces = np.linspace(-1.0, 1.0, n + 1)
    line = np.diff(ndtr((faces - mean) / std)) * n / 2
    rho = line if dim == 1 else np.multiply.outer(line, line)
    return jf.Grid(rho / rho.sum() * (n / 2) ** dim, [-1.0] * dim, [1.0] * dim)


def moments(mean, std, t, a=A, c=C):
    rest = c / a
    return mean * np.exp(-a * t), np.sqrt(rest + (std**2 - rest) * np.exp(-2 * a * t))


def off(rho, t, mean=MEAN, std=STD, a=A):
    """W2 between Gaussians of the two moments; a cell's own h²/12 is no part of the density's."""
    m, s = moments(mean, std, t, a)
    variance = np.diag(rho.cov()) - rho.spacing**2 / 12
    return float(np.sqrt(((rho.mean() - m) ** 2 + (np.sqrt(variance) - s) ** 2).sum()))


def worst(run, **law):
    return max(off(nu, t, **law) for nu, t in zip(run.measures, run.times, strict=True))


@pytest.mark.parametrize(
    ("stepper", "n", "tolerances"),
    [(None, 48, (2e-2, 5e-3)), (EntropicScaling(), 64, (1e-1, 3e-2))],
    ids=["back-and-forth", "scaling"],
)  # fmt: skip
def test_fokker_planck_in_the_plane(stepper, n, tolerances):
    mu = normal(MEAN, STD, n, 2)
    errors = []
    for tolerance in tolerances:
        run = jf.flow_adaptive(OU, mu, 1.0, tolerance=tolerance, stepper=stepper)
        assert run.status is Status.COMPLETE and run.times[-1] == pytest.approx(1.0, rel=1e-14)
        errors.append(worst(run))
        # estimates are those of times's errors (within five times, as for points); cells of
        # h = .04 add some 1e-4
        assert errors[-1] < run.error + 2e-4 <= tolerance and run.error < 5 * errors[-1]
        report = jf.check_run(jf.Problem(OU, mu, run.problem.taus), run)
        assert report.verdict is not jf.Verdict.REJECTED, str(report)
    # a quarter of the tolerance, which is used up by parts: the first steps are short for either
    assert errors[1] < 0.75 * errors[0]


def test_errors_fall_like_the_tolerance():
    """From a narrow bell: order one in the tolerance, and in the number of steps."""
    mu, law = normal(0.0, 0.04, 128, 1), dict(mean=0.0, std=0.04, a=1.0)
    F = C * jf.Entropy() + jf.QuadraticPotential(1.0)
    tolerances, errors, steps = (4e-2, 2e-2, 1e-2), [], []
    for tolerance in tolerances:
        run = jf.flow_adaptive(F, mu, 3.0, tolerance=tolerance)
        errors.append(worst(run, **law))
        steps.append(len(run))
        assert errors[-1] < tolerance
    order = np.polyfit(np.log(tolerances), np.log(errors), 1)[0]
    # the share of the tolerance that is used rises as the first steps become small enough
    assert order == pytest.approx(0.8, abs=0.3)
    # as many equal steps are three times as wrong, and theirs is O(1/steps)
    equal = jf.flow(jf.Problem(F, mu, 3.0 / steps[-1], steps[-1]))
    assert worst(equal, **law) > 2.0 * errors[-1]


def test_a_porous_medium_in_the_plane():
    """The variance of Barenblatt's solution is R²/6 on each axis, for m = 2."""
    n, c, radius = 48, 0.05, 0.3
    mu = jf.Grid.from_function(
        lambda x: np.maximum(0.0, 1.0 - (x**2).sum(axis=1) / radius**2), [-1.0] * 2, [1.0] * 2,
        (n, n), rule=8,
    )  # fmt: skip
    run = jf.flow_adaptive(jf.PowerEnergy(2.0, c), mu, 0.3, tolerance=2e-2, t_eval=[0.1, 0.3])
    assert run.error <= 2e-2
    for t, rho in zip(run.t_eval, run.asked, strict=True):
        after = (radius**4 + 4 * barenblatt_speed(2.0, c, 2) * t) ** 0.25
        std = np.sqrt(np.diag(rho.cov()) - rho.spacing**2 / 12)
        # in time; a cell of .04 at the edge adds 1e-3
        assert np.linalg.norm(std - after / 6**0.5) < run.error + 1e-3
        assert np.abs(run.times - t).min() <= 1e-14


def test_times_between_by_displacement():
    mu = normal(MEAN, STD, 48, 2)
    run = jf.flow_adaptive(OU, mu, 0.5, tolerance=5e-2)
    for t in np.linspace(0.0, 0.5, 11):
        rho = run.at(t)
        assert rho.density.min() >= 0 and rho.weights.sum() == pytest.approx(1.0, rel=1e-12)
        # as far as at the steps' ends, and τ²|x''|/8 ≤ 1e-3; sharing among cells: h²/4 at most
        assert off(rho, t) < worst(run) + 3e-3
    assert run.at(0.0) is mu and run.at(0.5) is run.final


def test_displacement_is_exact_at_both_ends_and_keeps_the_mean():
    mu = normal(MEAN, STD, 40, 2)
    out = BackAndForth().step(OU, mu, 0.1, {}, None)
    for share, end in ((0.0, mu), (1.0, out.measure)):
        between = jf.interpolate(mu, out.measure, share, out.witness)
        np.testing.assert_allclose(between.density, end.density, atol=1e-12)
    half = jf.interpolate(mu, out.measure, 0.5, out.witness)
    middle = 0.5 * (mu.mean() + out.measure.mean())
    # marginals of the coupling are met to rounding, and sharing keeps means
    np.testing.assert_allclose(half.mean(), middle, atol=1e-9)
    with pytest.raises(NotDefined, match="coupling"):
        jf.interpolate(mu, out.measure, 0.5)


def test_velocities_of_a_quadratic_potential():
    """ψ = −v·y − κ|y|²/2 sends y to y + τ(v + κy), from where it arrives with that velocity."""
    mu = jf.Grid(np.ones((40, 30)) / 4, [-1.0, -1.0], [1.0, 1.0])
    v, kappa, tau = np.array([0.3, -0.2]), 0.7, 0.1
    psi = (-(mu.points @ v) - 0.5 * kappa * (mu.points**2).sum(axis=1)).reshape(mu.shape)
    inner = (np.abs(mu.points) < 0.6).all(axis=1)  # walls mirror the spline
    gone = v + kappa * mu.points
    np.testing.assert_allclose(leaving(psi, mu)[inner], gone[inner], atol=1e-4)
    came = (v + kappa * mu.points) / (1.0 + kappa * tau)
    np.testing.assert_allclose(arriving(psi, mu, tau)[inner], came[inner], atol=1e-4)
    assert seen(np.ones((1200, 2)), mu) == pytest.approx(2**0.5, rel=1e-12)


def test_errors_of_two_steps_are_those_of_their_points():
    """A quadratic potential alone contracts: x_k = x_0/(1 + aτ)^k, a little entropy aside."""
    F, mu = 1e-4 * jf.Entropy() + jf.QuadraticPotential(1.0), normal(0.0, 0.2, 128, 1)
    taus, paths, rho, state = (0.2, 0.1), GridPaths.starting(mu), mu, {}
    for tau in taus:
        out = BackAndForth().step(F, rho, tau, state, None)
        paths = paths.onwards(out.measure, rho, tau, out.witness)
        rho, state = out.measure, out.state
    x = np.array([1.0, 1 / 1.2, 1 / 1.2 / 1.1])
    second = ((x[2] - x[1]) / 0.1 - (x[1] - x[0]) / 0.2) / 0.3
    # entropy of 1e-4, and means over neighbours, move it by parts of a hundred
    assert paths.error(out) == pytest.approx(0.1**2 * 0.2 * second, rel=0.02)


def test_a_kernel_that_is_too_wide_for_the_tolerance_is_said_to_be():
    mu = normal(MEAN, STD, 32, 1)
    with pytest.raises(StepFailed, match="Shorter steps are no better") as caught:
        jf.flow_adaptive(OU, mu, 1.0, tolerance=1e-4, stepper=EntropicScaling())
    assert caught.value.trajectory.status is Status.UNRESOLVED
    run = jf.flow_adaptive(OU, mu, 1.0, tolerance=1e-4, stepper=EntropicScaling(), throw=False)
    assert run.status is Status.UNRESOLVED and run.minimisations < 20


def test_cells_that_lock_end_the_run():
    """With mass at the centres of cells it moves by whole cells or not at all."""
    mu = jf.Grid.from_function(lambda x: np.exp(-0.5 * ((24 * x[:, 0] - 8.8) / 2) ** 2), 0, 1, 24)
    F = 1e-3 * jf.Entropy() + jf.Potential(lambda x: -0.1 * x[:, 0])
    run = jf.flow_adaptive(F, mu, 1.0, tolerance=1e-4, stepper=ConvexProgram(), throw=False,
                           max_steps=200)  # fmt: skip
    assert run.status is Status.UNRESOLVED


def test_what_the_cells_hide():
    cells = Resolution(0.1)
    assert not cells.hides(1.0, 1.0, 1e-3)
    assert not cells.hides(0.5, 0.26, 1e-3)  # like τ²
    assert not cells.hides(0.25, 0.2, 0.05)  # moves by half a cell: may not be a parabola yet
    assert cells.hides(0.2, 0.17, 1e-3)


def test_steps_without_a_potential():
    mu = normal(MEAN, STD, 32, 1)
    with pytest.raises(NotDefined, match="witness"):
        jf.flow_adaptive(OU, mu, 1.0, stepper=EntropicScaling(witnessed=False))
    with pytest.raises(NotDefined, match="witness"):
        GridPaths.starting(mu).onwards(mu, mu, 0.1, Witness("grid", {"potential": np.zeros(3)}))
    with pytest.raises(NotDefined, match="SecondOrder"):
        jf.flow_adaptive(OU, mu, 1.0, stepper=SecondOrder())


def test_stored_and_judged(tmp_path):
    mu = normal(MEAN, STD, 64, 1)
    run = jf.flow_adaptive(OU, mu, 0.5, tolerance=3e-2, store=tmp_path / "run")
    back = jf.load(tmp_path / "run")
    assert (back.energies == run.energies).all()
    report = jf.check_run(jf.Problem(OU, mu, run.problem.taus), tmp_path / "run")
    assert report.verdict is not jf.Verdict.REJECTED, str(report)
