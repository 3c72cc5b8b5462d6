"""The step on a small grid by a cone solver, and what other methods make of the same step."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

import jkoflow as jf
from jkoflow.status import InvalidFunctional, InvalidProblem, NotDefined, Status
from jkoflow.steppers import BackAndForth, ConvexProgram, EntropicScaling, QuantileNewton


def step(F, mu, tau, stepper=None):
    out = (stepper or ConvexProgram()).step(F, mu, tau, {}, None)
    assert out.status is Status.CONVERGED, (out.status, out.stats)
    assert out.measure.mass.sum() == pytest.approx(1.0, abs=1e-12)
    return out


def l1(a, b):
    return float(np.abs(a.density - b.density).sum() * a.cell_volume)


def normal(std, shape, centre=0.0):
    total = np.ones(())
    for n in shape:
        edges = np.linspace(-0.5, 0.5, n + 1)
        total = np.multiply.outer(total, np.diff(erf((edges - centre) / std / np.sqrt(2))))
    return jf.Grid(total / total.sum() * np.prod(shape), -0.5, 0.5)


def block(n, centre, half=0.2):
    return jf.Grid.from_function(
        lambda x: 1.0 * (np.abs(x[:, 0] - centre) < half), -0.5, 0.5, n
    )


def pillar(x):
    return np.where((x**2).sum(axis=1) < 0.15**2, np.inf, 3 * (x[:, 0] - 0.4) ** 2)


def free(mu):
    open_ = np.isfinite(pillar(mu.points)).reshape(mu.shape)
    rho = np.where(open_, mu.density, 0.0)
    return mu.with_density(rho / (rho.sum() * mu.cell_volume))


RISK = jf.Risk(lambda x: np.stack([np.tanh(5 * x[:, 0]), x[:, 0] ** 2]), [0.3, 0.1])
CASES = {
    "Fokker–Planck": (0.05 * jf.Entropy() + jf.QuadraticPotential(1.0), normal(0.1, (40,)), 0.2),
    "porous medium": (jf.PowerEnergy(2.0, 0.05), block(50, 0.1), 0.02),
    "m = 3 in a potential": (
        jf.PowerEnergy(3.0, 0.02) + jf.QuadraticPotential(0.3, [0.2]), block(45, -0.1), 0.05),
    "fast diffusion": (
        jf.PowerEnergy(0.6, 0.05) + jf.QuadraticPotential(1.0), normal(0.1, (40,)), 0.2),
    "risk": (0.03 * jf.Entropy() + RISK, normal(0.1, (40,), -0.2), 0.1),
    "in the plane": (
        0.05 * jf.Entropy() + jf.QuadraticPotential(1.0), normal(0.15, (12, 12)), 0.2),
    "crowd, diffusion and a pillar": (
        0.02 * jf.Entropy() + jf.Congestion(12.0) + jf.Potential(pillar),
        free(normal(0.15, (12, 10), -0.3)), 0.2),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_entropic_scaling_tends_to_it(name) -> None:
    """At a fixed grid and ε → 0 the kernel's step is the discrete one: first order, as entropies
    of couplings on a grid are finite."""
    F, mu, tau = CASES[name]
    oracle, h = step(F, mu, tau), mu.spacing.max()
    errors = [
        l1(step(F, mu, tau, EntropicScaling(e * h * h, allow_locking=True,
                                            max_iterations=10_000)).measure, oracle.measure)
        for e in (0.03, 0.01, 0.0033)
    ]  # fmt: skip
    assert errors[2] < 6e-3
    assert errors[0] / errors[1] > 2.0 and errors[1] / errors[2] > 2.0, errors  # 3 at first order


@pytest.mark.parametrize("name", CASES)
def test_the_judge_finds_no_gap(name) -> None:
    F, mu, tau = CASES[name]
    out = step(F, mu, tau)
    report = jf.check_step(F, mu, out.measure, tau, witness=out.witness)
    assert report.verdict is jf.Verdict.ACCEPTED, report.findings
    gap = next(f for f in report.findings if f.claim == "minimality")
    lost = F.value(mu) - out.stats["objective"]
    assert abs(gap.measured) < 1e-6 * max(lost, 1e-3)  # what the solver leaves, and no cell's size
    value = F.value(out.measure) + out.distance_squared / (2 * tau)
    assert value == pytest.approx(out.stats["objective"], abs=1e-7)


def test_four_methods_find_one_step_on_the_line() -> None:
    F, tau = 0.05 * jf.Entropy() + jf.QuadraticPotential(1.0, [0.1]), 0.05
    found = {}
    for n in (30, 60):
        mu = normal(0.1, (n,))
        edges = np.linspace(-0.5, 0.5, n + 1)
        law = QuantileNewton().step(F, jf.Quantiles(edges, mu.mass), tau, {}, None).measure
        found[n] = {
            "cone": step(F, mu, tau).measure.mass,
            "back and forth": step(F, mu, tau, BackAndForth()).measure.mass,
            "scaling": step(F, mu, tau, EntropicScaling()).measure.mass,
            "quantiles": np.diff(law.cdf(edges)),
        }
    k = 1 + tau
    std = (0.1 + (0.01 + 4 * k * tau * 0.05) ** 0.5) / (2 * k)
    for name, bound in (("cone", 0.03), ("back and forth", 2e-3), ("scaling", 1e-3),
                        ("quantiles", 0.05)):  # fmt: skip
        errors = [np.abs(found[n][name] - normal(std, (n,), 0.1 * tau / k).mass).sum()
                  for n in (30, 60)]  # fmt: skip
        # h²/τ for masses at centres, h² for splines and kernels, cells of unequal mass in tails
        assert errors[1] < bound, (name, errors)
        assert errors[0] / errors[1] > 1.4, (name, errors)


def test_a_crowd_on_the_line_is_moved_as_it_stands() -> None:
    """b⁺ = (b + kτa)/(1 + kτ); whole cells, so that masses at centres have no error."""
    mu, tau = block(50, -0.25), 0.3
    F = jf.Congestion(2.5) + jf.QuadraticPotential(1.0, [0.27])
    moved = (-0.25 + tau * 0.27) / (1 + tau)
    assert moved == pytest.approx(-0.13)
    out = step(F, mu, tau)
    assert l1(out.measure, block(50, moved)) < 1e-6  # a solver's tolerance over a cell's price
    assert out.distance_squared == pytest.approx(0.12**2, rel=1e-6)


def test_mass_is_locked_in_its_cell() -> None:
    """Centres h apart: a drift over less than h/2 moves nothing."""
    mu = jf.Grid([0.0, 0.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0, 1)
    tau = 0.1
    for slope, cells in ((0.45, 0), (0.55, 1), (2.3, 2)):
        V = jf.Potential(lambda x, slope=slope: -slope * x[:, 0])
        new = step(V, mu, tau).measure
        assert new.mass[2 + cells] == pytest.approx(1.0, abs=1e-5)


def test_one_program_serves_many_steps() -> None:
    F, stepper = 0.05 * jf.Entropy() + jf.QuadraticPotential(1.0), ConvexProgram()
    first, second = normal(0.1, (20,)), normal(0.14, (20,), 0.05)
    for mu, tau in ((first, 0.1), (second, 0.02), (first, 0.1)):
        fresh = step(F, mu, tau)
        # values to 1e-9, so densities to its root
        assert l1(step(F, mu, tau, stepper).measure, fresh.measure) < 1e-4
    assert len(stepper._programs) == 1
    problem = jf.Problem(F, first, 0.05, steps=3)
    assert jf.check_run(problem, jf.flow(problem, stepper)).verdict is jf.Verdict.ACCEPTED


def test_what_it_refuses() -> None:
    mu = normal(0.1, (20,))
    with pytest.raises(InvalidProblem, match="entries"):
        step(jf.Entropy(), normal(0.1, (20, 20)), 0.1)
    with pytest.raises(NotDefined, match="cannot read"):
        step(jf.Entropy() + jf.QuadraticInteraction(1.0), mu, 0.1)
    with pytest.raises(NotDefined, match="cannot read"):
        step(jf.Entropy() - RISK, mu, 0.1)
    with pytest.raises(InvalidFunctional, match="not convex"):
        step(jf.QuadraticPotential(1.0) - jf.Entropy(), mu, 0.1)
    crowd = ConvexProgram().step(jf.Congestion(0.5), mu, 0.1, {}, None)
    assert crowd.status is Status.INFEASIBLE and crowd.measure is mu
