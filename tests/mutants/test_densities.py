"""Attacks on the judge of densities, and functionals of which it cannot ask everything."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run, check_step
from jkoflow.check.grid import c_transform
from jkoflow.functionals.base import Smooth
from jkoflow.functionals.internal import Internal
from jkoflow.record import Witness
from jkoflow.status import MissingStructure
from jkoflow.steppers import BackAndForth, ConvexProgram

TAU = 0.2


def bump(n: int = 16) -> jf.Grid:
    return jf.Grid.from_function(lambda x: np.exp(-(x[:, 0] ** 2)), -3.0, 3.0, n)


def still(mu: jf.Grid, psi: Any) -> Witness:
    """Nothing moved, at the price ψ."""
    held = np.flatnonzero(mu.weights)
    return Witness("grid", {"rows": held, "columns": held, "values": mu.weights[held],
                            "potential": np.reshape(psi, mu.shape)})  # fmt: skip


def staying(mu: jf.Grid, functional: Any, problem: jf.Problem) -> jf.Trajectory:
    """A run of one step that moved nothing, with numbers that fit."""
    run = jf.flow(jf.Problem(jf.Entropy(), mu, problem.taus))
    (record,), run.records, run.taken = run.records, [], []
    run.problem, run.initial_energy = problem, float(functional.value(mu))
    run.add(dataclasses.replace(record, measure=mu, energy=run.initial_energy, distance_squared=0.0,
                                witness=still(mu, np.zeros(mu.shape))), keep=True)  # fmt: skip
    return run


@pytest.mark.parametrize(("n", "tau"), [(16, 0.2), (32, 0.05), (64, 0.05)])
def test_no_constant_on_the_potential_lifts_the_dual_value(n: int, tau: float) -> None:
    """A constant is free, but where it is large ψ^c and Σψm round: a false bound of F from below,
    above F itself, made the gap negative, and a step that moved nothing minimal."""
    mu, F, rng = bump(n), jf.Entropy(), np.random.default_rng(0)
    price = F.first_variation(mu, mu.points).reshape(mu.shape)
    psi = c_transform(-price, mu.axes(), tau)
    out = ConvexProgram().step(F, mu, tau, {}, None)
    least = F.value(out.measure) + out.distance_squared / (2.0 * tau)
    assert F.value(mu) - least > 1e-2
    for constant in np.append(10.0 ** rng.uniform(12, 16, 100), [3.9e15, 6.4e14, 4.9e14]):
        report = check_step(F, mu, mu, tau, witness=still(mu, psi + constant))
        assert report.verdict is not Verdict.ACCEPTED, constant
        # D is at most the minimum, as far as the cone solver knows that
        assert report["minimality"].measured >= F.value(mu) - least - 1e-6, constant


@pytest.mark.parametrize("waves", [(2, 1), (1, 3), (2, 2), (3, 3)])
def test_patterns_along_both_axes_are_told_apart(waves: tuple[int, int]) -> None:
    """Products of cosines, of which no field along one axis sees anything: h/√τ = 0.1 to 0.15."""
    a, b = np.pi * np.array(waves)
    mu = jf.Grid.from_function(
        lambda x: 1.0 + 0.8 * np.cos(a * x[:, 0]) * np.cos(b * x[:, 1]), 0.0, 1.0, (80, 80)
    )
    tau = 0.2 / (a * a + b * b) * np.pi  # the pattern falls to about 1/(1 + .2π)
    for factor, expected in ((1.0, True), (0.7, False), (1.5, False)):
        out = BackAndForth().step(jf.Entropy(), mu, factor * tau, {}, None)
        report = check_step(jf.Entropy(), mu, out.measure, tau, witness=out.witness)
        assert (report["weak stationarity"].verdict is Verdict.ACCEPTED) == expected, report.text()


class Odd(Smooth):
    """∫x² dρ with a first variation that fails."""

    convex_in_mixtures = True

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def spec(self) -> dict[str, Any]:
        return {"name": "Odd"}

    def value_at_points(self, x: Any, w: Any) -> float:
        return float(w @ x[:, 0] ** 2)

    def gradient_at_points(self, x: Any, w: Any) -> Any:
        return 2.0 * x

    def first_variation_at_points(self, x: Any, w: Any, at: Any) -> Any:
        return self.answer(at)


@pytest.mark.parametrize("answer", [lambda x: 1 / 0, lambda x: None, lambda x: x, lambda x: ["a"]])
def test_a_first_variation_that_fails_is_a_finding(answer: Any) -> None:
    mu, F = bump(), jf.Entropy() + Odd(answer)
    problem = jf.Problem(F, mu, TAU, steps=1)
    reports = (check_step(F, mu, mu, TAU, witness=still(mu, np.zeros(mu.shape))),
               check_run(problem, staying(mu, F, problem)))  # fmt: skip
    for report in reports:
        assert report["evaluation"].verdict is Verdict.REJECTED, report.text()


class Secretive(Odd):
    """x² by its variation, ten times as much by its value; only of many points is it known."""

    def __init__(self, kept: Any) -> None:
        super().__init__(lambda x: x[:, 0] ** 2)
        self.kept = kept

    def value_at_points(self, x: Any, w: Any) -> float:
        return 10.0 * super().value_at_points(x, w)

    def first_variation_at_points(self, x: Any, w: Any, at: Any) -> Any:
        return self.answer(at) if len(x) > 400 else self.kept(at)


@pytest.mark.parametrize("kept", [lambda x: 1 / 0, lambda x: np.full(len(x), np.nan)])
def test_a_term_that_fails_at_points_is_attacked_all_the_same(kept: Any) -> None:
    """It was left out like a singular kernel, so that nobody asked whether δF is that of F: each
    step of ∫x² passed for one of ten times as much."""
    problem = jf.Problem(jf.Entropy() + Secretive(kept), bump(512), tau=0.05, steps=1)
    report = check_run(problem, jf.flow(problem, BackAndForth()))
    assert report["minimality"].verdict is Verdict.ACCEPTED, report.text()
    assert report["gradient"].verdict is Verdict.REJECTED, report.text()


class Half(Internal):
    """An internal energy of one's own: −½∫ρ log ρ."""

    def energy_per_mass(self, log_density: Any) -> Any:
        return -0.5 * log_density, -0.5, 0.0

    def value_on_gaussian(self, mu: jf.Gaussian) -> float:
        return -0.5 * jf.Entropy().value(mu)

    def spec(self) -> dict[str, Any]:
        return {"name": "Half"}

    def __repr__(self) -> str:
        return "Half()"


@pytest.mark.parametrize("functional", [
    jf.PowerEnergy(0.8) + jf.PowerEnergy(2.0), Half(), jf.Entropy() + Half(),
], ids=str)  # fmt: skip
def test_without_a_conjugate_minimality_is_undecided(functional: Any) -> None:
    """And no energy is left out of it: the dual of H alone bounds nothing of H − H/2."""
    mu = bump()
    problem = jf.Problem(functional, mu, TAU, steps=1)
    reports = (check_step(functional, mu, mu, TAU, witness=still(mu, np.zeros(mu.shape))),
               check_run(problem, staying(mu, functional, problem)))  # fmt: skip
    for report in reports:
        assert report["minimality"].verdict is Verdict.UNDECIDED
        assert "conjugate" in report["minimality"].reason or "dual" in report["minimality"].reason
    with pytest.raises((MissingStructure, jf.status.NotDefined)):
        jf.functionals.conjugate.conjugate(functional)


@pytest.mark.parametrize("W", [
    lambda z: -np.log(np.abs(z[:, 0])), lambda z: np.abs(z[:, 0]) ** -0.5,
])  # fmt: skip
def test_a_kernel_that_is_singular_for_points_is_no_fault_of_a_density(W: Any) -> None:
    """Cells see themselves, points do not: so points do not attack W, but they do attack V."""
    V = jf.Potential(lambda x: x[:, 0] ** 2, gradient=lambda x: 2.0 * x)
    wrong = jf.Potential(lambda x: x[:, 0] ** 2, gradient=lambda x: -2.0 * x)
    for potential, verdict in ((V, Verdict.ACCEPTED), (wrong, Verdict.REJECTED)):
        F = 0.5 * jf.Entropy() + jf.Interaction(W) + potential
        problem = jf.Problem(F, bump(48), tau=0.1, steps=1)
        report = check_run(problem, jf.flow(problem, BackAndForth()))
        assert report["gradient"].verdict is verdict, report.text()
        assert "evaluation" not in report.claims
        if potential is V:
            assert report.verdict is Verdict.UNDECIDED, report.text()


def test_a_step_size_beyond_all_floats_is_none() -> None:
    mu = bump()
    report = check_step(jf.Entropy(), mu, mu, 10**400)
    assert report["membership"].verdict is Verdict.REJECTED
