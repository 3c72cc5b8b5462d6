"""The command line: demo, run, check, report, complete, export, list, lab.

Nothing but click is imported until a command runs, so that ``jkoflow --help`` is quick. Exit
codes are in `Exit`; `main` is the only place where a code is decided for an error.
"""

from __future__ import annotations

import io
import shlex
import sys
import traceback
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import click

from . import __version__
from .status import JkoflowError, StepFailed


class Exit(IntEnum):
    """Exit codes. A usage error has its own, so that no script takes it for UNDECIDED."""

    ACCEPTED = 0
    REJECTED = 1
    UNDECIDED = 2
    UNREADABLE = 3
    INTERNAL = 4
    USAGE = 64
    INTERRUPTED = 130


_COLOURS = {"ACCEPTED": "green", "REJECTED": "red", "UNDECIDED": "yellow"}
_HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_HELP)
@click.version_option(__version__, "--version", message="jkoflow %(version)s")
def cli() -> None:
    """Gradient flows of probability measures by the JKO scheme, and their judge.

    Exit codes: 0 accepted (or done), 1 rejected (or a step failed), 2 undecided, 3 unreadable
    or invalid input, 4 internal error, 64 wrong usage, 130 interrupted.
    """


@cli.command()
@click.argument("name", default="radial", metavar="[NAME]")
@click.option("--out", type=click.Path(file_okay=False), help="Folder [jkoflow-demo/NAME].")
@click.option("--quick", is_flag=True, help="Smaller sizes: for a look, not for figures.")
@click.option("--resume", is_flag=True, help="Go on with what the folder holds.")
@click.option("--jobs", type=int, default=1, help="Processes for sweeps; −1: all cores [1].")
@click.option("--progress/--no-progress", default=None, help="Show bars [on a terminal].")
@click.option("--list", "show", is_flag=True, help="Say which demos there are, and stop.")
def demo(
    name: str, out: str | None, quick: bool, resume: bool, jobs: int, progress: bool | None,
    show: bool,
) -> int:  # fmt: skip
    """Run a demo, judge it, and say where its figure and report are.

    Without NAME: SGD on a two-layer network against the JKO flow of its risk and free energy.
    """
    from .demos import registry
    from .demos.session import Session

    if show:
        for entry in registry.demos():
            click.echo(f"{entry.name:<18} {entry.about(False):<13} {entry.title}")
            click.echo(click.wrap_text(entry.settings, 96, " " * 33, " " * 33))
        return Exit.ACCEPTED
    if name not in registry.names():
        known = ", ".join(registry.names())
        raise click.UsageError(f"there is no demo {name!r}: choose from {known}")
    chosen = registry.demo(name)
    folder = Path(out or Path("jkoflow-demo") / name)
    folder.mkdir(parents=True, exist_ok=True)
    click.echo(f"{chosen.title} ({chosen.about(quick)})")
    bars = sys.stderr.isatty() if progress is None else progress
    try:
        result = chosen.compute(Session(folder, quick, resume, bars, jobs, click.echo))
    except KeyboardInterrupt:
        again = " --quick" if quick else ""
        again += " --resume"
        click.echo(f"to go on: jkoflow demo {name} --out {shlex.quote(str(folder))}{again}")
        raise
    click.echo()
    return _say(result.report, result.files)


@cli.command()
@click.argument("problem", metavar="PROBLEM.py")
@click.option("--store", required=True, help="Folder that the steps are kept in.")
@click.option("--resume", is_flag=True, help="Go on with the run that the folder holds.")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop after so many steps.")
@click.option("--progress/--no-progress", default=None, help="Show a bar [on a terminal].")
def run(
    problem: str, store: str, resume: bool, max_steps: int | None, progress: bool | None
) -> int:
    """Run the problem that PROBLEM.py defines, keeping every step.

    The file defines `problem`, a jkoflow.Problem, and, if it likes, `stepper`.
    """
    from .cli_files import read_problem
    from .flows.driver import flow
    from .status import Status, StoreError
    from .store.directory import Directory

    if Directory(store).holds_run and not resume:
        raise StoreError(f"{store} holds a run: add --resume to go on, or name another folder")
    question = read_problem(problem)
    bar = sys.stderr.isatty() if progress is None else progress
    try:
        answer = flow(
            question.problem, question.stepper, store=store, max_steps=max_steps, progress=bar
        )
    except JkoflowError as error:
        if (kept := getattr(error, "trajectory", None)) is not None:
            click.echo(f"{len(kept)} of {question.problem.steps} steps are kept in {store}")
        raise
    click.echo(
        f"{len(answer)} of {question.problem.steps} steps, T = {answer.times[-1]:.6g}, "
        f"F = {answer.energies[-1]:.9g}: {answer.status}"
    )
    file, folder = shlex.quote(problem), shlex.quote(store)
    if len(answer) < question.problem.steps:
        click.echo(f"to go on: jkoflow run {file} --store {folder} --resume")
    else:
        click.echo(f"to judge: jkoflow check {file} {folder}")
    return Exit.INTERRUPTED if answer.status is Status.INTERRUPTED else Exit.ACCEPTED


@cli.command()
@click.argument("problem", metavar="PROBLEM.py")
@click.argument("directory", metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write a page with it, too.")
def check(problem: str, directory: str, as_json: bool, html: str | None) -> int:
    """Judge the run in DIR against the problem that PROBLEM.py defines.

    A run is judged as one of second order if the file's `stepper` is a SecondOrder. Exit code: 0
    accepted, 1 rejected, 2 undecided, 3 unreadable, 4 internal error.
    """
    from .cli_files import existing, judge_of, read_problem

    question = read_problem(problem)
    found = judge_of(question)(question.problem, existing(directory))
    if html:
        _write_page(html, directory, question.problem, found)
    if as_json:
        click.echo(found.to_json())
        return int(found.exit_code)
    return _say(found)


@cli.command()
@click.argument("directory", metavar="DIR")
@click.option("--problem", metavar="PROBLEM.py", help="Judge against the problem of this file.")
@click.option("--out", type=click.Path(dir_okay=False), help="File [DIR/report.html].")
def report(directory: str, problem: str | None, out: str | None) -> int:
    """Write one HTML page about the run in DIR, with figures and findings inside.

    Without --problem there is no question to judge the run against, and the page says so. The
    exit code tells whether the page was written, not what it says; `check` tells that.
    """
    from .cli_files import existing, judge_of, read_problem

    folder = existing(directory)
    asked = read_problem(problem) if problem else None
    found = judge_of(asked)(asked.problem, folder) if asked else None
    question = asked.problem if asked else None
    page = _write_page(out or str(folder / "report.html"), directory, question, found)
    click.echo(f"wrote {page}: {found.verdict.name if found else 'not judged'}")
    return Exit.ACCEPTED


@cli.command()
@click.argument("problem", metavar="PROBLEM.py")
@click.argument("directory", metavar="DIR")
@click.option("--out", type=click.Path(file_okay=False), help="New folder [DIR-complete].")
def complete(problem: str, directory: str, out: str | None) -> int:
    """Add the witnesses that the run in DIR lacks, and keep it in a new folder.

    Solves the transport problems that the judge would not solve. Nothing else is changed, and
    nothing is judged. Exit code 2 if a step still lacks its witness, or was not saved.
    """
    import warnings

    from .cli_files import existing, read_problem
    from .flows.complete import complete as completed
    from .store.format import read_run

    question, folder = read_problem(problem), existing(directory)
    target = out or f"{folder}-complete"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        completed(question.problem, folder, target)
    added = saved = 0
    for old, new in zip(read_run(folder), read_run(target), strict=True):
        saved += new.measure is not None
        added += _arrays(new.witness) > _arrays(old.witness)
    for warning in told:
        click.echo(f"jkoflow: {warning.message}", err=True)
    click.echo(f"{added} witnesses added to {saved} saved steps; wrote {target}")
    click.echo(f"to judge: jkoflow check {shlex.quote(problem)} {shlex.quote(target)}")
    return Exit.UNDECIDED if told else Exit.ACCEPTED


def _arrays(witness: Any) -> int:
    return 0 if witness is None else 1 + len(witness.arrays)


@cli.command()
@click.argument("directory", metavar="DIR")
@click.argument("file", metavar="FILE.nc", type=click.Path(dir_okay=False))
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
def export(directory: str, file: str, force: bool) -> int:
    """Write the run in DIR as one NetCDF file, which is HDF5, for other programs.

    What it holds is what jkoflow.to_xarray gives. It cannot be judged: keep DIR for that.
    """
    from .cli_files import existing
    from .flows.export import write_netcdf

    click.echo(f"wrote {write_netcdf(existing(directory), file, replace=force)}")
    return Exit.ACCEPTED


@cli.command("list")
def list_() -> int:
    """List the demos, steppers, measures and functionals."""
    import shutil

    from .cli_catalogue import entries, table

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    click.echo(table(list(entries()), width))
    return Exit.ACCEPTED


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Where to serve it [any that is free].")
@click.option("--headless", is_flag=True, help="Do not open a browser.")
def lab(port: int | None, headless: bool) -> int:
    """Open the laboratory in a browser: a flow on the line and its judge, by sliders.

    It is served on this machine until Ctrl-C.
    """
    from .lab.launch import launch

    return Exit.ACCEPTED if launch(port, headless) == 0 else Exit.INTERNAL


def _write_page(path: str, directory: str, problem: Any, found: Any) -> Path:
    from .report.run_page import write_run_page

    return write_run_page(path, directory, problem=problem, report=found)


def _say(found: Any, files: Iterable[Any] = ()) -> int:
    """The report, what was written, and last the verdict, from which the exit code is."""
    click.echo(found.text())
    for file in files:
        click.echo(f"wrote {file}")
    name = found.verdict.name
    click.secho(name, fg=_COLOURS.get(name), bold=True)
    return int(found.exit_code)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: run a command and leave with its exit code."""
    sys.exit(_guarded(arguments))


def _guarded(arguments: Sequence[str] | None) -> int:
    # Not click's own main, which would give usage errors the code 2 and a broken pipe the code 1.
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with cli.make_context("jkoflow", given) as context:
            code = cli.invoke(context)
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as done:  # --help, --version
        return done.exit_code
    except click.UsageError as error:
        error.show()
        return Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return Exit.INTERRUPTED
    except StepFailed as error:
        click.echo(f"jkoflow: {error}", err=True)
        return Exit.REJECTED
    except (JkoflowError, click.ClickException) as error:
        click.echo(" ".join([f"jkoflow: {error}", *getattr(error, "__notes__", ())]), err=True)
        return Exit.UNREADABLE
    except BrokenPipeError:
        sys.stdout = io.StringIO()  # the reader left; leaving must not try to flush again
        return Exit.INTERNAL  # the verdict was not delivered
    except (Exception, SystemExit) as error:
        # SystemExit too: a functional that calls sys.exit(0) must not look like ACCEPTED.
        click.echo(f"jkoflow: internal error: {error!r}", err=True)
        traceback.print_exc()
        return Exit.INTERNAL


if __name__ == "__main__":
    main()
