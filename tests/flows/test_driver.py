"""The loop: exact steps, endings of every kind, and bad functionals."""

from __future__ import annotations

import inspect
import math
import os
import re
import signal

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.flows import driver
from jkoflow.status import (
    InvalidFunctional,
    InvalidProblem,
    NotDefined,
    Status,
    StepFailed,
    StoreError,
)

RANDOM = np.random.default_rng(1)
HALF_SQUARES = 2.5  # ½(1² + 3²)/2, the energy at the start


def test_the_steps_are_those_of_the_recursion(problem, contraction):
    """x_k = x_0 (1+τ)^-k, F_k = F_0 (1+τ)^-2k, W2² = τ² ∫|x_k|²."""
    run = jf.flow(problem, contraction())
    k = np.arange(9)
    np.testing.assert_array_equal(run.times, 0.25 * k)  # quarters are exact
    # products of eight factors: some units of rounding
    np.testing.assert_allclose(run.energies, HALF_SQUARES * 1.25 ** (-2.0 * k), rtol=1e-14)
    np.testing.assert_allclose(run.final.points[:, 0], [1.25**-8, 3 * 1.25**-8], rtol=1e-14)
    expected = 0.25**2 * 2 * run.energies[1:]
    np.testing.assert_allclose(run.distances_squared[1:], expected, rtol=1e-13)
    assert run.status is Status.COMPLETE and len(run) == 8 and len(run.measures) == 9


def test_steps_of_different_sizes(contraction):
    taus = [0.5, 0.125, 2.0]
    asked = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([[1.0, -2.0]]), taus)
    run = jf.flow(asked, contraction())
    factors = np.cumprod(1.0 / (1.0 + np.array(taus)))
    np.testing.assert_allclose([m.points[0, 0] for m in run.measures[1:]], factors, rtol=1e-14)
    assert [r.tau for r in run] == taus and run.times.tolist() == [0.0, 0.5, 0.625, 2.625]


def test_iterate_and_flow_agree_and_iterate_is_lazy(problem, contraction):
    records = list(driver.iterate(problem, contraction()))
    run = jf.flow(problem, contraction())
    assert [r.energy for r in records] == run.energies[1:].tolist()
    assert [r.index for r in records] == list(range(1, 9))
    endless = jf.Problem(problem.functional, problem.initial, 0.25, steps=10**6)
    assert next(driver.iterate(endless, contraction())).index == 1


def test_iterate_goes_on_from_a_record(problem, contraction):
    records = list(driver.iterate(problem, contraction(), rng=3))
    rest = list(driver.iterate(problem, contraction(), resume=records[4]))
    assert [r.index for r in rest] == [6, 7, 8]
    for one, two in zip(records[5:], rest, strict=True):
        np.testing.assert_array_equal(one.measure.points, two.measure.points)
        assert one.energy == two.energy and one.rng_state == two.rng_state


def test_a_stored_record_without_its_state_is_no_place_to_go_on_from(tmp_path):
    """Silently it would begin again with other random numbers."""
    start = jf.Particles(RANDOM.normal(size=(6, 1)))
    asked = jf.Problem(jf.QuadraticPotential(1.0) + jf.Entropy(), start, 0.25, steps=4)
    whole = jf.flow(asked, jf.steppers.Splitting(), rng=1)
    jf.flow(asked, jf.steppers.Splitting(), rng=1, store=tmp_path / "run", max_steps=3)
    loaded = jf.load(tmp_path / "run")
    with pytest.raises(InvalidProblem, match="step 2 has neither"):
        next(driver.iterate(asked, jf.steppers.Splitting(), resume=loaded[2]))
    (last,) = driver.iterate(asked, jf.steppers.Splitting(), resume=loaded[-1])
    np.testing.assert_array_equal(last.measure.points, whole.final.points)


def test_the_loop_is_short():
    """The shape that the design asks for."""
    source = inspect.getsource(driver.iterate)
    body = source[source.rindex('"""') :].splitlines()[1:]
    assert len(body) <= 40
    body = inspect.getsource(driver.flow)
    assert len(body[body.rindex('"""') :].splitlines()[1:]) <= 40


def test_no_steps(contraction):
    asked = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0]), 0.1, steps=0)
    run = jf.flow(asked, contraction())
    assert run.status is Status.COMPLETE and len(run) == 0 and run.energies.tolist() == [0.5]


def test_saving_on_a_schedule_keeps_times_and_energies_of_all(problem, contraction):
    run = jf.flow(problem, contraction(), save=jf.every(3))
    assert run.saved.tolist() == [0, 3, 6, 8] and len(run.energies) == 9
    assert len(run.measures) == 4
    run = jf.flow(problem, contraction(), save=jf.at_times([0.5, 1.1]) | jf.only_last())
    assert run.saved.tolist() == [0, 2, 5, 8]


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("parts", [(3, 5), (1, 1, 6), (8, 4)])
def test_max_steps(problem, contraction, tmp_path, store, parts):
    folder = tmp_path if store else None
    taken = 0
    for part in parts:
        run = jf.flow(problem, contraction(), max_steps=part, store=folder)
        taken = min(8, taken + part) if store else min(8, part)
        assert len(run) == taken
        assert run.status is (Status.COMPLETE if taken == 8 else Status.MAX_STEPS)


@pytest.mark.parametrize("bad", [-1, 1.5, True, math.nan])
def test_senseless_max_steps(problem, contraction, bad):
    with pytest.raises(InvalidProblem, match="max_steps"):
        jf.flow(problem, contraction(), max_steps=bad)


# endings


@pytest.mark.parametrize("store", [False, True])
def test_an_event_ends_the_run(problem, contraction, tmp_path, store):
    folder = tmp_path if store else None
    run = jf.flow(problem, contraction(), events=[lambda r: r.energy < 1.0], store=folder)
    assert run.status is Status.EVENT and len(run) == 3  # 2.5·1.25^-6 = .655, 2.5·1.25^-4 = 1.02
    assert run.energies[-1] < 1.0 < run.energies[-2]


def test_a_run_ended_by_an_event_resumes_to_itself(problem, contraction, tmp_path):
    options = {"store": tmp_path, "events": [lambda r: r.energy < 1.0]}
    jf.flow(problem, contraction(), **options)
    run = jf.flow(problem, contraction(), **options)
    assert run.status is Status.EVENT and len(run) == 3
    run = jf.flow(problem, contraction(), store=tmp_path)
    assert run.status is Status.COMPLETE and len(run) == 8


def test_the_slope_as_an_event(problem, contraction):
    """The slope is √(2F) here, so it falls below 1 when F falls below ½."""
    from jkoflow.flows.observers import slope_below

    run = jf.flow(problem, contraction(), events=[slope_below(1.0)])
    assert run.status is Status.EVENT
    assert run.energies[-1] < 0.5 <= run.energies[-2]


def not_finite(output):
    return output._replace(status=Status.NON_FINITE)


def lighter(output):
    """The same points with nine tenths of the mass, past the constructor's checks."""
    measure = jf.Particles(output.measure.points)
    measure._weights = 0.9 * measure.weights
    return output._replace(measure=measure)


def holed(output):
    measure = jf.Particles(output.measure.points)
    measure._points = np.array([[np.nan], [1.0]])
    return output._replace(measure=measure)


@pytest.mark.parametrize(
    ("instead", "status"),
    [
        (not_finite, Status.NON_FINITE),
        (lambda output: output._replace(status=Status.MAX_ITERATIONS), Status.MAX_ITERATIONS),
        (lighter, Status.LOST_MASS),
        (holed, Status.NON_FINITE),
    ],
)
@pytest.mark.parametrize("store", [False, True])
def test_a_failed_step_keeps_the_steps_before_it(
    problem, contraction, tmp_path, instead, status, store
):
    stepper, folder = contraction(at=5, instead=instead), tmp_path if store else None
    with pytest.raises(StepFailed, match=re.escape(f"step 5 failed: {status}.")) as caught:
        jf.flow(problem, stepper, store=folder)
    for run in [caught.value.trajectory, jf.load(tmp_path)] if store else [caught.value.trajectory]:
        assert run.status is status and len(run) == 4 and len(run.measures) == 5
    assert caught.value.trajectory.failed.index == 5
    run = jf.flow(problem, stepper, throw=False)
    assert run.status is status and len(run) == 4 and not run.status.ok


def test_iterate_yields_the_failing_record_and_ends(problem, contraction):
    stepper = contraction(at=5, instead=not_finite)
    records = list(driver.iterate(problem, stepper))
    assert len(records) == 5 and records[-1].status is Status.NON_FINITE


@pytest.mark.parametrize("store", [False, True])
def test_an_error_in_a_step_is_named_and_keeps_the_steps(problem, contraction, tmp_path, store):
    def fail(output):
        raise ZeroDivisionError("division by zero")

    with pytest.raises(StepFailed, match=r"step 5.*ZeroDivisionError: division") as caught:
        jf.flow(problem, contraction(at=5, instead=fail), store=tmp_path if store else None)
    assert len(caught.value.trajectory) == 4
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    if store:
        assert len(jf.load(tmp_path)) == 4


def test_an_error_in_an_observer_comes_through_with_the_steps(problem, contraction, tmp_path):
    def fail(record):
        if record.index == 3:
            raise LookupError("my own")

    with pytest.raises(LookupError, match="my own") as caught:
        jf.flow(problem, contraction(), observers=[fail], store=tmp_path)
    assert len(caught.value.trajectory) == 3 == len(jf.load(tmp_path))
    assert caught.value.trajectory.status is Status.FAILED is jf.load(tmp_path).status


@pytest.mark.parametrize(("error", "status"), [
    (ZeroDivisionError("mine"), Status.FAILED), (StoreError("the disk is full"), Status.FAILED),
    (SystemExit(3), Status.INTERRUPTED),
])  # fmt: skip
def test_how_an_observer_ends_a_run_is_in_the_store(problem, contraction, tmp_path, error, status):
    def leave(record):
        if record.index == 3:
            raise error

    with pytest.raises(type(error)):
        jf.flow(problem, contraction(), store=tmp_path, observers=[leave])
    stored = jf.load(tmp_path)
    assert stored.status is status and len(stored) == 3
    report = jf.check_run(problem, tmp_path)
    assert report["completeness"].verdict is jf.Verdict.UNDECIDED
    whole = jf.flow(problem, contraction(), store=tmp_path)
    np.testing.assert_array_equal(whole.energies, jf.flow(problem, contraction()).energies)


def test_leaving_the_program_from_an_observer_closes_the_store(problem, contraction, tmp_path):
    def leave(record):
        if record.index == 3:
            raise SystemExit

    with pytest.raises(SystemExit):
        jf.flow(problem, contraction(), observers=[leave], store=tmp_path)
    assert len(jf.load(tmp_path)) == 3
    assert len(jf.flow(problem, contraction(), store=tmp_path)) == 8


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("store", [False, True])
def test_control_c_returns_what_there_is(problem, contraction, tmp_path, store):
    def press(record):
        if record.index == 3:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    folder = tmp_path if store else None
    run = jf.flow(problem, contraction(), observers=[press], store=folder)
    assert run.status is Status.INTERRUPTED and len(run) == 3 and len(run.energies) == 4
    assert signal.getsignal(signal.SIGINT) is before
    if store:
        assert jf.load(tmp_path).status is Status.INTERRUPTED
        assert jf.flow(problem, contraction(), store=tmp_path).status is Status.COMPLETE


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_control_c_while_a_step_is_written_waits_for_its_end(problem, contraction):
    class Pressing(jf.flows.schedule.Schedule):
        def due(self, index, time, last, tau):
            if index == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return True

    run = jf.flow(problem, contraction(), save=Pressing())
    assert run.status is Status.INTERRUPTED
    assert len(run) == len(run.records) == run.last.index == 3


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_control_c_in_a_step_drops_that_step_only(problem, contraction):
    def press(output):
        os.kill(os.getpid(), signal.SIGINT)
        return output

    run = jf.flow(problem, contraction(at=4, instead=press))
    assert run.status is Status.INTERRUPTED and len(run) == 3


# bad functionals


class Answering(jf.QuadraticPotential):
    """Answers with what it is told, from the given call on."""

    def __init__(self, answer, after=0):
        super().__init__(1.0)
        self.answer, self.after, self.calls = answer, after, 0

    def value(self, mu):
        self.calls += 1
        if self.calls <= self.after:
            return super().value(mu)
        return self.answer(mu) if callable(self.answer) else self.answer


def asked(F) -> jf.Problem:
    return jf.Problem(F, jf.Particles([1.0, 3.0]), 0.25, steps=8)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (math.nan, "F is nan at the initial measure: start from"),
        (math.inf, "F is inf at the initial measure"),
        (np.array([1.0, 2.0]), "must return one real number"),
        (np.array([1.0]), "must return one real number"),
        (1 + 0j, "must return one real number"),
        (np.complex64(1), "must return one real number"),
        ("1.0", "must return one real number"),
        (None, "must return one real number"),
        (lambda mu: 1 / 0, "raised ZeroDivisionError"),
        (lambda mu: mu.points.__setitem__(0, 5.0), "work on a copy"),
        (lambda mu: mu.weights.__imul__(2.0), "work on a copy"),
        (lambda mu: RANDOM.random(), "answers .* and then"),
    ],
)
def test_a_functional_that_is_no_functional(contraction, answer, message):
    with pytest.raises(InvalidFunctional, match=message):
        jf.flow(asked(Answering(answer)), contraction())


@pytest.mark.parametrize("answer", [np.float32(2.5), np.array(2.5), 3, np.int64(3)])
def test_numbers_of_any_type_are_energies(contraction, answer):
    run = jf.flow(asked(Answering(answer)), contraction())
    assert run.energies.dtype == np.float64 and run.energies[0] == float(answer)


@pytest.mark.parametrize("answer", [math.nan, math.inf, -math.inf])
def test_a_functional_that_becomes_infinite(contraction, answer):
    with pytest.raises(StepFailed, match="step 4 failed: a value that is not finite") as caught:
        jf.flow(asked(Answering(answer, after=5)), contraction())  # two calls are at the start
    assert len(caught.value.trajectory) == 3


@pytest.mark.parametrize("answer", [np.zeros(2), 1j, lambda mu: 1 / 0])
def test_a_functional_that_becomes_senseless(contraction, tmp_path, answer):
    with pytest.raises(InvalidFunctional) as caught:
        jf.flow(asked(Answering(answer, after=5)), contraction(), store=tmp_path)
    assert len(caught.value.trajectory) == 3 == len(jf.load(tmp_path))


def test_what_is_not_defined_says_what_is(contraction):
    with pytest.raises(NotDefined, match=r"Quantiles, Radial, .* steppers\.Splitting"):
        jf.flow(jf.Problem(jf.Entropy(), jf.Particles([1.0, 2.0]), 0.1, steps=2))


def test_a_seed_that_is_none(problem, contraction):
    with pytest.raises(InvalidProblem, match="rng must be a seed"):
        jf.flow(problem, contraction(), rng="seven")


def test_a_store_that_cannot_be_leaves_the_problem_untouched(problem, contraction, tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(StoreError):
        jf.flow(problem, contraction(), store=tmp_path)


@pytest.mark.parametrize("run", [jf.flow, lambda problem: next(jf.iterate(problem))])
def test_only_problems_are_run(run):
    with pytest.raises(InvalidProblem, match=r"jkoflow.Problem\(functional, initial"):
        run(jf.Entropy())
