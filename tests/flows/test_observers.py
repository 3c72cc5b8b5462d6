"""Observers look on, on their own schedules."""

from __future__ import annotations

import jkoflow as jf


def test_observers_see_each_step_once(problem, contraction):
    seen = []
    jf.flow(problem, contraction(), observers=[lambda r: seen.append(r.index)], save=jf.every(4))
    assert seen == list(range(1, 9))


def test_an_observer_on_a_schedule(problem, contraction):
    seen = []
    watcher = jf.observe(lambda r: seen.append(r.index), when=jf.every(3))
    jf.flow(problem, contraction(), observers=[watcher])
    assert seen == [3, 6, 8]


def test_a_recorder_keeps_values_and_times(problem, contraction):
    recorder = jf.Recorder(lambda mu: float(mu.mean()[0]))
    run = jf.flow(problem, contraction(), observers=[jf.observe(recorder, jf.every(4))])
    assert recorder.times == [1.0, 2.0]
    assert recorder.values == [float(run[4].measure.mean()[0]), float(run[8].measure.mean()[0])]


def test_observers_of_a_resumed_run_see_new_steps_only(problem, contraction, tmp_path):
    seen = []
    jf.flow(problem, contraction(), store=tmp_path, max_steps=5)
    jf.flow(problem, contraction(), store=tmp_path, observers=[lambda r: seen.append(r.index)])
    assert seen == [6, 7, 8]


def test_observers_come_before_events(problem, contraction):
    seen = []
    jf.flow(
        problem, contraction(), observers=[lambda r: seen.append(r.index)],
        events=[lambda r: r.index == 2],
    )  # fmt: skip
    assert seen == [1, 2]
