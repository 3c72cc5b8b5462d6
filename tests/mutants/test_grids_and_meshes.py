"""The planted faults of moving cells and points, planted in runs on grids and meshes."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run
from jkoflow.record import Witness
from jkoflow.steppers import BackAndForth, MeshNewton

KINDS = ["grid", "mesh"]
CENTRE = {"grid": [0.2], "mesh": [0.7, 0.1]}


def functional(kind: str, strength: float) -> Any:
    V = jf.QuadraticPotential(strength, CENTRE[kind])
    return V if kind == "mesh" else V + jf.Entropy() * 0.23


@functools.cache
def asked(kind: str) -> jf.Problem:
    start: Any = jf.Mesh.disc(1.0, 4)
    if kind == "grid":
        start = jf.Grid.from_function(
            lambda x: np.exp(-1.6 * (x[:, 0] + 0.5) ** 2), -3.0, 3.0, (151,)
        )
    return jf.Problem(functional(kind, 2.1), start, tau=0.19, steps=3)


@functools.cache
def run_of(kind: str) -> jf.Trajectory:
    return jf.flow(asked(kind), BackAndForth() if kind == "grid" else MeshNewton())


def spoilt(kind: str, step: int, **fields: Any) -> jf.Trajectory:
    """The honest run with other fields in the record of one step, counted from 0."""
    run = copy.copy(run_of(kind))
    run.records, run.taken = list(run.records), list(run.taken)
    record = dataclasses.replace(run.records[step], **fields)
    run.records[step] = record
    run.taken[step] = run.taken[step]._replace(
        time=record.time, energy=record.energy, distance_squared=record.distance_squared
    )
    return run


def verdict_of(kind: str, run: jf.Trajectory, stored: bool, folder: Path) -> Any:
    if not stored:
        return check_run(asked(kind), run)
    jf.save(run, folder / "run")
    return check_run(asked(kind), folder / "run")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stored", [False, True])
def test_honest_runs_are_accepted(kind: str, stored: bool, tmp_path: Path) -> None:
    report = verdict_of(kind, run_of(kind), stored, tmp_path)
    assert report.verdict is Verdict.ACCEPTED, report.text()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(("claim", "field", "change"), [
    ("stored energy", "energy", lambda e: e * (1 + 1e-8)),
    ("stored energy", "energy", lambda e: np.inf),
    ("time", "time", lambda t: t * (1 + 1e-8)),
    ("record", "tau", lambda t: t * (1 + 1e-8)),
    ("stored distance", "distance_squared", lambda d: -1.0),
    ("stored distance", "distance_squared", lambda d: np.inf),
    ("stored distance", "distance_squared", lambda d: 2.0 * d),
])  # fmt: skip
def test_wrong_numbers_are_rejected(
    kind: str, stored: bool, claim: str, field: str, change: Callable[..., Any], tmp_path: Path
) -> None:
    run = spoilt(kind, 1, **{field: change(getattr(run_of(kind).records[1], field))})
    report = verdict_of(kind, run, stored, tmp_path)
    assert report[claim].verdict is Verdict.REJECTED, report.text()


def test_a_grid_says_its_distance_to_what_its_cells_hide() -> None:
    """A run may leave it out, or name any number that fits; that of the coupling fits, too."""
    record = run_of("grid").records[1]
    for said in (np.nan, record.stats["coupling_cost"]):
        report = check_run(asked("grid"), spoilt("grid", 1, distance_squared=said))
        assert report.verdict is Verdict.ACCEPTED, report.text()


ARRAYS = {"grid": ("density", "density"), "mesh": ("mass", "nodes")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("fault", ["lost", "negative", "nan"])
def test_what_is_no_law_is_rejected(kind: str, stored: bool, fault: str, tmp_path: Path) -> None:
    """Mass lost, a negative one, a place that is not a number, behind the constructor's back."""
    masses, places = ARRAYS[kind]
    mu = copy.copy(run_of(kind).records[2].measure)
    array = np.array(mu.to_arrays()[places if fault == "nan" else masses])
    if fault == "lost":
        array *= 1 - 1e-9
    else:
        array.flat[np.argmax(array)] *= -1e-9 if fault == "negative" else np.nan
    name = f"_{places if fault == 'nan' else masses}"
    assert name in vars(mu)
    vars(mu)[name] = array
    report = verdict_of(kind, spoilt(kind, 2, measure=mu), stored, tmp_path)
    assert report["record" if stored else "membership"].verdict is Verdict.REJECTED, report.text()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["swapped", "doubled", "skipped"])
def test_steps_in_the_wrong_order_are_rejected(kind: str, fault: str) -> None:
    """With numbers, times and energies that fit."""
    run, problem = copy.copy(run_of(kind)), asked(kind)
    order = {"swapped": [1, 0, 2], "doubled": [0, 0, 1], "skipped": [1, 2, 2]}[fault]
    records, run.records, run.taken = run.records, [], []
    for k, j in enumerate(order, 1):
        theirs = dataclasses.replace(records[j], index=k, time=float(problem.times[k]))
        run.add(theirs, keep=True)
    assert check_run(problem, run).verdict is Verdict.REJECTED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [0.5, -1.0, 1.5])
def test_the_answer_to_another_question_is_rejected(kind: str, factor: float) -> None:
    """A potential of another strength or sign, handed in under the asker's name and energies.

    Cells tell strengths apart from a fifth on, nodes from 10⁻⁴.
    """
    problem = asked(kind)
    other = jf.Problem(functional(kind, 2.1 * factor), problem.initial, problem.taus)
    theirs = jf.flow(other, BackAndForth() if kind == "grid" else MeshNewton())
    theirs.problem = problem
    theirs.initial_energy = float(problem.functional.value(problem.initial))
    records, theirs.records, theirs.taken = theirs.records, [], []
    for record in records:
        energy = float(problem.functional.value(record.measure))
        theirs.add(dataclasses.replace(record, energy=energy), keep=True)
    report = check_run(problem, theirs)
    found = {f.claim for f in report.findings if f.verdict is Verdict.REJECTED}
    assert found & {"stationarity", "weak stationarity", "energy"}, report.text()


@pytest.mark.parametrize("name", ["rows", "columns", "values", "potential"])
@pytest.mark.parametrize("fault", ["nan", "short", "far", "none"])
def test_a_grids_malformed_witness_is_rejected(name: str, fault: str) -> None:
    witness = run_of("grid").records[1].witness
    assert witness is not None
    arrays = {k: np.array(v) for k, v in witness.arrays.items()}
    if fault == "none":
        del arrays[name]
    elif fault == "short":
        arrays[name] = arrays[name][:-1]
    elif arrays[name].dtype.kind == "f":
        arrays[name][3] = np.nan if fault == "nan" else 1e300
    else:
        arrays[name] = arrays[name].astype(float) if fault == "nan" else arrays[name] + 10**9
    report = check_run(asked("grid"), spoilt("grid", 1, witness=Witness("grid", arrays)))
    if (name, fault) == ("potential", "far"):  # a bound from below that nothing satisfies
        assert report.verdict is not Verdict.ACCEPTED, report.text()
        return
    assert report["transport"].verdict is Verdict.REJECTED, report.text()
