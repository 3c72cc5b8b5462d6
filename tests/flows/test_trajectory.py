"""Trajectories: indices, and what is known of steps that were not saved."""

from __future__ import annotations

import pytest

import jkoflow as jf
from jkoflow.status import InvalidProblem


@pytest.fixture
def run(problem, contraction):
    return jf.flow(problem, contraction(), save=jf.every(3))


def test_indices_are_step_numbers(run):
    assert run[3].index == 3 and run[6].index == 6 and run[8].index == 8
    assert run[-1].index == 8 and run[-3].index == 6


def test_step_0_is_the_start(run, problem):
    assert run[0].measure is run[-9].measure is problem.initial
    assert (run[0].index, run[0].time, run[0].energy) == (0, run.times[0], run.energies[0])


def test_a_record_is_one_line_for_eyes(run):
    assert repr(run[3]).startswith("StepRecord(step 3, t=0.75, F=") and len(repr(run[3])) < 200


@pytest.mark.parametrize("k", [1, 4, 9, -2, -20])
def test_unsaved_steps_say_which_are_saved(run, k):
    with pytest.raises(InvalidProblem, match=f"step {k} was not saved; saved are 3, 6, 8 of 8"):
        run[k]


def test_the_last_step_is_known_even_if_it_is_not_saved(problem, contraction):
    run = jf.flow(problem, contraction(), save=jf.every(5), max_steps=7)
    assert run.saved.tolist() == [0, 5]
    assert run[7] is run.last and run.final is run.last.measure


def test_iteration_goes_over_saved_records(run):
    assert [record.index for record in run] == [3, 6, 8]
    assert [record.measure for record in run] == run.measures[1:]


def test_lengths_agree(run):
    sizes = {len(run.times), len(run.energies), len(run.distances_squared)}
    assert sizes == {len(run) + 1} and len(run.saved) == len(run.measures)


def test_its_repr_says_how_far_and_how_it_ended(run):
    assert repr(run) == "Trajectory(8 of 8 steps, t=2, F=0.0703687, COMPLETE)"


def test_a_run_without_steps_is_true(problem, contraction):
    assert jf.flow(problem, contraction(), max_steps=0)
