"""The page about a stored run: its numbers, its figures, and what the judge found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from .html import Image, write_page
from .plots import plot_run
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
        If the run cannot be read.
    MissingExtra
        If matplotlib is not installed.
    """
    from ..flows.stored import load

    run = load(directory)
    bound = problem.functional.lower_bound() if problem is not None else None
    return write_page(
        path,
        report,
        title=f"Run {Path(directory).resolve().name}",
        figures=[Image(png(plot_run(run, lower_bound=bound)), _CAPTION)],
        facts=run_facts(run),
        spec=problem.spec() if problem is not None else None,
        footer=f"jkoflow {__version__}",
    )


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
