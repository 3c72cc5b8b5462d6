"""What the commands read: a problem file, and the folder of a run."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .status import InvalidProblem, StoreError

if TYPE_CHECKING:
    from .problem import Problem


class Question(NamedTuple):
    """What a problem file defines."""

    problem: Problem
    stepper: Any


def judge_of(question: Question) -> Any:
    """What judges a run of it: the asker's stepper says of which order steps are to be."""
    from .check import check_run, check_second_order
    from .steppers import SecondOrder

    return check_second_order if isinstance(question.stepper, SecondOrder) else check_run


def read_problem(path: str) -> Question:
    """Run a Python file and take ``problem`` (and ``stepper``, if it is there) from it.

    The file runs as a script does: its folder can be imported from.

    Raises
    ------
    InvalidProblem
        If the file is not there, fails, leaves (`sys.exit`), or defines no ``problem``.
    """
    from .problem import Problem

    if not Path(path).is_file():
        raise InvalidProblem(f"{path} is not there: name a Python file that defines `problem`")
    names = _run(path)
    problem = names.get("problem")
    if not isinstance(problem, Problem):
        found = "nothing" if problem is None else f"a {type(problem).__name__}"
        raise InvalidProblem(
            f"{path} must define `problem`, a jkoflow.Problem, but defines {found} by that name"
        )
    return Question(problem, names.get("stepper"))


def _run(path: str) -> dict[str, Any]:
    from runpy import run_path

    folder = str(Path(path).resolve().parent)
    sys.path.insert(0, folder)
    try:
        return run_path(path, run_name="problem")
    except (Exception, SystemExit) as error:
        # SystemExit too: a file that leaves with 0 must not look like an accepted run.
        where = "".join(traceback.format_exception(error))
        raise InvalidProblem(f"{path} failed: {error!r}\n{where}") from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def existing(path: str) -> Path:
    """The folder of a run, which must be there."""
    folder = Path(path)
    if not folder.is_dir():
        found = "is no folder" if folder.exists() else "is not there"
        raise StoreError(f"{path} {found}: name the folder that `jkoflow run --store` wrote")
    return folder
