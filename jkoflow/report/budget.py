"""What each step dissipates and how near it is to its minimum: numbers, and their figure.

The numbers are computed anew, from the asker's functional and the saved measures, by the judge of
single steps; at most 200 steps are looked at, and fewer where each is dear.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..check import Report, check_step
from ..functionals.base import Functional
from ..measures.base import Array, Measure
from .plots import JKO_CLOCK
from .style import COLOURS, new_figure

STEPS = 200
_PAIRS = 10**8  # of points, over all steps that are looked at
CAPTION = (
    "Left: the energy that each step loses, which must not be below what it costs, W2²/(2τ). "
    "Middle: shares of the loss. The halves of the energy identity are W2²/(2τ) + (τ/2)|∂F|², with "
    "the slope after and before the step; where F is convex 1 lies between them (with ±(λ/2)W2² "
    "where F claims a λ). Right: the certified bound of how far a step's objective is above its "
    "minimum, and what the judge allows."
)


class Budget(NamedTuple):
    """Of the steps that were looked at, arrays (k,): time, τ, energy lost, cost W2²/(2τ), lower
    and upper half of the energy identity, certified gap and its bound; NaN where unknown."""

    times: Array
    taus: Array
    lost: Array
    cost: Array
    lower: Array
    upper: Array
    gap: Array
    allowed: Array


def step_budget(problem: Any, run: Any, most: int = STEPS) -> Budget:
    """The numbers of at most ``most`` steps, evenly spread over those with both measures saved.

    Parameters
    ----------
    problem : Problem
        The asker's, whose functional is evaluated.
    run : Trajectory
    most : int

    Examples
    --------
    >>> import jkoflow as jf
    >>> F = jf.QuadraticPotential(1.0)
    >>> problem = jf.Problem(F, jf.Gaussian(1.0, 1.0), tau=1.0, steps=3)
    >>> budget = step_budget(problem, jf.flow(problem))
    >>> budget.lost, budget.cost                    # mean and deviation are halved by each step
    (array([0.75    , 0.1875  , 0.046875]), array([0.25    , 0.0625  , 0.015625]))
    """
    places = _chosen(run, most)
    rows = np.array([_row(problem.functional, run, place) for place in places])
    return Budget(*rows.reshape(len(places), len(Budget._fields)).T)


def _chosen(run: Any, most: int) -> list[int]:
    """Places in ``run.measures`` of the steps to look at: the measure before is the one before."""
    saved = run.saved
    places = np.flatnonzero(np.diff(saved) == 1) + 1
    dear = max((len(mu.points) ** 2 for mu in run.measures[:2] if mu.kind == "particles"),
               default=1)  # fmt: skip
    count = min(most, max(_PAIRS // dear, 5), len(places))
    return [int(places[i]) for i in np.linspace(0, len(places) - 1, count).round().astype(int)]


def _row(F: Functional, run: Any, place: int) -> tuple[float, ...]:
    """The numbers of the step to the measure at ``place``."""
    old, new, record = run.measures[place - 1], run.measures[place], run.records[place - 1]
    k, tau = record.index, record.tau
    square = float(run.distances_squared[k])
    modulus = F.convexity or 0.0
    halves = [square / (2 * tau) + 0.5 * tau * _slope(F, mu) ** 2 + 0.5 * sign * modulus * square
              for mu, sign in ((new, 1.0), (old, -1.0))]  # fmt: skip
    gap = _gap(check_step(F, old, new, tau, witness=record.witness))
    lost = float(run.energies[k - 1] - run.energies[k])
    return (run.times[k], tau, lost, square / (2 * tau), *halves, *gap)


def _gap(report: Report) -> tuple[float, float]:
    """The bound of a step's distance to its minimum that is the nearest to being allowed."""
    found = [f for f in report.findings if f.claim == "minimality" and np.isfinite(f.measured)]
    if not found:
        return np.nan, np.nan
    best = min(found, key=lambda f: f.severity)
    return best.measured, best.bound


def _slope(F: Functional, mu: Measure) -> float:
    """‖∇δF‖ in L²(ρ); NaN where F has none."""
    try:
        g = F.gradient(mu)
        return float(np.sqrt(mu.weights @ np.einsum("ij,ij->i", g, g)))
    except Exception:  # a page is not the place to fail: the judge has said what is wrong
        return np.nan


def plot_budget(budget: Budget, clock: str = JKO_CLOCK) -> Any:
    """The figure of both: dissipation a step, and gap a step, on logarithmic axes.

    Parameters
    ----------
    budget : Budget
    clock : str

    Returns
    -------
    matplotlib Figure
    """
    figure, (left, middle, right) = new_figure(3, width=4.2)
    b, blue, red, green = budget, *COLOURS[:3]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.array([b.cost, b.lower, b.upper]) / np.where(b.lost > 0, b.lost, np.nan)
    curves = [
        (left, b.lost, "lost, F(ρ_{k−1}) − F(ρ_k)", COLOURS[4], "-"),
        (left, b.cost, "cost, W2²/(2τ)", blue, "--"),
        (middle, shares[0], "cost", blue, "--"),
        (middle, shares[1], "identity, slope after", red, (0, (5, 1))),
        (middle, shares[2], "identity, slope before", green, "-."),
        (right, b.gap, "certified gap", blue, "-"),
        (right, b.allowed, "allowed", red, "--"),
    ]
    for ax, values, label, colour, dashes in curves:
        _draw(ax, b.times, values, label=label, color=colour, linestyle=dashes)
    _finish(left, "energy of a step", clock, "no step loses energy")
    _finish(middle, "shares of the loss", clock, "the run does not say W2 of its steps")
    _finish(right, "distance to the step's minimum", clock, "no bound: F claims too little")
    middle.set_yscale("linear")
    middle.set_ylabel("share")
    middle.axhline(1.0, color="black", linewidth=0.9)
    middle.set_ylim(0.0, 1.1 * np.clip(np.nanmax([1.3, *shares.ravel()]), 1.3, 3.0))
    return figure


def _finish(ax: Any, title: str, clock: str, where_empty: str) -> None:
    ax.set_title(title)
    ax.set_xlabel(clock)
    ax.set_ylabel("energy")
    if ax.lines:
        ax.set_yscale("log")
        ax.legend(frameon=False, fontsize="small")
    else:
        ax.text(0.5, 0.5, where_empty, ha="center", transform=ax.transAxes)
        ax.set_xticks([])
        ax.set_yticks([])


def _draw(ax: Any, times: Array, values: Array, **look: Any) -> None:
    """A curve through what is positive; nothing where nothing is."""
    seen = np.isfinite(values) & (values > 0)
    if seen.any():
        marker = "o" if seen.sum() == 1 else None  # a line through one point is not seen
        ax.plot(times[seen], values[seen], linewidth=1.6, marker=marker, **look)
