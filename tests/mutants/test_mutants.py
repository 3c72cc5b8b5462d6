"""Planted faults: each must be caught, and by the finding that is meant for it.

A fault takes an honest run (which the first tests show to be accepted) and spoils one thing.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Report, Verdict, check_run, check_step
from jkoflow.record import StepRecord, Witness

OU = jf.Entropy() / 3.0 + jf.QuadraticPotential(1.7)
TAU = 0.13


@jf.functional(gradient=lambda x, w: np.sin(x) + 0.7 * x, convexity=-0.3)
def wells(x: Any, w: Any) -> float:
    """∫ −Σ cos x_k + 0.35|x|² dρ, which is −0.3-convex."""
    return float(w @ (-np.cos(x).sum(axis=1) + 0.35 * (x * x).sum(axis=1)))


def problems() -> dict[str, jf.Problem]:
    rng = np.random.default_rng(4)
    cloud = jf.Particles(rng.normal(size=(23, 3)))
    turned = jf.Gaussian([1.0, -0.4], [[1.5, 0.4], [0.4, 0.3]])
    return {
        "quantiles": jf.Problem(OU, jf.Quantiles.normal(0.6, 0.4, 61), tau=TAU, steps=4),
        "porous": jf.Problem(
            jf.PowerEnergy(2.0), jf.Quantiles.from_ppf(lambda s: s, 40, "cosine"), TAU, steps=4
        ),
        "radial": jf.Problem(OU, jf.Radial.normal(0.9, 7, 50), tau=TAU, steps=4),
        "gaussian": jf.Problem(OU, turned, tau=TAU, steps=4),
        "particles": jf.Problem(wells, cloud, tau=TAU, steps=4),
        "mesh": jf.Problem(
            jf.PowerEnergy(2.0, 0.6) + jf.QuadraticPotential(1.7, [0.3, -0.1]),
            jf.Mesh.disc(1.2, 4, lambda x: 1.7 - (x * x).sum(axis=1)), tau=0.02, steps=4
        ),
    }  # fmt: skip


RUNS: dict[str, tuple[jf.Problem, jf.Trajectory]] = {}


def honest(kind: str) -> tuple[jf.Problem, jf.Trajectory]:
    """A problem and a fresh copy of its honest run."""
    if kind not in RUNS:
        problem = problems()[kind]
        RUNS[kind] = problem, jf.flow(problem)
    problem, run = RUNS[kind]
    spoilt = copy.copy(run)
    spoilt.records = list(run.records)
    spoilt.taken = list(run.taken)
    return problem, spoilt


KINDS = ["quantiles", "porous", "radial", "gaussian", "particles", "mesh"]


@pytest.mark.parametrize("kind", KINDS)
def test_honest_runs_are_accepted(kind: str) -> None:
    report = check_run(*honest(kind))
    assert report.verdict is Verdict.ACCEPTED, report.text()


def change(run: jf.Trajectory, k: int, **fields: Any) -> None:
    """Replace fields of record k (from 0), and the run's own lists with them."""
    run.records[k] = dataclasses.replace(run.records[k], **fields)
    run.taken[k] = run.taken[k]._replace(energy=run.records[k].energy, time=run.records[k].time)


def moved(run: jf.Trajectory, k: int, measure: Any) -> None:
    """Another measure at step k, with the energy that belongs to it: only the step is wrong."""
    F = run.problem.functional
    change(run, k, measure=measure, energy=float(F.value(measure)))


def raw(measure: Any, **arrays: Any) -> Any:
    """A measure whose private arrays are spoilt behind its constructor's back."""
    spoilt = copy.copy(measure)
    spoilt.__dict__.update(arrays)
    return spoilt


def spoil_witness(run: jf.Trajectory, k: int, **arrays: Any) -> None:
    w = run.records[k].witness
    assert w is not None
    change(run, k, witness=Witness(w.kind, {**w.arrays, **arrays}))


def on_witness(k: int, spoil: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., None]:
    def fault(run: jf.Trajectory) -> None:
        witness = run.records[k].witness
        assert witness is not None
        spoil_witness(run, k, **spoil(dict(witness.arrays)))

    return fault


def on_record(k: int, **f: Callable[[StepRecord], Any]) -> Callable[..., None]:
    return lambda run: change(run, k, **{name: g(run.records[k]) for name, g in f.items()})


def on_measure(k: int, f: Callable[[Any], Any]) -> Callable[..., None]:
    return lambda run: moved(run, k, f(run.records[k].measure))


def shifted(size: float) -> Callable[[Any], Any]:
    return lambda mu: mu.displaced(np.full(mu.points.shape, size))


def stale(run: jf.Trajectory) -> None:
    moved(run, 2, run.records[1].measure)


def swap(run: jf.Trajectory) -> None:
    run.records[1], run.records[2] = run.records[2], run.records[1]


def swap_measures(run: jf.Trajectory) -> None:
    a, b = run.records[1].measure, run.records[2].measure
    moved(run, 1, b)
    moved(run, 2, a)


def truncate(run: jf.Trajectory) -> None:
    del run.records[3:], run.taken[3:]


def twice(run: jf.Trajectory) -> None:
    run.records.append(run.records[-1])
    run.taken.append(run.taken[-1])


def lose(mu: Any) -> Any:
    name = "_weights"
    return raw(mu, **{name: mu.weights * (1 - 1e-9)})


def one_cell_heavier(mu: Any) -> Any:
    mass = np.array(mu.mass)
    mass[3], mass[7] = mass[3] + 1e-9, mass[7] - 1e-9
    return type(mu).from_arrays({**mu.to_arrays(), "mass": mass})


def with_nan(mu: Any) -> Any:
    name = next(n for n in ("_edges", "_points", "_nodes") if hasattr(mu, n))
    array = np.array(getattr(mu, name))
    array.ravel()[0] = np.nan
    return raw(mu, **{name: array})


def unsorted(mu: Any) -> Any:
    edges = np.array(mu.edges)
    edges[[4, 5]] = edges[[5, 4]]
    return raw(mu, _edges=edges)


def turned_over(mu: Any) -> Any:
    nodes = np.array(mu.nodes)
    a, b, c = mu.simplices[5]
    nodes[a] = nodes[b] + nodes[c] - nodes[a]
    return raw(mu, _nodes=nodes)


def one_node_off(mu: Any) -> Any:
    nodes = np.array(mu.nodes)
    nodes[7, 1] += 3e-3
    return mu.with_nodes(nodes)


def slightly_turned(mu: Any) -> Any:
    c, s = np.cos(1e-4), np.sin(1e-4)
    return mu.with_nodes(mu.nodes @ np.array([[c, s], [-s, c]]))


def exchanged(arrays: dict[str, Any]) -> dict[str, Any]:
    order = np.array(arrays["order"])
    order[[3, 4]] = order[[4, 3]]
    return {"order": order}


def only_measure(k: int, f: Callable[[Any], Any]) -> Callable[..., None]:
    """Spoil the measure and leave the stored energy."""
    return lambda run: change(run, k, measure=f(run.records[k].measure))


def heavier_gaussian(mu: Any) -> Any:
    return jf.Gaussian(mu.mean(), 1.002 * mu.cov())


def halves(arrays: dict[str, Any]) -> dict[str, Any]:
    order = np.array(arrays["order"])
    order[0] = order[1]
    return {"order": order}


def turned_matrix(arrays: dict[str, Any]) -> dict[str, Any]:
    c, s = np.cos(0.01), np.sin(0.01)
    return {"matrix": arrays["matrix"] @ np.array([[c, -s], [s, c]])}


def empty(run: jf.Trajectory) -> None:
    run.records.clear()
    run.taken.clear()


def other_energy_only(run: jf.Trajectory) -> None:
    run.taken[1] = run.taken[1]._replace(energy=run.taken[1].energy * (1 + 1e-8))


Fault = tuple[str, Callable[[jf.Trajectory], None], str]

FAULTS: dict[str, Fault] = {}
for _kind in KINDS:
    FAULTS |= {
        f"{_kind}: position off by 1e-3": (_kind, on_measure(1, shifted(1e-3)), "stationarity"),
        f"{_kind}: off by 1e-3 at the last": (_kind, on_measure(3, shifted(-1e-3)), "stationarity"),
        f"{_kind}: a step not taken": (_kind, stale, "stationarity"),
        f"{_kind}: measures exchanged": (_kind, swap_measures, "energy"),
        f"{_kind}: records permuted": (_kind, swap, "record"),
        f"{_kind}: energy raised by 1e-8": (
            _kind, on_record(2, energy=lambda r: r.energy * (1 + 1e-8)), "stored energy"),
        f"{_kind}: only the list's energy": (_kind, other_energy_only, "stored energy"),
        f"{_kind}: energy is NaN": (_kind, on_record(2, energy=lambda r: np.nan), "stored energy"),
        f"{_kind}: distance off by 1e-8": (
            _kind, on_record(1, distance_squared=lambda r: r.distance_squared * (1 + 1e-8)),
            "stored distance"),
        f"{_kind}: tau in the record": (_kind, on_record(1, tau=lambda r: 2 * r.tau), "record"),
        f"{_kind}: time in the record": (_kind, on_record(1, time=lambda r: 1.01 * r.time), "time"),
        f"{_kind}: last step missing": (_kind, truncate, "completeness"),
        f"{_kind}: a step too many": (_kind, twice, "completeness"),
        f"{_kind}: of another kind": (
            _kind, only_measure(1, lambda mu: jf.Gaussian(np.zeros(4), np.eye(4))), "membership"),
    }  # fmt: skip
for _kind in ("quantiles", "radial", "particles"):
    FAULTS |= {
        f"{_kind}: 1e-9 of the mass lost": (_kind, only_measure(2, lose), "membership"),
        f"{_kind}: NaN in the points": (_kind, only_measure(2, with_nan), "membership"),
    }
FAULTS |= {
    "mesh: NaN in the nodes": ("mesh", only_measure(2, with_nan), "membership"),
    "mesh: 1e-9 of the mass lost": (
        "mesh", only_measure(2, lambda mu: raw(mu, _mass=mu.mass * (1 - 1e-9))), "membership"),
    "mesh: a triangle turned over": ("mesh", only_measure(1, turned_over), "membership"),
    "mesh: a node elsewhere": ("mesh", on_measure(2, one_node_off), "stationarity"),
    "mesh: nodes turned": ("mesh", on_measure(2, slightly_turned), "stationarity"),
    "mesh: potentials shifted apart": (
        "mesh", on_witness(1, lambda a: {"f": a["f"] + 1e-4}), "transport"),
    "mesh: a pair exchanged": ("mesh", on_witness(1, exchanged), "transport"),
}  # fmt: skip
for _kind in ("quantiles", "porous", "radial"):
    FAULTS |= {
        f"{_kind}: 1e-9 of mass moved": (_kind, only_measure(2, one_cell_heavier), "transport"),
        f"{_kind}: unsorted edges": (_kind, only_measure(2, unsorted), "membership"),
    }
FAULTS |= {
    "gaussian: wider": ("gaussian", on_measure(1, heavier_gaussian), "transport"),
    "gaussian: map turned": ("gaussian", on_witness(1, turned_matrix), "transport"),
    "gaussian: map of another step": (
        "gaussian", lambda run: change(run, 2, witness=run.records[1].witness), "transport"),
    "gaussian: inverse map": (
        "gaussian", on_witness(1, lambda a: {"matrix": np.linalg.inv(a["matrix"])}), "transport"),
    "gaussian: negative map": (
        "gaussian", on_witness(1, lambda a: {"matrix": -a["matrix"]}), "transport"),
    "gaussian: map is NaN": (
        "gaussian", on_witness(1, lambda a: {"matrix": a["matrix"] * np.nan}), "transport"),
    "gaussian: another law's eigenvalues": (
        "gaussian", only_measure(1, lambda mu: mu.with_eigen(1.001 * mu.eigen[0], mu.eigen[1])),
        "membership"),
    "gaussian: eigenvectors too long": (
        "gaussian", only_measure(3, lambda mu: mu.with_eigen(mu.eigen[0] / 4, 2 * mu.eigen[1])),
        "membership"),
    "gaussian: witness of another kind": (
        "gaussian", on_record(1, witness=lambda r: Witness("pairing")), "transport"),
    "particles: potentials exchanged": (
        "particles", on_witness(1, lambda a: {"f": a["g"], "g": a["f"]}), "transport"),
    "particles: f raised": (
        "particles", on_witness(1, lambda a: {"f": a["f"] + 1e-6}), "transport"),
    "particles: f lowered": (
        "particles", on_witness(1, lambda a: {"f": a["f"] - 1e-6}), "transport"),
    "particles: f rolled": (
        "particles", on_witness(1, lambda a: {"f": np.roll(a["f"], 1)}), "transport"),
    "particles: f is NaN": (
        "particles", on_witness(1, lambda a: {"f": a["f"] * np.nan}), "transport"),
    "particles: f too short": (
        "particles", on_witness(1, lambda a: {"f": a["f"][:-1]}), "transport"),
    "particles: one point paired twice": ("particles", on_witness(1, halves), "transport"),
    "particles: pairing rolled": (
        "particles", on_witness(1, lambda a: {"order": np.roll(a["order"], 1)}), "transport"),
    "particles: pairing out of range": (
        "particles", on_witness(1, lambda a: {"order": a["order"] + 1}), "transport"),
    "particles: pairing of floats": (
        "particles", on_witness(1, lambda a: {"order": a["order"] + 0.0}), "transport"),
    "particles: empty witness": (
        "particles", on_record(1, witness=lambda r: Witness("pairing")), "transport"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_rejected_by_its_finding(name: str) -> None:
    kind, fault, claim = FAULTS[name]
    problem, run = honest(kind)
    fault(run)
    report = check_run(problem, run)
    assert report.verdict is Verdict.REJECTED, report.text()
    assert report.exit_code == 1
    assert report[claim].verdict is Verdict.REJECTED, report.text()


def without_witness(run: jf.Trajectory) -> None:
    change(run, 1, witness=None)


def unsaved(run: jf.Trajectory) -> None:
    del run.records[1]


def interrupted(run: jf.Trajectory) -> None:
    truncate(run)
    run.status = jf.Status.INTERRUPTED


def emptied(run: jf.Trajectory) -> None:
    empty(run)
    run.status = jf.Status.INTERRUPTED


@pytest.mark.parametrize(
    ("kind", "fault", "claim"),
    [
        ("gaussian", without_witness, "transport"),
        ("particles", without_witness, "transport"),
        ("mesh", without_witness, "transport"),
        ("mesh", only_measure(2, one_cell_heavier), "membership"),
        ("quantiles", unsaved, "evidence"),
        ("radial", interrupted, "completeness"),
        ("gaussian", emptied, "completeness"),
    ],
)
def test_missing_evidence_leaves_the_run_undecided(
    kind: str, fault: Callable[[jf.Trajectory], None], claim: str
) -> None:
    problem, run = honest(kind)
    fault(run)
    report = check_run(problem, run)
    assert report.verdict is Verdict.UNDECIDED and report.exit_code == 2, report.text()
    assert report[claim].verdict is Verdict.UNDECIDED


OTHER_QUESTIONS = {
    "functional": jf.Problem(OU * 1.0001, jf.Quantiles.normal(0.6, 0.4, 61), tau=TAU, steps=4),
    "start": jf.Problem(OU, jf.Quantiles.normal(0.6, 0.41, 61), tau=TAU, steps=4),
    "step size": jf.Problem(OU, jf.Quantiles.normal(0.6, 0.4, 61), tau=1.001 * TAU, steps=4),
    "number of steps": jf.Problem(OU, jf.Quantiles.normal(0.6, 0.4, 61), tau=TAU, steps=5),
    "sign": jf.Problem(-1.0 * OU, jf.Quantiles.normal(0.6, 0.4, 61), tau=TAU, steps=4),
}


@pytest.mark.parametrize("what", OTHER_QUESTIONS)
def test_a_run_of_another_problem_is_rejected(what: str) -> None:
    report = check_run(OTHER_QUESTIONS[what], honest("quantiles")[1])
    assert report["identity"].verdict is Verdict.REJECTED


def test_a_forged_identity_does_not_help() -> None:
    """The run claims the asker's problem as its own; its steps are still another's."""
    problem, run = OTHER_QUESTIONS["step size"], honest("quantiles")[1]
    run.problem = problem
    report = check_run(problem, run)
    assert report["identity"].verdict is Verdict.ACCEPTED
    assert report.verdict is Verdict.REJECTED and report["time"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("factor", [-1.0, 0.5, 2.0, 1.001])
def test_a_step_of_a_wrong_functional_is_rejected(factor: float) -> None:
    """A wrong sign, the common factors of 2, and a per mille: by the optimality condition."""
    mu = jf.Gaussian([0.4], [[0.5]])
    wrong = jf.Entropy() / 3.0 + factor * jf.QuadraticPotential(1.7)
    after = jf.flow(jf.Problem(wrong, mu, tau=0.1, steps=1)).final
    report = check_step(OU, mu, after, 0.1)
    assert report["stationarity"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("factor", [0.5, 2.0, 0.999])
def test_a_step_of_a_wrong_size_is_rejected(factor: float) -> None:
    mu = jf.Quantiles.normal(0.3, 0.6, 40)
    after = jf.flow(jf.Problem(OU, mu, tau=0.1, steps=1)).final
    report = check_step(OU, mu, after, 0.1 * factor)
    assert report["stationarity"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("tau", [0.0, -0.1, np.nan, np.inf])
def test_a_step_size_that_is_none_is_rejected(tau: float) -> None:
    mu = jf.Quantiles.normal(0.3, 0.6, 40)
    assert check_step(OU, mu, mu, tau)["membership"].verdict is Verdict.REJECTED


def test_the_old_step_shifted_by_a_hundredth_passes_energy_but_not_stationarity() -> None:
    """The energy inequality is necessary and not sufficient; the judge does not stop at it."""
    mu = jf.Quantiles.normal(0.3, 0.6, 40)
    after = jf.flow(jf.Problem(OU, mu, tau=0.1, steps=1)).final
    report: Report = check_step(OU, mu, after.displaced(np.full(after.points.shape, 0.01)), 0.1)
    assert report["energy"].verdict is Verdict.ACCEPTED
    assert report["stationarity"].verdict is Verdict.REJECTED
