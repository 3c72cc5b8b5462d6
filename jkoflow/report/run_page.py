"""The page about a stored run: its numbers, its figures, and what the judge found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..status import StoreError
from .budget import CAPTION, plot_budget, step_budget
from .html import Image, write_page
from .plots import in_colours, plot_run
from .plots_2d import plot_row
from .style import png

_CAPTION = (
    "Left: some of the run's measures. Middle: the energy F at every step. Right: W2(ρ⁺, ρ)/τ, the "
    "slope of F at the new point. The clock is JKO time, the sum of the step sizes."
)


def write_run_page(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    problem: Any = None,
    report: Any = None,
) -> Path:
    """Write the page of the run stored in ``directory`` and return its path.

    Parameters
    ----------
    path, directory : paths
    problem : Problem, optional
        The question that ``report`` answers.
    report : Report, optional
        None where nobody has judged; the page then says so.

    Raises
    ------
    StoreError
        If the run cannot be read and there is no report: what was judged has a page even so.
    MissingExtra
        If matplotlib is not installed.
    """
    return write_page(
        path,
        report,
        title=f"Run {Path(directory).resolve().name}",
        **_contents(directory, problem, report),
        spec=problem.spec() if problem is not None else None,
        footer=f"jkoflow {__version__}",
    )


def _contents(directory: Any, problem: Any, report: Any) -> dict[str, Any]:
    """Figures and facts; only the reason where a run that was judged cannot be shown."""
    from ..flows.stored import load

    try:
        run = load(directory)
    except StoreError as error:
        if report is None:
            raise
        return {"facts": {"not shown": str(error)}}
    bound = problem.functional.lower_bound() if problem is not None else None
    figures = [Image(png(plot_run(run, lower_bound=bound)), _CAPTION)]
    if in_colours(run.measures[0]):
        chosen = np.unique(np.linspace(0, len(run.measures) - 1, 4).round().astype(int))
        titles = [f"T = {run.times[run.saved[k]]:.4g}" for k in chosen]
        row = plot_row([run.measures[k] for k in chosen], titles)
        figures.append(Image(png(row), "Densities along the run, on one scale of colours."))
    if problem is not None:
        budget = step_budget(problem, run)
        if len(budget.times):
            caption = CAPTION + _which(len(budget.times), len(run))
            figures.append(Image(png(plot_budget(budget)), caption))
    return {"figures": figures, "facts": run_facts(run)}


def _which(shown: int, steps: int) -> str:
    return "" if shown == steps else f" Shown are {shown} of the {steps} steps."


def run_facts(run: Any) -> dict[str, Any]:
    """Name → value for the page's short table."""
    taus = run.problem.taus
    step = f"{taus[0]:.6g}" if np.ptp(taus) == 0 else f"{taus.min():.4g} to {taus.max():.4g}"
    return {
        "steps taken": f"{len(run)} of {run.problem.steps}",
        "step size τ": step,
        "end time T": float(run.times[-1]),
        "energy at the start": float(run.energies[0]),
        "energy at the end": float(run.energies[-1]),
        "measure": repr(run.final),
        "how it ended": str(run.status),
    }
