"""Judging and completing from disk take memory that does not grow with the number of steps."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.flows.trajectory import Trajectory
from jkoflow.record import StepRecord, Witness
from jkoflow.store.book import Flush

resource = pytest.importorskip("resource")

TAU = 1e-3
QUANTILES = """
import jkoflow as jf
problem = jf.Problem(
    jf.QuadraticPotential(1.0), jf.Quantiles.normal(0.3, 1.0, {size}), tau=1e-3, steps={steps}
)
"""
GAUSSIANS = """
import numpy as np
import jkoflow as jf
start = jf.Gaussian(np.ones({size}), np.diag(np.linspace(0.5, 2.0, {size})))
problem = jf.Problem(jf.QuadraticPotential(1.0), start, tau=1e-3, steps={steps})
"""
MEASURED = """
import math, resource, sys
from jkoflow import cli
from jkoflow.flows import stored
from jkoflow.store.book import Flush
stored.Flush = lambda **_: Flush(seconds=math.inf, bytes=2**18)  # as the run itself has here
try:
    cli.main(sys.argv[1:])
finally:
    if sys.platform == "linux":  # ru_maxrss is inherited from the process that started this one
        peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
        print("peak", int(peak.split()[1]) // 1024)
    else:
        print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20)
"""


def contracted(mu):
    """The step of ∫|x|²/2 dρ: every point goes to x/(1 + τ)."""
    if isinstance(mu, jf.Gaussian):
        return jf.Gaussian(mu.mean() / (1 + TAU), mu.cov() / (1 + TAU) ** 2)
    return mu.with_edges(mu.edges / (1 + TAU))


def map_back(mu):
    """The witness of `contracted`."""
    if isinstance(mu, jf.Gaussian):
        return Witness("symmetric-map", {"matrix": (1 + TAU) * np.eye(mu.dim)})
    return Witness("monotone")


def write(path, problem, flush, witness=map_back) -> None:
    """The exact run, written by the library's writer without keeping it."""
    F, mu, times = problem.functional, problem.initial, problem.times
    answer = Trajectory(problem, F.value(mu), status=jf.Status.COMPLETE)
    book = jf.Directory(path, flush).book(problem)
    book.restore(answer)
    for k in range(1, problem.steps + 1):
        mu = contracted(mu)
        moved = TAU**2 * float(mu.weights @ (mu.points**2).sum(axis=1))  # |x − x'| = τ|x'|
        record = StepRecord(
            k, float(times[k]), TAU, mu, F.value(mu), moved, witness(mu), {}, jf.Status.EXACT,
            {}, {},
        )  # fmt: skip
        book.write(record, keep=True)
    book.close(answer)


def peak_of(folder, *arguments) -> tuple[int, int, str]:
    """Exit code, peak memory in MB, and what a command prints."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    return done.returncode, int(done.stdout.split()[-1]), done.stdout + done.stderr


def asked(folder, text, size, steps):
    """The problem, and its file."""
    found: dict[str, jf.Problem] = {}
    source = text.format(size=size, steps=steps)
    exec(source, found)
    (folder / f"p{steps}.py").write_text(source)
    return found["problem"]


def peaks(folder, text, size, flush, numbers, command="check"):
    """Peak memory of a command on a short and on a long run."""
    found = []
    for steps in numbers:
        problem = asked(folder, text, size, steps)
        write(folder / f"run{steps}", problem, flush, BARE if command == "complete" else map_back)
        left, peak, said = peak_of(folder, command, f"p{steps}.py", f"run{steps}")
        shutil.rmtree(folder / f"run{steps}")
        shutil.rmtree(folder / f"run{steps}-complete", ignore_errors=True)
        assert left == 0, said
        found.append(peak)
    return found


SMALL = Flush(seconds=np.inf, bytes=2**18)  # so that the short run, too, has several segments
ROOM = 3  # MB, for an allocator's whims: the long runs hold 4 MB more of arrays than the short ones
BARE = lambda mu: None  # noqa: E731


@pytest.mark.parametrize(("text", "size"), [(QUANTILES, 240), (GAUSSIANS, 13)])
def test_checking_takes_no_memory_for_steps(text, size, tmp_path):
    # the short run, too, is more than the judge takes at once: 543 and 775 of these
    short, long = peaks(tmp_path, text, size, SMALL, (1000, 3400))
    assert long <= short + ROOM, (short, long)


def test_completing_takes_no_memory_for_steps(tmp_path):
    short, long = peaks(tmp_path, GAUSSIANS, 13, SMALL, (600, 3000), command="complete")
    assert long <= short + ROOM, (short, long)


def test_the_completed_run_is_accepted(tmp_path):
    problem = asked(tmp_path, GAUSSIANS, 3, 40)
    write(tmp_path / "run40", problem, SMALL, BARE)
    assert jf.check_run(problem, tmp_path / "run40").verdict is jf.Verdict.UNDECIDED
    code, _, said = peak_of(tmp_path, "complete", "p40.py", "run40")
    assert code == 0 and "40 witnesses added to 40 saved steps" in said
    assert peak_of(tmp_path, "check", "p40.py", "run40-complete")[0] == 0


@pytest.mark.slow
def test_a_hundred_thousand_steps_are_checked_in_the_memory_of_a_thousand(tmp_path):
    """n = 1000: 800 MB of edges, in segments of 8 MB."""
    short, long = peaks(tmp_path, QUANTILES, 1000, Flush(seconds=np.inf), (10**3, 10**5))
    # 4 arrays with a number for each step (τ and times, asked and stored): 3.2 MB; and a segment,
    # of which the short run has but one
    assert long <= short + 4 + 8 + ROOM, (short, long)
