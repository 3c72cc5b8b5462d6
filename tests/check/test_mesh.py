"""Steps of meshes before the judge: stationary, but proved minimal only without a density."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow import Verdict
from jkoflow.record import Witness
from jkoflow.steppers import MeshNewton

TAU = 0.07


@pytest.fixture(scope="module")
def step():
    F = jf.PowerEnergy(2.0, 0.6) + jf.QuadraticPotential(1.3, [0.2, -0.1])
    mu = jf.Mesh.disc(1.1, 6, lambda x: 1.21 - (x**2).sum(axis=1))
    out = MeshNewton().step(F, mu, TAU, {}, None)
    return F, mu, out.measure, out.witness


def test_an_honest_step_is_stationary(step) -> None:
    F, mu, nu, witness = step
    report = jf.check_step(F, mu, nu, TAU, witness=witness)
    for claim in ("membership", "transport", "energy", "stationarity"):
        assert report[claim].verdict is Verdict.ACCEPTED, report.text()
    assert report["minimality"].verdict is Verdict.UNDECIDED
    assert "not convex" in report["minimality"].reason


def test_without_a_density_the_step_is_proved_minimal() -> None:
    F = jf.QuadraticPotential(1.3, [0.2, -0.1])
    problem = jf.Problem(F, jf.Mesh.disc(1.0, 4), tau=TAU, steps=3)
    assert jf.check_run(problem, jf.flow(problem)).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(("claim", "change"), [
    ("stationarity", lambda F, mu, nu, w: (1.01 * F, mu, nu, w)),
    ("stationarity", lambda F, mu, nu, w: (F, mu, nu.displaced(0.002 * nu.nodes), w)),
    ("transport", lambda F, mu, nu, w: (F, mu, nu, Witness("pairing", {
        **w.arrays, "f": w.arrays["f"] + 0.01 * np.sin(9 * nu.nodes[:, 0])}))),
    ("transport", lambda F, mu, nu, w: (F, mu, nu, Witness("pairing", {
        **w.arrays, "order": w.arrays["order"][::-1].copy()}))),
])  # fmt: skip
def test_wrong_steps_are_rejected(step, claim, change) -> None:
    F, mu, nu, witness = change(*step)
    report = jf.check_step(F, mu, nu, TAU, witness=witness)
    assert report[claim].verdict is Verdict.REJECTED, report.text()


def test_without_potentials_or_on_another_mesh_nothing_is_decided(step) -> None:
    F, mu, nu, witness = step
    bare = Witness("pairing", {"order": witness.arrays["order"]})
    assert jf.check_step(F, mu, nu, TAU, witness=bare).verdict is Verdict.UNDECIDED
    other = jf.Mesh(nu.nodes, np.roll(nu.simplices, 1, axis=0), nu.mass)
    report = jf.check_step(F, mu, other, TAU, witness=witness)
    assert report.verdict is Verdict.UNDECIDED and "mesh" in report["membership"].reason
