"""Many measures at once are the measures one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run, check_step
from jkoflow.check import run as module
from jkoflow.check.evaluate import norm
from jkoflow.check.many import Laws, Noise, alike, coefficients, stack

RNG = np.random.default_rng(11)
B = RNG.normal(size=(4, 3))


def risk(d: int) -> jf.Risk:
    b = B[:, :d]
    return jf.Risk(lambda t: np.tanh(t @ b.T).T, np.arange(4.0))


def families() -> dict[str, tuple[Any, list[Any]]]:
    """A functional with every sort of term, and five measures, of each kind."""
    wave = jf.Potential(lambda x: np.cos(x).sum(axis=1), gradient=lambda x: -np.sin(x))
    F = 0.7 * wave + jf.QuadraticPotential(1.3) + 0.4 * jf.QuadraticInteraction(0.6)
    line, radial = jf.Quantiles.normal(0.3, 1.2, 30), jf.Radial.normal(0.8, 5, 30)
    cloud, scales = jf.Particles(RNG.normal(size=(9, 3))), RNG.uniform(0.5, 2.0, 5)
    A = RNG.normal(size=(5, 3, 3))
    return {
        "quantiles": (F + risk(1) + jf.Entropy() / 3 + jf.PowerEnergy(1.7),
                      [line.with_edges(s * line.edges + s) for s in scales]),
        "radial": (F + jf.Entropy() - 0.5 * jf.PowerEnergy(2.0),
                   [radial.with_edges(s * radial.edges) for s in scales]),
        "particles": (F + risk(3), [cloud.displaced(s * cloud.points) for s in scales]),
        "gaussian": (F + risk(3) + jf.Entropy() / 2 + jf.QuadraticPotential(0.3, center=[1, 0, 2]),
                     [jf.Gaussian(RNG.normal(size=3), a @ a.T) for a in A]),
        "gaussian, power": (jf.PowerEnergy(1.4), [jf.Gaussian(a[0], a @ a.T) for a in A]),
    }  # fmt: skip


@pytest.mark.parametrize("name", families())
def test_a_stack_is_its_measures(name: str) -> None:
    F, measures = families()[name]
    many = stack(F, Laws(measures), Noise(0.0, 0.0))
    for k, mu in enumerate(measures):
        gradient = F.gradient(mu)
        size = max(1.0, np.abs(gradient).max())
        # both are sums of ten terms of that size; only their order differs
        assert abs(many.rows.energy[k] - F.value(mu)) < 1e-12 * (1 + abs(F.value(mu)))
        if mu.kind == "gaussian":
            gradient = coefficients(mu.dim, gradient[None])[0]
        else:
            assert abs(many.rows.slope[k] - norm(gradient, mu.weights)) < 1e-12 * size
            assert abs(many.rows.extent[k] - norm(mu.points, mu.weights)) < 1e-13 * size
        np.testing.assert_allclose(many.gradient[k], gradient, atol=1e-12 * size)


@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("first", [0.0, 0.3])
def test_slopes_of_volumes_are_those_of_one_law(d: int, first: float) -> None:
    edges = first + np.sort(RNG.uniform(0.1, 2.0, (3, 12)), axis=1)
    edges[:, 0] = first
    for law in (jf.Radial(edges[0], d), jf.Quantiles(edges[0])):
        many = law.volume_slopes(edges)
        for k in range(3):
            one = law.with_edges(edges[k]).log_volume_derivatives()
            for a, b in zip(many, (one.value, one.a, one.b), strict=True):
                np.testing.assert_allclose(a[k], b, rtol=1e-12, atol=1e-13)


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


def test_only_measures_that_differ_in_positions_are_alike() -> None:
    mu = jf.Quantiles.normal(0.0, 1.0, 12)
    assert alike(mu, mu.displaced(0.1 * mu.points))
    assert alike(mu, jf.Quantiles(mu.edges + 1.0, mu.mass))
    assert not alike(mu, jf.Quantiles(mu.edges))
    assert not alike(mu, jf.Radial(mu.edges - mu.edges[0], 2, mu.mass))
    r = jf.Radial.normal(1.0, 3, 12)
    assert not alike(r, jf.Radial(r.edges, 4, r.mass))
    assert not alike(jf.Gaussian(0.0, 1.0), jf.Gaussian([0.0, 1.0], np.eye(2)))


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
