"""A run that ends anyhow, and goes on, equals the unbroken run bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.status import Status, StoreError
from jkoflow.store.book import Flush

STEPS = 40
EAGER = Flush(seconds=0.0)


@pytest.fixture
def unbroken(tmp_path, noisy):
    """The folder of the run that nothing befell, saved at every second step."""
    folder = tmp_path / "unbroken"
    jf.flow(noisy.problem(STEPS), noisy.Noisy(), store=folder, rng=7, save=jf.every(2))
    return folder


def go_on(noisy, folder, steps=STEPS, **options):
    store = jf.Directory(folder, options.pop("flush", Flush()))
    return jf.flow(
        noisy.problem(steps), noisy.Noisy(), store=store, rng=7, save=jf.every(2), **options
    )


@pytest.mark.parametrize("parts", [[1], [7, 1, 12], [STEPS - 1], [0, 5, 0]])
@pytest.mark.parametrize("flush", [EAGER, Flush(seconds=1e9, steps=3), Flush()])
def test_runs_in_parts(tmp_path, noisy, unbroken, assert_same_runs, parts, flush):
    taken = 0
    for part in parts:
        run = go_on(noisy, tmp_path / "parts", max_steps=part, flush=flush)
        taken += part
        assert len(run) == taken and run.status is Status.MAX_STEPS
        assert jf.load(tmp_path / "parts").status is Status.MAX_STEPS
    run = go_on(noisy, tmp_path / "parts", flush=flush)
    assert run.status is Status.COMPLETE
    assert_same_runs(tmp_path / "parts", unbroken)


def test_what_comes_back_in_memory_is_the_unbroken_trajectory(tmp_path, noisy, unbroken):
    whole = jf.flow(noisy.problem(STEPS), noisy.Noisy(), rng=7, save=jf.every(2))
    go_on(noisy, tmp_path / "parts", max_steps=11)
    run = go_on(noisy, tmp_path / "parts")
    for name in ("times", "energies", "distances_squared", "saved"):
        np.testing.assert_array_equal(getattr(run, name), getattr(whole, name), strict=True)
    for one, two in zip(run.measures, whole.measures, strict=True):
        np.testing.assert_array_equal(one.points, two.points, strict=True)
    for name, array in whole.last.state.items():
        np.testing.assert_array_equal(run.last.state[name], array, strict=True)
    assert run.last.rng_state == whole.last.rng_state


@pytest.mark.parametrize("name", ["PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_every_generator_of_numpy_goes_on(tmp_path, noisy, assert_same_runs, name):
    def rng():
        return np.random.Generator(getattr(np.random, name)(5))

    problem = noisy.problem(9)
    jf.flow(problem, noisy.Noisy(), store=tmp_path / "whole", rng=rng())
    jf.flow(problem, noisy.Noisy(), store=tmp_path / "parts", rng=rng(), max_steps=4)
    jf.flow(problem, noisy.Noisy(), store=tmp_path / "parts", rng=123)
    assert_same_runs(tmp_path / "parts", tmp_path / "whole")


class Crash(BaseException):
    """The machine stops: from here on, nothing reaches the disk."""


class Failing:
    """Lets the n-th call to the disk fail, writes only half of what it should, and all later."""

    def __init__(self, monkeypatch, at: int) -> None:
        self.calls, self.at = 0, at
        for name in ("write", "replace", "fsync", "ftruncate", "unlink"):
            monkeypatch.setattr(os, name, self.wrapped(name, getattr(os, name)))

    def wrapped(self, name, function):
        def call(*args):
            self.calls += 1
            if self.calls < self.at:  # a simulated crash needs no real disk to wait for
                return None if name == "fsync" else function(*args)
            if self.calls == self.at and name == "write":
                function(args[0], bytes(args[1])[: len(args[1]) // 2])
            raise Crash

        return call


@pytest.fixture
def hasty(monkeypatch):
    """No waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def crash_points(noisy, monkeypatch, folder) -> int:
    with monkeypatch.context() as patch:
        failing = Failing(patch, at=10**9)
        go_on(noisy, folder, steps=9, flush=Flush(seconds=1e9, steps=3))
        return failing.calls


def test_a_crash_at_any_call_to_the_disk(tmp_path, noisy, monkeypatch, hasty, assert_same_runs):
    """Each prefix of the calls is a moment at which the process can be killed."""
    total = crash_points(noisy, monkeypatch, tmp_path / "whole")
    assert total > 40
    for at in range(1, total + 1):
        folder = tmp_path / f"crash-{at}"
        with monkeypatch.context() as patch, pytest.raises(Crash):
            Failing(patch, at)
            go_on(noisy, folder, steps=9, flush=Flush(seconds=1e9, steps=3))
        if jf.Directory(folder).holds_run:
            assert len(jf.load(folder)) <= 9  # readable as it lies there
        run = go_on(noisy, folder, steps=9, flush=Flush(seconds=1e9, steps=3))
        assert run.status is Status.COMPLETE
        assert_same_runs(folder, tmp_path / "whole")
        assert not list(folder.glob("*.tmp"))


def test_a_crash_while_going_on(tmp_path, noisy, monkeypatch, hasty, assert_same_runs):
    """The second run is killed too, at each of its calls; the third one ends."""
    crash_points(noisy, monkeypatch, tmp_path / "whole")
    at = 0
    while True:
        at += 1
        folder = tmp_path / f"crash-{at}"
        go_on(noisy, folder, steps=9, max_steps=5, flush=Flush(seconds=1e9, steps=3))
        try:
            with monkeypatch.context() as patch:
                Failing(patch, at)
                go_on(noisy, folder, steps=9, flush=Flush(seconds=1e9, steps=3))
        except Crash:
            assert len(jf.load(folder)) >= 5  # what was on disk stays
            go_on(noisy, folder, steps=9)
            assert_same_runs(folder, tmp_path / "whole")
        else:
            break
    assert at > 15


def start(folder, noisy, steps, pause):
    return subprocess.Popen(
        [sys.executable, noisy.__file__, str(folder), str(steps), str(pause)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_steps(process, folder) -> None:
    """Until the process has put steps on disk."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        lines = folder / "steps.jsonl"
        if lines.exists() and lines.stat().st_size > 0:
            return
        time.sleep(0.005)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_killed_processes(tmp_path, noisy, assert_same_runs):
    """SIGKILL twice, at random moments."""
    steps, folder, rng = 300, tmp_path / "killed", random.Random(5)
    for _ in range(2):
        process = start(folder, noisy, steps, 0.002)
        wait_for_steps(process, folder)
        time.sleep(rng.uniform(0.0, 0.15))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert 0 < len(jf.load(folder)) < steps
    go_on(noisy, folder, steps=steps)
    go_on(noisy, tmp_path / "whole", steps=steps)
    assert_same_runs(folder, tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_twenty_five_killed_processes(tmp_path, noisy, assert_same_runs):
    """The measurement that DESIGN.md quotes: none of 25 is unreadable, and all go on."""
    steps, rng = 600, random.Random(6)
    go_on(noisy, tmp_path / "whole", steps=steps)
    for k in range(25):
        folder = tmp_path / f"killed-{k}"
        process = start(folder, noisy, steps, 0.0005)
        wait_for_steps(process, folder)
        time.sleep(rng.uniform(0.0, 0.2))
        process.kill()
        process.communicate()
        jf.load(folder)
        go_on(noisy, folder, steps=steps)
        assert_same_runs(folder, tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupted_process_loses_nothing(tmp_path, noisy, assert_same_runs):
    steps, folder = 300, tmp_path / "interrupted"
    process = start(folder, noisy, steps, 0.005)
    wait_for_steps(process, folder)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    status, taken = said.split()
    assert status == "INTERRUPTED" and process.returncode == 0
    stored = jf.Directory(folder).read()
    assert stored.status is Status.INTERRUPTED and stored.length == int(taken) > 0
    go_on(noisy, folder, steps=steps)
    go_on(noisy, tmp_path / "whole", steps=steps)
    assert_same_runs(folder, tmp_path / "whole")


def damage(file) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path, noisy, unbroken, assert_same_runs
):
    folder = tmp_path / "run"
    go_on(noisy, folder, max_steps=10, flush=Flush(seconds=1e9, steps=4))
    damage(folder / "checkpoint-00000010.npz")
    with pytest.warns(UserWarning, match="going on from the checkpoint of step 8"):
        run = go_on(noisy, folder)
    assert run.status is Status.COMPLETE
    assert_same_runs(folder, unbroken)


def test_no_readable_checkpoint_is_told(tmp_path, noisy):
    folder = tmp_path / "run"
    go_on(noisy, folder, max_steps=10, flush=Flush(seconds=1e9, steps=4))
    for file in folder.glob("checkpoint-*"):
        damage(file)
    with pytest.raises(StoreError, match=r"no readable checkpoint .*start again"):
        go_on(noisy, folder)


def test_steps_that_do_not_lead_to_the_checkpoint_are_told(tmp_path, noisy):
    folder = tmp_path / "run"
    go_on(noisy, folder, max_steps=6, flush=EAGER)
    lines = (folder / "steps.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "steps.jsonl").write_bytes(b"".join(lines[:4]))
    with pytest.raises(StoreError, match="do not lead to the checkpoint of step 6"):
        go_on(noisy, folder)
    (folder / "steps.jsonl").write_bytes(b"".join(lines))
    assert go_on(noisy, folder).status is Status.COMPLETE  # and the folder was let go


def test_a_failed_run_can_be_taken_up_again(tmp_path, noisy, unbroken, assert_same_runs):
    """A step fails at first (a lost connection, say), and succeeds when it is tried again."""

    class Unreliable(noisy.Noisy):
        broken = True

        def step(self, F, mu, tau, state, rng):
            if self.broken and int(state["count"]) == 12:
                raise ConnectionError("gone")
            return super().step(F, mu, tau, state, rng)

        def __repr__(self):
            return "Noisy()"

    folder, problem = tmp_path / "run", noisy.problem(STEPS)
    with pytest.raises(jf.status.StepFailed, match=r"step 13, .*ConnectionError: gone") as caught:
        jf.flow(problem, Unreliable(), store=folder, rng=7, save=jf.every(2))
    assert len(caught.value.trajectory) == 12
    assert len(jf.load(folder)) == 12 and jf.load(folder).status is Status.FAILED
    Unreliable.broken = False
    jf.flow(problem, Unreliable(), store=folder, rng=7, save=jf.every(2))
    assert_same_runs(folder, unbroken)


def test_a_full_disk_keeps_what_is_there(tmp_path, noisy, unbroken, assert_same_runs, monkeypatch):
    folder, real, calls = tmp_path / "run", os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 20:
            raise OSError(28, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"No space left on device.*free space") as caught:
            go_on(noisy, folder, flush=EAGER)
    in_memory = caught.value.trajectory
    assert 0 < len(jf.load(folder)) <= len(in_memory)
    go_on(noisy, folder)
    assert_same_runs(folder, unbroken)


def test_a_state_that_is_no_array_is_told(tmp_path, noisy):
    class Odd(noisy.Noisy):
        def step(self, F, mu, tau, state, rng):
            output = super().step(F, mu, tau, state, rng)
            return output._replace(state={**output.state, "memo": {"a": 1}})

    with pytest.raises(StoreError, match=r"state\.memo has type object") as caught:
        jf.flow(noisy.problem(3), Odd(), store=jf.Directory(tmp_path, EAGER), rng=7)
    assert len(caught.value.trajectory) == 1
