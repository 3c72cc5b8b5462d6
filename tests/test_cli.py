"""The command line: what it prints last, what it writes, and above all its exit codes."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import jkoflow as jf
from jkoflow import cli
from jkoflow.check import Finding, Report, Verdict
from jkoflow.cli import Exit
from jkoflow.demos import registry

PROBLEM = """
import jkoflow as jf

problem = jf.Problem(
    jf.Entropy() + jf.QuadraticPotential(1.0), jf.Quantiles.normal(1.0, 0.5, 60), tau=0.1, steps=6
)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def jkoflow(here, capsys):
    """Call the command line in this process; returns exit code, stdout and stderr."""

    def call(*arguments):
        with pytest.raises(SystemExit) as left:
            cli.main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return left.value.code, captured.out, captured.err

    return call


def write(path, text):
    Path(path).write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_run_then_check_is_accepted(jkoflow):
    write("p.py", PROBLEM)
    code, out, _ = jkoflow("run", "p.py", "--store", "out")
    assert code == 0 and "6 of 6 steps" in out
    code, out, _ = jkoflow("check", "p.py", "out")
    assert (code, out.splitlines()[-1]) == (0, "ACCEPTED")


def test_what_is_said_to_come_next_can_be_pasted(jkoflow):
    write("a problem.py", PROBLEM)
    _, out, _ = jkoflow("run", "a problem.py", "--store", "the run", "--max-steps", 2)
    again = shlex.split(out.splitlines()[-1].removeprefix("to go on: jkoflow "))
    code, out, _ = jkoflow(*again)
    code, *_ = jkoflow(*shlex.split(out.splitlines()[-1].removeprefix("to judge: jkoflow ")))
    assert code == 0


def test_check_of_another_question_is_rejected(jkoflow):
    write("p.py", PROBLEM)
    write("q.py", PROBLEM.replace("1.0)", "2.0)"))
    jkoflow("run", "p.py", "--store", "out")
    code, out, _ = jkoflow("check", "q.py", "out")
    assert (code, out.splitlines()[-1]) == (1, "REJECTED")


def test_what_nobody_claims_is_undecided(jkoflow):
    """A function of one's own with no claim of convexity: stationary, but is it the minimiser?"""
    write("p.py", """
        import jkoflow as jf

        @jf.functional
        def wells(x, w):
            return w @ ((x[:, 0] ** 2 - 1) ** 2)

        problem = jf.Problem(wells, jf.Particles([-0.5, 0.1, 0.7]), tau=0.05, steps=3)
        """)
    assert jkoflow("run", "p.py", "--store", "out")[0] == 0
    code, out, _ = jkoflow("check", "p.py", "out")
    assert (code, out.splitlines()[-1]) == (2, "UNDECIDED")


def test_resume_equals_the_unbroken_run(jkoflow):
    write("p.py", PROBLEM)
    code, out, _ = jkoflow("run", "p.py", "--store", "part", "--max-steps", 2)
    assert code == 0 and "--resume" in out
    code, _, err = jkoflow("run", "p.py", "--store", "part")
    assert code == Exit.UNREADABLE and "--resume" in err
    assert jkoflow("run", "p.py", "--store", "part", "--resume")[0] == 0
    assert jkoflow("run", "p.py", "--store", "whole")[0] == 0
    for part, whole in zip(jf.load("part").measures, jf.load("whole").measures, strict=True):
        np.testing.assert_array_equal(part.points, whole.points)


def test_another_problem_does_not_continue_a_run(jkoflow):
    write("p.py", PROBLEM)
    write("q.py", PROBLEM.replace("0.5", "0.6"))
    jkoflow("run", "p.py", "--store", "out", "--max-steps", 2)
    code, _, err = jkoflow("run", "q.py", "--store", "out", "--resume")
    assert code == Exit.UNREADABLE and "another problem" in err
    assert len(jf.load("out")) == 2


def test_a_step_altered_by_hand_is_rejected(jkoflow):
    """Moved by 1e-3 of an edge and written anew, hashes and all: only arithmetic can tell."""
    write("p.py", PROBLEM)
    jkoflow("run", "p.py", "--store", "out")
    run = jf.load("out")
    edges = run[4].measure.edges.copy()
    edges[30] += 1e-3 * (edges[31] - edges[30])
    altered = dataclasses.replace(run[4], measure=run[4].measure.with_edges(edges))
    run.records[run.records.index(run[4])] = altered
    jf.save(run, "altered")
    code, out, _ = jkoflow("check", "p.py", "altered")
    assert (code, out.splitlines()[-1]) == (1, "REJECTED")


def by_numpy(folder):
    """A step moved in its segment, which is an npz file that NumPy writes anew."""
    file = next(folder.glob("segment*"))
    with np.load(file) as loaded:
        arrays = dict(loaded)
    arrays["measure.edges"] = arrays["measure.edges"] + 0.01
    np.savez(file, **arrays)


def by_json(folder):
    """A step's energy in its line, which JSON writes anew."""
    lines = (folder / "steps.jsonl").read_text().splitlines()
    step = json.loads(lines[2])
    step["energy"] -= 0.01
    lines[2] = json.dumps(step)
    (folder / "steps.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("alter", [by_numpy, by_json])
def test_a_step_altered_with_common_tools_is_rejected(jkoflow, here, alter):
    write("p.py", PROBLEM)
    jkoflow("run", "p.py", "--store", "out")
    alter(here / "out")
    code, out, _ = jkoflow("check", "p.py", "out", "--html", "page.html")
    assert (code, out.splitlines()[-1]) == (1, "REJECTED")
    assert "changed" in Path("page.html").read_text() or "checksum" in Path("page.html").read_text()
    code, out, _ = jkoflow("report", "out", "--problem", "p.py")
    assert code == 0 and "REJECTED" in out
    assert jkoflow("report", "out")[0] == Exit.UNREADABLE


def test_a_flipped_bit_is_not_accepted(jkoflow, here):
    write("p.py", PROBLEM)
    jkoflow("run", "p.py", "--store", "out")
    segment = next((here / "out").glob("segment*"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    code, out, _ = jkoflow("check", "p.py", "out")
    assert code in (Exit.REJECTED, Exit.UNREADABLE) and "ACCEPTED" not in out.splitlines()[-1:]


def test_json_and_html(jkoflow, here):
    write("p.py", PROBLEM)
    jkoflow("run", "p.py", "--store", "out")
    code, out, _ = jkoflow("check", "p.py", "out", "--json", "--html", "page.html")
    answer = json.loads(out)
    assert (code, answer["verdict"], answer["exit_code"]) == (0, "ACCEPTED", 0)
    assert answer["findings"]
    page = (here / "page.html").read_text(encoding="utf-8")
    assert "ACCEPTED" in page and "data:image/png;base64," in page


def test_report_needs_no_network_and_says_when_nobody_judged(jkoflow, here):
    write("p.py", PROBLEM)
    jkoflow("run", "p.py", "--store", "out")
    code, out, _ = jkoflow("report", "out")
    page = (here / "out" / "report.html").read_text(encoding="utf-8")
    assert code == 0 and "not judged" in page and "not judged" in out
    code, out, _ = jkoflow("report", "out", "--problem", "p.py", "--out", "x.html")
    page = (here / "x.html").read_text(encoding="utf-8")
    assert code == 0 and "ACCEPTED" in page
    assert "http://" not in page and "https://" not in page
    # The page beside the run does not disturb it.
    assert jkoflow("check", "p.py", "out")[0] == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "must define `problem`"),
        ("problem = 3", "but defines a int"),
        ("1/0", "ZeroDivisionError"),
        ("def", "SyntaxError"),
        ("import sys; sys.exit(0)", "SystemExit"),
    ],
)
def test_a_bad_problem_file_is_unreadable(jkoflow, text, says):
    write("p.py", text)
    for arguments in (("check", "p.py", "out"), ("run", "p.py", "--store", "out")):
        code, _, err = jkoflow(*arguments)
        assert code == Exit.UNREADABLE
        assert says in err


def test_missing_files_are_unreadable(jkoflow, here):
    assert jkoflow("check", "none.py", "out")[0] == Exit.UNREADABLE
    write("p.py", PROBLEM)
    code, _, err = jkoflow("check", "p.py", "out")
    assert code == Exit.UNREADABLE and "out is not there" in err
    (here / "empty").mkdir()
    assert jkoflow("check", "p.py", "empty")[0] == Exit.UNREADABLE
    assert jkoflow("report", "empty")[0] == Exit.UNREADABLE


def test_a_truncated_store_is_unreadable(jkoflow, here):
    write("p.py", PROBLEM)
    jkoflow("run", "p.py", "--store", "out")
    file = here / "out" / "run.json"
    file.write_bytes(file.read_bytes()[:-40])
    code, out, err = jkoflow("check", "p.py", "out")
    assert code == Exit.UNREADABLE and "ACCEPTED" not in out and str(file.name) in err


def test_a_problem_file_may_import_its_neighbour(jkoflow):
    write("neighbour_of_p.py", "strength = 1.5")
    write("p.py", "from neighbour_of_p import strength\n" + PROBLEM.replace("1.0)", "strength)", 1))
    assert jkoflow("run", "p.py", "--store", "out")[0] == 0
    assert str(Path.cwd()) not in sys.path


@pytest.mark.parametrize(
    "arguments",
    [["frobnicate"], ["check", "--frob", "a", "b"], ["check", "only-one"], ["demo", "nonsense"],
     ["run", "p.py", "--store", "s", "--max-steps", "0"]],
)  # fmt: skip
def test_wrong_usage_is_not_undecided(jkoflow, arguments):
    code, _, err = jkoflow(*arguments)
    assert code == Exit.USAGE != Exit.UNDECIDED
    assert "Usage" in err or "Error" in err


def test_a_failed_step_keeps_the_steps_before_it(jkoflow):
    write("p.py", """
        import jkoflow as jf

        class Tired(jf.steppers.BuresProximal):
            def step(self, F, mu, tau, state, rng):
                output = super().step(F, mu, tau, state, rng)
                tired = mu.mean()[0] < 0.6
                return output._replace(status=jf.Status.STALLED) if tired else output

        problem = jf.Problem(
            jf.QuadraticPotential(1.0), jf.Gaussian([1.0], [[1.0]]), tau=0.25, steps=9
        )
        stepper = Tired()
        """)
    code, out, err = jkoflow("run", "p.py", "--store", "out")
    assert code == 1 and "step 4 failed" in err and "3 of 9 steps are kept in out" in out
    assert len(jf.load("out")) == 3


def test_a_functional_that_breaks_on_the_way_says_where(jkoflow):
    write("p.py", """
        import jkoflow as jf

        @jf.functional
        def fragile(x, w):
            value = float(w @ x[:, 0] ** 2)
            return value if value > 0.3 else float("nan")

        problem = jf.Problem(fragile, jf.Particles([1.0, 0.5]), tau=0.2, steps=9)
        """)
    code, out, err = jkoflow("run", "p.py", "--store", "out")
    assert code == Exit.UNREADABLE and "fragile returned NaN" in err and "in step 2" in err
    assert "1 of 9 steps are kept in out" in out and len(jf.load("out")) == 1


@pytest.mark.parametrize("how", ["raise RuntimeError('broken')", "raise SystemExit(0)"])
def test_an_unexpected_error_in_check_is_internal(jkoflow, monkeypatch, how):
    write("p.py", PROBLEM)
    jkoflow("run", "p.py", "--store", "out")

    def broken(*_):
        exec(how)

    monkeypatch.setattr("jkoflow.check.check_run", broken)
    code, out, err = jkoflow("check", "p.py", "out")
    assert code == Exit.INTERNAL and "internal error" in err and "Traceback" in err
    assert "ACCEPTED" not in out


def finding(verdict):
    return Finding("a claim", verdict, 1.0, 2.0)


@pytest.mark.parametrize(
    ("findings", "word", "code"),
    [
        ([finding(Verdict.ACCEPTED)], "ACCEPTED", 0),
        ([finding(Verdict.ACCEPTED), finding(Verdict.REJECTED)], "REJECTED", 1),
        ([finding(Verdict.ACCEPTED), finding(Verdict.UNDECIDED)], "UNDECIDED", 2),
        ([], "UNDECIDED", 2),
    ],
)
def test_demo_ends_in_the_verdict(jkoflow, here, monkeypatch, findings, word, code):
    made = []

    def compute(session):
        made.append((session.out, session.quick))
        assert session.out.is_dir()
        session.echo("working")
        report = Report("fake", tuple(findings))
        return registry.DemoResult(report, [session.out / "figure.png"])

    fake = registry.Demo("fake", "A demo", 1.0, 1.0, "", compute)
    monkeypatch.setattr(registry, "names", lambda: ["fake"])
    monkeypatch.setattr(registry, "demo", lambda name: fake)
    left, out, _ = jkoflow("demo", "fake", "--quick")
    assert (left, out.splitlines()[-1]) == (code, word)
    assert "figure.png" in out and made == [(Path("jkoflow-demo/fake"), True)]
    assert jkoflow("demo", "fake", "--out", "elsewhere")[0] == code
    assert (here / "elsewhere").is_dir()


def test_lists(jkoflow):
    code, out, _ = jkoflow("list")
    assert code == 0
    for word in ("radial", "digits", "QuantileNewton", "Gaussian", "Entropy", "Risk"):
        assert word in out
    assert "Smooth " not in out
    code, out, _ = jkoflow("demo", "--list")
    assert code == 0 and "digits" in out


def test_version_and_help(jkoflow):
    assert jkoflow("--version")[:2] == (0, f"jkoflow {jf.__version__}\n")
    code, out, _ = jkoflow("--help")
    assert code == 0 and "demo" in out


def test_ctrl_c_keeps_the_steps_and_says_how_to_go_on(here):
    write("p.py", """
        import time
        import jkoflow as jf

        class Slow(jf.steppers.BuresProximal):
            def step(self, *arguments):
                time.sleep(0.02)
                return super().step(*arguments)

        problem = jf.Problem(
            jf.QuadraticPotential(1.0), jf.Gaussian([1.0], [[1.0]]), tau=0.01, steps=100_000
        )
        stepper = Slow()
        """)
    process = command("run", "p.py", "--store", "out")
    try:
        deadline = time.monotonic() + 60
        while not (here / "out" / "run.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == Exit.INTERRUPTED, err
    assert "jkoflow run p.py --store out --resume" in out
    assert 0 < len(jf.load("out")) < 100_000


def test_help_is_quick(here):
    """The command line loads no numerical library before a command needs it."""
    code = "import sys, jkoflow.cli; print(sorted({m.split('.')[0] for m in sys.modules}))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    ).stdout
    for heavy in ("numpy", "scipy", "matplotlib", "ot", "cvxpy", "numba", "jinja2"):
        assert f"'{heavy}'" not in out


def test_a_reader_that_leaves_gets_no_verdict(here):
    write("p.py", PROBLEM)
    with command("run", "p.py", "--store", "out") as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    with command("check", "p.py", "out") as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == Exit.INTERNAL
    assert "Traceback" not in err


def command(*arguments):
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "jkoflow.cli", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip


def environment():
    """This environment, with the package where this process found it."""
    place = str(Path(jf.__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": place, "PYTHONUNBUFFERED": "1"}


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "jkoflow", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == Exit.USAGE and "nonsense" in done.stderr


def test_a_run_of_second_order_is_judged_as_one(jkoflow, here):
    source = """
        import jkoflow as jf
        F = jf.Entropy() + jf.QuadraticPotential(1.0)
        problem = jf.Problem(F, jf.Quantiles.normal(1.0, 0.5, 60), tau=0.1, steps=4)
    """
    write("plain.py", source)
    write("second.py", source + "    stepper = jf.steppers.SecondOrder()\n")
    assert jkoflow("run", "second.py", "--store", "run")[0] == 0
    assert jkoflow("check", "second.py", "run")[0] == 0
    assert jkoflow("check", "plain.py", "run")[0] == 1  # these are no steps of the JKO scheme
