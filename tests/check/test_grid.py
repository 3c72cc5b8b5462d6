"""Steps of densities on grids before the judge: honest ones, and many that are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import jkoflow as jf
from jkoflow import Verdict
from jkoflow.check.grid import c_transform
from jkoflow.record import Witness
from jkoflow.steppers import BackAndForth

TAU = 0.1
F = jf.PowerEnergy(2.0, 0.05) + jf.QuadraticPotential(1.5, [0.6, 0.4])


def start(n=64):
    return jf.Grid.from_function(
        lambda x: np.maximum(0.0, 0.09 - ((x - [0.4, 0.5]) ** 2).sum(axis=1)), 0.0, 1.0, (n, n)
    )


@pytest.fixture(scope="module")
def step():
    mu = start()
    out = BackAndForth().step(F, mu, TAU, {}, None)
    assert out.status.ok
    return mu, out.measure, out.witness


def judged(step, F=F, tau=TAU, **changed):
    mu, nu, witness = step
    nu = changed.pop("after", nu)
    if changed:
        witness = Witness("grid", {**witness.arrays, **changed})
    return jf.check_step(F, mu, nu, tau, witness=witness)


def test_an_honest_step_is_accepted(step) -> None:
    report = judged(step)
    assert report.verdict is Verdict.ACCEPTED
    claims = {f.claim for f in report.findings}
    assert claims == {"membership", "transport", "energy", "stationarity", "minimality"}


@pytest.mark.parametrize("functional", [
    0.1 * jf.Entropy() + jf.Potential(lambda x: np.cos(4 * x[:, 0]) + x[:, 1] ** 2),
    jf.PowerEnergy(1.5, 0.1),
    jf.PowerEnergy(3.0, 0.01),
    0.02 * jf.Entropy() + jf.PowerEnergy(2, 0.02),
    jf.PowerEnergy(0.8, 0.1),
    jf.Congestion(12.0) + jf.QuadraticPotential(2.0, [0.7, 0.5]),
    0.05 * jf.Entropy() + jf.Congestion(11.0),
    0.1 * jf.Entropy() + 0.5 * jf.Risk(lambda t: np.tanh(3 * t).T, [0.9, 0.1]),
])  # fmt: skip
def test_honest_runs_are_accepted(functional) -> None:
    problem = jf.Problem(functional, start(), tau=TAU, steps=2)
    report = jf.check_run(problem, jf.flow(problem))
    assert report.verdict is Verdict.ACCEPTED, report.text()


@pytest.mark.parametrize("dim", [1, 3])
def test_honest_runs_in_other_dimensions(dim) -> None:
    n, tau = (200, 0.01) if dim == 1 else (32, 0.05)
    mu = jf.Grid.from_function(lambda x: np.exp(-12 * (x**2).sum(axis=1)), -1, 1, (n,) * dim)
    problem = jf.Problem(0.5 * jf.Entropy(), mu, tau=tau, steps=2)
    assert jf.check_run(problem, jf.flow(problem)).verdict is Verdict.ACCEPTED


def test_a_stored_run_is_judged_the_same(tmp_path) -> None:
    problem = jf.Problem(F, start(), tau=TAU, steps=2)
    run = jf.flow(problem, store=tmp_path / "run")
    reports = [jf.check_run(problem, r) for r in (run, tmp_path / "run")]
    assert [f.measured for f in reports[0].findings] == [f.measured for f in reports[1].findings]
    assert reports[1].verdict is Verdict.ACCEPTED


def test_what_has_no_convexity_is_undecided() -> None:
    attractive = jf.PowerEnergy(2.0, 0.05) + jf.Interaction(
        lambda z: -np.exp(-20 * (z**2).sum(axis=1))
    )
    problem = jf.Problem(attractive, start(32), tau=TAU, steps=1)
    report = jf.check_run(problem, jf.flow(problem))
    assert report.verdict is Verdict.UNDECIDED
    assert report["minimality"].verdict is Verdict.UNDECIDED
    assert "mixtures" in report["minimality"].reason


def test_staying_is_no_step(step) -> None:
    """With a potential that would buy the old density, and a coupling that moves nothing."""
    mu = step[0]
    n = mu.weights.size
    price = F.first_variation(mu, mu.points).reshape(mu.shape)
    psi = c_transform(-price, mu.axes(), TAU)
    held = np.flatnonzero(mu.weights)
    assert n > len(held)
    still = Witness("grid", {"rows": held, "columns": held, "values": mu.weights[held],
                             "potential": psi})  # fmt: skip
    report = jf.check_step(F, mu, mu, TAU, witness=still)
    assert report["minimality"].verdict is Verdict.UNDECIDED


def test_coarse_cells_are_undecided() -> None:
    """τ so small that one cell's resolution is more than any step can gain."""
    mu = start(16)
    out = BackAndForth().step(F, mu, 1e-4, {}, None)
    report = jf.check_step(F, mu, out.measure, 1e-4, witness=out.witness)
    assert report.verdict is Verdict.UNDECIDED
    assert "resolution" in report["minimality"].reason


WRONG = {
    "twice the energy": (lambda s: judged(s, F=2.0 * F), "stationarity"),
    "the potential's sign": (
        lambda s: judged(s, F=jf.PowerEnergy(2.0, 0.05) - jf.QuadraticPotential(1.5, [0.6, 0.4])),
        "stationarity",
    ),
    "another τ": (lambda s: judged(s, tau=2.0 * TAU), "stationarity"),
    "a shifted potential": (
        lambda s: judged(s, potential=np.roll(s[2].arrays["potential"], 3, axis=0)), "stationarity"
    ),
    "a density moved by a cell": (
        lambda s: judged(s, after=s[1].with_density(np.roll(s[1].density, 1, axis=0))), "transport"
    ),
    "lost mass": (lambda s: judged(s, values=s[2].arrays["values"] * (1 - 1e-9)), "transport"),
    "negative mass": (lambda s: judged(s, values=-s[2].arrays["values"]), "transport"),
    "rows for columns": (lambda s: judged(s, rows=s[2].arrays["columns"],
                                          columns=s[2].arrays["rows"]), "transport"),
    "a cell that is not there": (
        lambda s: judged(s, rows=s[2].arrays["rows"] + s[0].weights.size), "transport"
    ),
    "NaN in the potential": (
        lambda s: judged(s, potential=s[2].arrays["potential"] * np.nan), "transport"
    ),
    "a flat potential": (lambda s: judged(s, potential=s[2].arrays["potential"].ravel()),
                         "transport"),
    "words": (lambda s: judged(s, potential=np.full((64, 64), "a")), "transport"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_steps_are_rejected_by_the_finding_meant_for_them(step, name) -> None:
    judge, claim = WRONG[name]
    report = judge(step)
    assert report.verdict is Verdict.REJECTED, report.text()
    assert report[claim].verdict is Verdict.REJECTED, report.text()


def test_no_witness_is_undecided(step) -> None:
    mu, nu, witness = step
    for given in (None, replace(witness, kind="coupling")):
        assert jf.check_step(F, mu, nu, TAU, witness=given).verdict is Verdict.UNDECIDED


def test_another_grid_is_rejected(step) -> None:
    mu, nu, witness = step
    wider = jf.Grid(nu.density / 4.0, 0.0, 2.0)
    assert jf.check_step(F, mu, wider, TAU, witness=witness)["membership"].verdict \
        is Verdict.REJECTED  # fmt: skip


def test_the_transform_is_the_minimum_over_all_cells() -> None:
    rng = np.random.default_rng(0)
    psi, axes = rng.normal(size=(4, 5, 3)), [np.linspace(0, 1, n) for n in (4, 5, 3)]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    brute = (((x[:, None] - x) ** 2).sum(axis=2) / 0.6 - psi.ravel()).min(axis=1)
    assert c_transform(psi, axes, 0.3).ravel() == pytest.approx(brute, abs=1e-13)
