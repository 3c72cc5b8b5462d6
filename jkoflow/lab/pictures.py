"""What the laboratory shows of a run: its figures, and the judge's findings as rows."""

from __future__ import annotations

from typing import Any

from ..equilibrium.gibbs import solve_gibbs
from ..flows.trajectory import Trajectory
from ..problem import Problem
from ..report.budget import plot_budget, step_budget
from ..report.plots import plot_density, plot_run
from ..status import NotDefined, Status
from ..verdict import Report

COLOURS = {"ACCEPTED": "success", "REJECTED": "danger", "UNDECIDED": "warn"}


def pictures(problem: Problem, run: Trajectory) -> list[Any]:
    """The run with the Gibbs law it may end in, and what each of its steps dissipates."""
    law, bound = gibbs_law(problem)
    shown = plot_run(run, lower_bound=bound)
    if law is not None:
        plot_density(law, label="Gibbs law", ax=shown.axes[0])
    return [shown, plot_budget(step_budget(problem, run))]


def gibbs_law(problem: Problem) -> tuple[Any, float | None]:
    """ρ* with ρ* = exp(−βΨ(·;ρ*))/Z, and a lower bound of F where F is convex along mixtures.

    None where there is no such law, as without entropy.
    """
    try:
        found = solve_gibbs(problem.functional, problem.initial)
    except NotDefined:
        return None, None
    if found.status is not Status.CONVERGED:
        return None, None
    bound = found.free_energy - found.gap
    return found.measure, bound if bound > float("-inf") else None


def rows(report: Report) -> list[dict[str, str]]:
    """The findings for a table, those first that were not accepted."""
    worst_first = sorted(report.findings, key=lambda f: f.severity[0], reverse=True)
    return [
        {
            "verdict": str(f.verdict),
            "claim": f.claim,
            "measured": f"{f.measured:.3g}",
            "bound": f"{f.bound:.3g}",
            "where": f.where,
            "reason": f.reason,
        }
        for f in worst_first
    ]
