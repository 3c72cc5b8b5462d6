"""Steps that are judged together are judged as they are one by one."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run, check_step
from jkoflow.check import taken as module

RNG = np.random.default_rng(11)


def runs() -> dict[str, jf.Problem]:
    F = jf.Entropy() / 3.0 + jf.QuadraticPotential(1.7)
    cloud = jf.Particles(RNG.normal(size=(8, 2)))
    return {
        "quantiles": jf.Problem(F, jf.Quantiles.normal(0.6, 0.4, 40), tau=0.03, steps=40),
        "radial": jf.Problem(F, jf.Radial.normal(0.9, 7, 40), tau=0.03, steps=40),
        "gaussian": jf.Problem(F, jf.Gaussian([1.0, -1.0], np.diag([0.2, 2])), tau=0.03, steps=40),
        "particles": jf.Problem(jf.QuadraticPotential(1.0), cloud, tau=0.03, steps=40),
    }


@pytest.mark.parametrize("kind", runs())
def test_blocks_of_any_length_find_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = runs()[kind]
    run, reports = jf.flow(problem), []
    for size in (0, 300, 2**16):
        monkeypatch.setattr(module, "_BLOCK", size)
        reports.append(check_run(problem, run))
    assert all(r.verdict is Verdict.ACCEPTED for r in reports), reports[0].text()
    assert all(r.claims == reports[0].claims for r in reports)
    for claim in ("total dissipation", "energy dissipation"):
        # sums of the same 40 numbers; where F is quadratic the first is the sum of W2²λ/2
        found = [r[claim].measured for r in reports]
        np.testing.assert_allclose(found, found[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", runs())
@pytest.mark.parametrize("k", [0, 21, 39])
def test_a_fault_in_a_block_is_found_at_its_step(kind: str, k: int) -> None:
    problem = runs()[kind]
    run = jf.flow(problem)
    mu = run.records[k].measure
    spoilt = mu.displaced(np.full(mu.points.shape, 1e-3))
    object.__setattr__(run.records[k], "measure", spoilt)
    energy = float(problem.functional.value(spoilt))
    object.__setattr__(run.records[k], "energy", energy)
    run.taken[k] = run.taken[k]._replace(energy=energy)
    report = check_run(problem, run)
    found = report["stationarity"]
    assert found.verdict is Verdict.REJECTED
    assert found.where in (f"step {k + 1}", f"step {k + 2}")
    before = problem.initial if k == 0 else run.records[k - 1].measure
    step = check_step(
        problem.functional, before, spoilt, 0.03, witness=run.records[k].witness
    )
    if "stationarity" in step.claims:
        assert step["stationarity"].verdict is Verdict.REJECTED


def test_an_answer_that_is_no_number_is_found_among_many() -> None:
    calls = []

    def V(x: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        calls.append(len(x))
        return np.where(np.abs(x[:, 0] - 0.02) < 1e-3, np.nan, 0.5 * x[:, 0] ** 2)

    F = jf.Potential(V, gradient=lambda x: x, convexity=1.0)
    mu = jf.Quantiles(np.linspace(1.0, 2.0, 9))
    problem = jf.Problem(jf.QuadraticPotential(1.0), mu, tau=0.5, steps=12)
    run = jf.flow(problem)
    asked = jf.Problem(F, mu, tau=0.5, steps=12)
    report = check_run(asked, run)
    assert report["evaluation"].verdict is Verdict.REJECTED, report.text()
    assert max(calls) > 9  # several measures were looked at together
