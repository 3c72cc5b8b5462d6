"""Forgers who rewrite everything consistently, hashes included: only mathematics finds them.

A forged run claims the asker's problem, has the energies that the asker's functional gives its
measures, true distances, optimal couplings, and a chain of hashes that fits. Its measures are
another scheme's, another functional's or another step's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run
from jkoflow.flows.complete import witness
from jkoflow.flows.trajectory import Trajectory
from jkoflow.record import StepRecord
from jkoflow.transport import wasserstein_squared

TAU, STEPS = 0.17, 3
CENTRE = {"quantiles": [0.5], "gaussian": [0.5, -0.3], "particles": [0.5, -0.3], "radial": None}
CLOUD = np.random.default_rng(8).normal(size=(15, 2))
STARTS = {
    "quantiles": jf.Quantiles.normal(-0.4, 0.7, 24),
    "radial": jf.Radial.normal(0.9, 6, 24),
    "gaussian": jf.Gaussian([1.0, -0.4], [[1.5, 0.4], [0.4, 0.3]]),
    "particles": jf.Particles(CLOUD),
}
KINDS = list(STARTS)


def tanh_features(x: Any) -> Any:
    """tanh(⟨a_q, x⟩) for three directions a_q."""
    return np.tanh(np.array([[1.0, 0.3], [-0.5, 0.8], [0.2, -1.0]]) @ x.T)


TARGETS = np.array([0.4, -0.2, 0.3])


def risk(targets: Any = TARGETS) -> Any:
    return jf.Risk(tanh_features, targets, slope_bounds=[1.1, 1, 1.1], curvature_bound=[1, 1, 1])


def functional(
    kind: str, entropy: float = 1 / 3, potential: float = 1.0, interaction: float = 0.8,
    centre: float = 1.0, risk_factor: float = 1.0, targets: float = 1.0, strength: float = 1.7,
) -> Any:  # fmt: skip
    """H/3 + V + W, or R + V + W for particles; the arguments are what a mistake changes."""
    at = CENTRE[kind]
    V = jf.QuadraticPotential(strength, None if at is None else centre * np.array(at))
    rest = potential * V + jf.QuadraticInteraction(1.0) * interaction
    if kind == "particles":
        return rest + risk_factor * risk(targets * TARGETS)
    return rest + jf.Entropy() * entropy


def asked(kind: str) -> jf.Problem:
    return jf.Problem(functional(kind), STARTS[kind], TAU, steps=STEPS)


def forged(problem: jf.Problem, measures: Sequence[Any]) -> Trajectory:
    """A run through these measures, with all that can be made to fit."""
    F = problem.functional
    run = Trajectory(problem, float(F.value(problem.initial)), status=jf.Status.COMPLETE)
    for k, (old, new) in enumerate(pairwise([problem.initial, *measures]), start=1):
        record = StepRecord(
            k, float(problem.times[k]), float(problem.taus[k - 1]), new, float(F.value(new)),
            squared(new, old), witness(new, old, None), {}, jf.Status.CONVERGED, {}, {},
        )  # fmt: skip
        run.add(record, keep=True)
    return run


def squared(new: Any, old: Any) -> float:
    """W2²; of cells with masses lumped on the edges, as jkoflow's steps have it."""
    if hasattr(new, "edges"):
        return float(new.weights @ (new.edges - old.edges) ** 2)
    return wasserstein_squared(new, old)


def pushed(mu: Any, v: Any) -> Any:
    """The push-forward, with edges sorted and radii positive again, as one who forges repairs."""
    if not hasattr(mu, "edges"):
        return mu.displaced(v)
    edges = np.sort(mu.edges + v[:, 0])
    return mu.with_edges(np.maximum(edges, 0.0) if mu.kind == "radial" else edges)


def steps_of(F: Any, start: Any, taus: Any) -> list[Any]:
    return list(jf.flow(jf.Problem(F, start, taus)).measures[1:])


def kept(run: Trajectory, stored: bool, folder: Path) -> Any:
    """The run on disk, for some; the disk takes longer than all else."""
    if not stored:
        return run
    jf.save(run, folder / "run")
    return folder / "run"


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_forger_is_accepted(kind: str, tmp_path: Path) -> None:
    """The tools below add no fault of their own."""
    problem = asked(kind)
    run = forged(problem, steps_of(problem.functional, problem.initial, problem.taus))
    jf.save(run, tmp_path / "run")
    for answer in (run, tmp_path / "run"):
        report = check_run(problem, answer)
        assert report.verdict is Verdict.ACCEPTED, report.text()


WRONG_FUNCTIONALS: dict[str, dict[str, float]] = {
    "the potential's sign": {"strength": -1.7},
    "half the potential": {"potential": 0.5},
    "twice the potential": {"potential": 2.0},
    "a per mille more potential": {"potential": 1.001},
    "no potential": {"potential": 0.0},
    "the interaction's sign": {"interaction": -0.8},
    "half the interaction": {"interaction": 0.4},
    "twice the interaction": {"interaction": 1.6},
    "no interaction": {"interaction": 0.0},
}
WITH_ENTROPY = {
    "half the entropy": {"entropy": 1 / 6},
    "twice the entropy": {"entropy": 2 / 3},
    "β for 1/β": {"entropy": 3.0},
    "a per mille less entropy": {"entropy": 0.999 / 3},
    "no entropy": {"entropy": 0.0},
}
WITH_RISK = {
    "half the risk": {"risk_factor": 0.5},
    "twice the risk": {"risk_factor": 2.0},
    "no risk": {"risk_factor": 0.0},
    "the risk's sign": {"risk_factor": -1.0},
    "the labels' sign": {"targets": -1.0},
    "labels a per cent off": {"targets": 1.01},
}
WITH_CENTRE = {"no centre": {"centre": 0.0}, "the centre's sign": {"centre": -1.0}}


def wrong_functionals() -> list[tuple[str, str]]:
    cases = [(kind, name) for kind in KINDS for name in WRONG_FUNCTIONALS]
    cases += [(kind, name) for kind in KINDS if kind != "radial" for name in WITH_CENTRE]
    cases += [(kind, name) for kind in KINDS if kind != "particles" for name in WITH_ENTROPY]
    return cases + [("particles", name) for name in WITH_RISK]


@pytest.mark.parametrize(("kind", "name"), wrong_functionals())
def test_steps_of_a_wrong_functional_are_rejected(kind: str, name: str, tmp_path: Path) -> None:
    changes = {**WRONG_FUNCTIONALS, **WITH_ENTROPY, **WITH_RISK, **WITH_CENTRE}[name]
    problem = asked(kind)
    measures = steps_of(functional(kind, **changes), problem.initial, problem.taus)
    report = check_run(problem, kept(forged(problem, measures), kind == "gaussian", tmp_path))
    assert report["identity"].verdict is Verdict.ACCEPTED
    assert report["stationarity"].verdict is Verdict.REJECTED, report.text()


Scheme = Callable[[jf.Problem], list[Any]]


def step_by(move: Callable[[Any, Any, float, Any], Any]) -> Scheme:
    """A scheme from its step: functional, measure, τ, the measure before that one."""

    def scheme(problem: jf.Problem) -> list[Any]:
        measures, old, older = [], problem.initial, problem.initial
        for tau in problem.taus:
            old, older = move(problem.functional, old, float(tau), older), old
            measures.append(old)
        return measures

    return scheme


def implicit(F: Any, mu: Any, tau: float) -> Any:
    return jf.flow(jf.Problem(F, mu, tau, steps=1)).final


def explicit(F: Any, mu: Any, tau: float, older: Any) -> Any:
    return pushed(mu, -tau * F.gradient(mu))


def leapfrog(F: Any, mu: Any, tau: float, older: Any) -> Any:
    half = pushed(mu, -0.5 * tau * F.gradient(mu))
    if half.kind == "gaussian":
        return jf.Gaussian(2 * half.mean() - mu.mean(), mu.cov() + 1.5 * (half.cov() - mu.cov()))
    return pushed(half, half.points - mu.points)


def relaxed(factor: float) -> Callable[..., Any]:
    def move(F: Any, mu: Any, tau: float, older: Any) -> Any:
        new = implicit(F, mu, tau)
        if mu.kind == "gaussian":
            return jf.Gaussian(
                mu.mean() + factor * (new.mean() - mu.mean()),
                mu.cov() + factor * (new.cov() - mu.cov()),
            )
        return mu.displaced(factor * (new.points - mu.points))

    return move


def splitting(F: Any, mu: Any, tau: float, older: Any) -> Any:
    """One implicit step for each half of F: order one as well, and no JKO step."""
    terms = [c * f for c, f in F.terms]
    for part in (sum(terms[1:], terms[0] * 0.0), terms[0]):
        mu = implicit(part, mu, tau)
    return mu


def two_halves(F: Any, mu: Any, tau: float, older: Any) -> Any:
    return implicit(F, implicit(F, mu, 0.5 * tau), 0.5 * tau)


def stale_gradient(F: Any, mu: Any, tau: float, older: Any) -> Any:
    return pushed(mu, -tau * F.gradient(older))


def shifted(size: float) -> Callable[..., Any]:
    def move(F: Any, mu: Any, tau: float, older: Any) -> Any:
        new = implicit(F, mu, tau)
        if mu.kind == "radial":
            return new.with_edges(new.edges + size)
        return new.displaced(np.full(new.points.shape, size))

    return move


def stretched(factor: float) -> Callable[..., Any]:
    def move(F: Any, mu: Any, tau: float, older: Any) -> Any:
        new = implicit(F, mu, tau)
        return new.displaced((factor - 1.0) * (new.points - new.mean()))

    return move


def noisy(F: Any, mu: Any, tau: float, older: Any) -> Any:
    new = implicit(F, mu, tau)
    noise = 1e-3 * np.random.default_rng(5).normal(size=new.points.shape)
    if hasattr(new, "edges"):
        noise = noise * np.concatenate([[0.0], np.diff(new.edges)])[:, None]
    return new.displaced(noise)


SCHEMES: dict[str, Scheme] = {
    "explicit Euler": step_by(explicit),
    "the gradient at the midpoint": step_by(leapfrog),
    "over-relaxed by 1%": step_by(relaxed(1.01)),
    "under-relaxed by 1%": step_by(relaxed(0.99)),
    "half of each step": step_by(relaxed(0.5)),
    "splitting": step_by(splitting),
    "two half steps": step_by(two_halves),
    "the gradient of the step before": step_by(stale_gradient),
    "shifted by 1e-3": step_by(shifted(1e-3)),
    "shifted by -1e-3": step_by(shifted(-1e-3)),
    "stretched by 1e-3": step_by(stretched(1.001)),
    "shrunk by 1e-3": step_by(stretched(0.999)),
    "noise of 1e-3": step_by(noisy),
    "never moves": lambda p: [p.initial] * p.steps,
    "stops after two steps": lambda p: [*steps_of(p.functional, p.initial, p.taus[:2]),
                                        steps_of(p.functional, p.initial, p.taus[:2])[-1]],
    "a step left out": lambda p: steps_of(p.functional, p.initial, [TAU] * 4)[1:],
    "a step taken twice": lambda p: [
        steps_of(p.functional, p.initial, [TAU])[0], *steps_of(p.functional, p.initial, [TAU] * 2)],
    "the order reversed": lambda p: steps_of(p.functional, p.initial, p.taus)[::-1],
    "half τ": lambda p: steps_of(p.functional, p.initial, 0.5 * p.taus),
    "twice τ": lambda p: steps_of(p.functional, p.initial, 2.0 * p.taus),
    "τ a per mille off": lambda p: steps_of(p.functional, p.initial, 1.001 * p.taus),
    "τ changed in the last step": lambda p: steps_of(
        p.functional, p.initial, p.taus * [1.0, 1.0, 1.01]),
    "the limit at once": lambda p: [steps_of(p.functional, p.initial, [1e4])[0]] * p.steps,
    "from a shifted start": lambda p: steps_of(
        p.functional, shifted(1e-3)(0.0 * p.functional, p.initial, TAU, None), p.taus),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCHEMES)
def test_another_scheme_is_rejected(kind: str, name: str, tmp_path: Path) -> None:
    problem = asked(kind)
    run = forged(problem, SCHEMES[name](problem))
    report = check_run(problem, kept(run, kind == "quantiles", tmp_path))
    assert report["stationarity"].verdict is Verdict.REJECTED, report.text()
    assert "record" not in report.claims


def test_radii_taken_for_points_of_the_line_are_rejected() -> None:
    """The entropy of the law of |θ| without the volume of spheres: a classical slip."""
    start = STARTS["radial"]
    problem = jf.Problem(jf.Entropy() / 3 + jf.QuadraticPotential(1.7), start, TAU, steps=1)
    line = jf.Quantiles(start.edges, start.mass)
    wrong = jf.flow(jf.Problem(problem.functional, line, TAU, steps=1)).final
    radii = start.with_edges(wrong.edges - min(0.0, wrong.edges[0]))
    report = check_run(problem, forged(problem, [radii]))
    assert report["stationarity"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("m", [2.0, 1.5, 3.0])
def test_another_power_is_rejected(m: float) -> None:
    start = jf.Quantiles.from_ppf(lambda s: s, 20, "cosine")
    problem = jf.Problem(jf.PowerEnergy(2.5), start, TAU, steps=2)
    measures = steps_of(jf.PowerEnergy(m), start, problem.taus)
    report = check_run(problem, forged(problem, measures))
    assert report["stationarity"].verdict is Verdict.REJECTED


def test_walls_that_nobody_asked_for() -> None:
    """A run that holds the ends of the heat flow, and says so, answers another question."""
    start = jf.Quantiles.normal(0.0, 1.5, 30)
    free = jf.Problem(jf.Entropy(), start, TAU, steps=2)
    run = jf.flow(free, jf.steppers.QuantileNewton(ends="fixed"))
    assert check_run(free, run)["stationarity"].verdict is Verdict.REJECTED
    walled = jf.Problem(jf.Entropy(), start, TAU, steps=2, walls=start.edges[[0, -1]])
    assert check_run(walled, jf.flow(walled)).verdict is Verdict.ACCEPTED
    for asked, answered in ((free, walled), (walled, free)):
        assert check_run(asked, jf.flow(answered))["identity"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("end", [0, -1])
def test_walls_that_the_force_leaves_are_not_believed(end: int) -> None:
    """An end is held as by a wall, but F pulls it inwards: no wall can do that."""
    start = jf.Quantiles.normal(0.0, 1.5, 30)
    F = jf.Entropy() / 3 + jf.QuadraticPotential(1.7)  # pulls inwards
    problem = jf.Problem(F, start, TAU, steps=2, walls=start.edges[[0, -1]])
    run = jf.flow(problem, jf.steppers.QuantileNewton(ends="fixed"))
    report = check_run(problem, run)
    assert report["stationarity"].verdict is Verdict.UNDECIDED
    assert report.verdict is Verdict.UNDECIDED
    inner = run.records[-1].measure
    edges = np.array(inner.edges)
    edges[end] += math.copysign(0.01, -end - 0.5)  # beyond the wall
    measures = [run.records[0].measure, inner.with_edges(np.sort(edges))]
    report = check_run(problem, forged(problem, measures))
    assert report["membership"].verdict is Verdict.REJECTED
