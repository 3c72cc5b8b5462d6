"""Loading and saving trajectories."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.flows.stored import load, save
from jkoflow.flows.trajectory import Trajectory
from jkoflow.record import StepRecord
from jkoflow.status import Status, StoreError


def assert_same(one, two) -> None:
    assert one.status is two.status and len(one) == len(two)
    for name in ("times", "energies", "distances_squared", "saved"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), strict=True)
    for a, b in zip(one.measures, two.measures, strict=True):
        np.testing.assert_array_equal(a.points, b.points, strict=True)
    np.testing.assert_array_equal(one.final.points, two.final.points, strict=True)


@pytest.mark.parametrize("when", [jf.every(1), jf.every(3), jf.only_last(), jf.at_times([0.5])])
@pytest.mark.parametrize("max_steps", [0, 5, 8])
def test_load_gives_what_flow_gave(problem, contraction, tmp_path, when, max_steps):
    run = jf.flow(problem, contraction(), store=tmp_path, save=when, max_steps=max_steps)
    assert_same(load(tmp_path), run)


@pytest.mark.parametrize("when", [jf.every(1), jf.every(3), jf.only_last()])
def test_save_writes_what_a_store_would_have(problem, contraction, tmp_path, when):
    run = jf.flow(problem, contraction(), save=when)
    jf.flow(problem, contraction(), store=tmp_path / "during", save=when)
    after = save(run, tmp_path / "after")
    assert_same(load(tmp_path / "after"), run)
    assert after.head == jf.Directory(tmp_path / "during").read().head


def test_a_saved_run_goes_on(problem, contraction, tmp_path):
    save(jf.flow(problem, contraction(), max_steps=5), tmp_path)
    run = jf.flow(problem, contraction(), store=tmp_path)
    whole = jf.flow(problem, contraction())
    np.testing.assert_array_equal(run.energies, whole.energies)


def test_a_loaded_run_can_be_saved_again(problem, contraction, tmp_path):
    jf.flow(problem, contraction(), store=tmp_path / "one", save=jf.every(3))
    save(load(tmp_path / "one"), tmp_path / "two")
    assert_same(load(tmp_path / "one"), load(tmp_path / "two"))


def test_the_problem_of_a_loaded_run_knows_its_identity(problem, contraction, tmp_path):
    jf.flow(problem, contraction(), store=tmp_path)
    stored = load(tmp_path).problem
    assert stored.spec() == problem.spec() and stored.steps == 8
    np.testing.assert_array_equal(stored.initial.points, problem.initial.points)


def test_a_trajectory_of_another_program(problem, tmp_path):
    """Only measures and energies are known, as from a file of someone else's run."""
    trajectory = Trajectory(problem, problem.functional.value(problem.initial))
    for k in range(1, 9):
        measure = jf.Particles(problem.initial.points * 0.8**k)
        energy = problem.functional.value(measure)
        record = StepRecord(
            k, 0.25 * k, 0.25, measure, energy, float("nan"), None, {}, Status.CONVERGED, {}, {}
        )
        trajectory.add(record, keep=True)
    trajectory.status = Status.COMPLETE
    save(trajectory, tmp_path)
    assert_same(load(tmp_path), trajectory)


def test_save_does_not_overwrite(problem, contraction, tmp_path):
    run = jf.flow(problem, contraction(), store=tmp_path)
    with pytest.raises(StoreError, match="already holds a run: choose a new folder"):
        save(run, tmp_path)


def test_load_of_nothing(tmp_path):
    with pytest.raises(StoreError, match="holds no run"):
        load(tmp_path)
