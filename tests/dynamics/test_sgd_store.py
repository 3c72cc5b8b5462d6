"""Runs of SGD that are broken off and gone on with equal unbroken ones, bit for bit."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import jkoflow as jf
from jkoflow import Status
from jkoflow.dynamics import Recording, means
from jkoflow.dynamics.sgd import store as sgd_store
from jkoflow.networks import EmpiricalData, GaussianClasses, ScaledUnit, SimpleUnit, relu, tanh
from jkoflow.status import InvalidProblem, StepFailed, StoreError


class Own(ScaledUnit):
    """Not compiled."""


ROWS = np.arange(1400.0).reshape(-1, 2) / 700
DATA = EmpiricalData(ROWS, np.sin(np.arange(700.0)), replace=False)
CASES = {
    "single": dict(unit=ScaledUnit(relu), batch=1, dtype=np.float32),
    "noisy": dict(unit=SimpleUnit(tanh), batch=1, beta=30.0, lam=0.1, dtype=np.float32),
    "blocks": dict(unit=ScaledUnit(tanh), batch=3, beta=30.0, xi=lambda t: t**-0.25),
    "own": dict(unit=Own(tanh), batch=2, beta=9.0),
    "one pass": dict(unit=SimpleUnit(tanh), population=DATA, steps=700),
}
TIMES = np.linspace(0.0, 0.6, 9)


def run(case, record=TIMES, **more):
    options = {"population": GaussianClasses.std(2, 0.4), "steps": 6000, "epsilon": 1e-4,
               "rng": 3, **CASES[case], **more}  # fmt: skip
    unit = options.pop("unit")
    theta0 = np.random.default_rng(8).normal(size=(40, unit.dim(2)))
    if record is TIMES:
        record = TIMES * options["epsilon"] * options["steps"] / 0.6
    return jf.sgd(unit, options.pop("population"), theta0, record=record, **options)


def assert_equal(a, b):
    assert (a.status, a.steps) == (b.status, b.steps)
    np.testing.assert_array_equal(a.theta, b.theta)
    np.testing.assert_array_equal(a.times, b.times)
    assert a.statistics.keys() == b.statistics.keys()
    for name, rows in a.statistics.items():
        np.testing.assert_array_equal(rows, b.statistics[name], strict=True)
    for one, two in zip(a.snapshots, b.snapshots, strict=True):
        np.testing.assert_array_equal(one.points, two.points)


class Stop:
    """A statistic that sends Ctrl-C the first few times it is asked; says the same to all."""

    def __init__(self, at):
        self.at, self.asked = set(at), 0

    def spec(self):
        return {"name": "stop"}

    def __call__(self, theta):
        self.asked += 1
        if self.asked in self.at:
            signal.raise_signal(signal.SIGINT)
        return float(theta.sum())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("every", [0.0, 1e9], ids=["many checkpoints", "at the end"])
def test_broken_runs_equal_unbroken_ones(case, every, tmp_path, monkeypatch):
    monkeypatch.setattr(sgd_store, "SECONDS", every)
    times = TIMES if case != "one pass" else TIMES * 0.07 / 0.6
    whole = run(case, Recording(times, {"stop": Stop([]), "mean": means}, snapshots=True))
    stop = Stop([2, 3, 7])  # in the middle of chunks
    seen = []
    for _ in range(4):
        recording = Recording(times, {"stop": stop, "mean": means}, snapshots=True)
        part = run(case, recording, store=tmp_path / "run")
        seen.append((part.status, part.steps))
    assert [status for status, _ in seen] == [Status.INTERRUPTED] * 3 + [Status.COMPLETE]
    assert len({steps for _, steps in seen}) == 4
    assert_equal(part, whole)
    assert_equal(run(case, Recording(times, {"stop": Stop([]), "mean": means}, snapshots=True),
                     store=tmp_path / "run"), whole)  # fmt: skip


def test_the_store_changes_nothing(tmp_path):
    assert_equal(run("noisy"), run("noisy", store=tmp_path / "run"))


KILLED = """
import numpy as np, jkoflow as jf
from jkoflow.dynamics.sgd import store as sgd_store
from jkoflow.networks import GaussianClasses, SimpleUnit, tanh
sgd_store.SECONDS = 0.05
jf.sgd(SimpleUnit(tanh), GaussianClasses.std(2, 0.4), np.ones((400, 2)), steps={}, epsilon=1e-7,
       beta=3.0, rng=np.random.Generator(np.random.MT19937(5)), record=np.arange(4) * 0.003,
       store={!r})
"""


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path):
    folder, steps = tmp_path / "run", 100_000
    child = subprocess.Popen([sys.executable, "-c", KILLED.format(steps, str(folder))])
    try:
        deadline = time.monotonic() + 60
        while not (folder / "checkpoint.npz").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait()
    assert (folder / "checkpoint.npz").exists()

    def again(store):
        return jf.sgd(SimpleUnit(tanh), GaussianClasses.std(2, 0.4), np.ones((400, 2)),
                      steps=steps, epsilon=1e-7, beta=3.0, store=store,
                      rng=np.random.Generator(np.random.MT19937(5)),
                      record=np.arange(4) * 0.003)  # fmt: skip

    assert_equal(again(folder), again(None))


def test_without_a_seed_the_generators_of_the_first_run_go_on(tmp_path):
    stop = Stop([4])
    first = run("noisy", Recording(TIMES, {"stop": stop}), rng=None, store=tmp_path / "run")
    second = run("noisy", Recording(TIMES, {"stop": stop}), rng=None, store=tmp_path / "run")
    assert (first.status, second.status) == (Status.INTERRUPTED, Status.COMPLETE)
    with pytest.raises(StoreError, match=r"\(rng\)"):  # nobody knows whether it was this seed
        run("noisy", Recording(TIMES, {"stop": stop}), rng=5, store=tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"rng": 4}, "rng"),
        ({"steps": 6001}, "steps"),
        ({"epsilon": 1.1e-4}, "epsilon"),
        ({"xi": 2.0}, "xi"),
        ({"lam": 0.2}, "lam"),
        ({"beta": 31.0}, "beta"),
        ({"noise": "slides"}, "noise"),
        ({"batch": 2}, "batch"),
        ({"dtype": np.float64}, "dtype"),
        ({"population": GaussianClasses.var(2, 0.4)}, "population"),
        ({"unit": SimpleUnit(relu)}, "unit"),
        ({"record": [0.0, 0.1]}, "record"),
        ({"record": None}, "record"),
    ],
)
def test_a_changed_argument_is_refused(change, name, tmp_path):
    run("noisy", store=tmp_path / "run")
    with pytest.raises(StoreError, match=rf"other arguments \(.*{name}"):
        run("noisy", **{"store": tmp_path / "run", **change})


def test_threads_and_progress_may_change(tmp_path):
    first = run("blocks", store=tmp_path / "run")
    assert_equal(run("blocks", store=tmp_path / "run", threads=2, progress=True), first)


def test_an_error_keeps_what_there_is(tmp_path):
    class Fails(Stop):
        def __call__(self, theta):
            self.asked += 1
            if self.asked in self.at:
                raise ValueError("no")
            return float(theta.sum())

    fails = Fails([5])
    with pytest.raises(InvalidProblem):
        run("noisy", Recording(TIMES, {"stop": fails}), store=tmp_path / "run")
    again = run("noisy", Recording(TIMES, {"stop": fails}), store=tmp_path / "run")
    assert_equal(again, run("noisy", Recording(TIMES, {"stop": Stop([])})))
    assert fails.asked == len(TIMES) + 1  # nothing was recorded twice but the one that failed


def test_divergence_is_told_again(tmp_path):
    def diverge():
        jf.sgd(ScaledUnit(relu), EmpiricalData([[2.0]], [1.0]), np.ones((4, 3)), steps=9000,
               epsilon=50.0, lam=0.5, rng=0, record=[0.0], store=tmp_path / "run")  # fmt: skip

    with np.errstate(all="ignore"):
        for _ in range(2):
            with pytest.raises(StepFailed):
                diverge()


@pytest.mark.parametrize("damage", ["cut", "flip", "missing records", "foreign head"])
def test_damage_is_told(damage, tmp_path):
    folder = tmp_path / "run"
    run("noisy", store=folder)
    name = {"cut": "checkpoint.npz", "flip": "checkpoint.npz", "foreign head": "sgd.json",
            "missing records": "records-000000000.npz"}[damage]  # fmt: skip
    data = bytearray((folder / name).read_bytes())
    if damage == "missing records":
        os.remove(folder / name)
    else:
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data if damage != "cut" else data[:-100])
    with pytest.raises(StoreError):
        run("noisy", store=folder)


def test_foreign_folders_and_two_processes(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(StoreError, match=r"mine\.txt"):
        run("noisy", store=tmp_path)
    with pytest.raises(StoreError, match="named by the path"):
        run("noisy", store=3)

    def inside(theta):
        run("noisy", store=tmp_path / "run")
        return 0.0

    pytest.importorskip("fcntl")
    with pytest.raises(StoreError, match=r"another run|other arguments"):
        run("noisy", Recording([0.0], {"inside": inside}), store=tmp_path / "run")
