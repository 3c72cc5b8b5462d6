"""The figure of the demo ``anisotropic``, its caption, and the arrays drawn in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...dynamics.sgd.run import SGDRun
from ...flows.trajectory import Trajectory
from ...measures.base import Array
from ...report.style import COLOURS, DASHES, new_figure
from .runs import NAMES, Settings, sgd_time


class Found(NamedTuple):
    """The curves: for each Δ the flow and SGD; for the last also SGD at ε/finer and, at the
    JKO times ``own_times``, the flow of SGD's own units, (time, value)."""

    flows: dict[float, Trajectory]
    runs: dict[float, SGDRun]
    finer: SGDRun
    own_times: Array
    own: Array


def curves_of(flow: Trajectory) -> Array:
    """R and the means of (a, b, r1, r2) along the flow, (time, value)."""
    means = np.array([mu.points.mean(axis=0) for mu in flow.measures])
    return np.column_stack([2.0 * flow.energies, means])


def data(s: Settings, found: Found, parts: Mapping[str, Array]) -> dict[str, Array]:
    """The curves, each with its clock: T of the flow, t of SGD, with T = 2∫ξ dt."""
    arrays: dict[str, Array] = {"deltas": np.array(s.deltas)}
    for k, delta in enumerate(s.deltas):
        flow, run = found.flows[delta], found.runs[delta]
        arrays |= {
            f"T_flow_{k}": flow.times, f"R_a_b_r1_r2_flow_{k}": curves_of(flow),
            f"t_sgd_{k}": run.times, f"R_a_b_r1_r2_sgd_{k}": run.statistics["values"],
        }  # fmt: skip
    return arrays | {
        "t_sgd_finer": found.finer.times,
        "R_a_b_r1_r2_sgd_finer": found.finer.statistics["values"],
        "T_flow_of_own_units": found.own_times, "R_a_b_r1_r2_flow_of_own_units": found.own,
        "epsilon": np.array(s.smaller), "intrinsic_times": np.array(s.at),
        "N_directions": np.array(s.sizes), "N_samples": np.array(s.samples),
        **{f"gaps_{name}": values for name, values in parts.items()},
    }  # fmt: skip


def draw(s: Settings, found: Found) -> Any:
    """Risk, and the means of a, b, r1, against the iteration."""
    figure, axes = new_figure(2, 2, width=5.4, height=3.5)
    for k, delta in enumerate(s.deltas):
        flow, run = found.flows[delta], found.runs[delta]
        moved, taken = flow.times > 0, run.times > 0
        at = sgd_time(0.5 * flow.times[moved]) / s.epsilon
        curves, points = curves_of(flow)[moved], run.statistics["values"][taken]
        shown, look = at >= 1.0, {"color": COLOURS[k]}
        for j, ax in enumerate(axes):
            ax.plot(at[shown], curves[shown, j], linestyle=DASHES[k], linewidth=1.6, **look,
                    label=f"flow of ½R, Δ = {delta:g}")  # fmt: skip
            ax.plot(run.times[taken] / s.epsilon, points[:, j], "os^"[k % 3], markersize=3.2,
                    markerfacecolor="none", label=f"SGD, Δ = {delta:g}", **look)  # fmt: skip
    _draw_last(s, found, axes)
    for ax, name in zip(axes, NAMES, strict=False):
        ax.set_xscale("log")
        ax.set_xlabel(f"t/ε: iteration k of SGD at ε = {s.epsilon:g}; the flow at T = 2∫ξ dt")
        ax.set_ylabel(name)
    axes[0].set_yscale("log")
    axes[0].legend(frameon=False, fontsize=7, ncol=2, loc="lower left")
    return figure


def _draw_last(s: Settings, found: Found, axes: Any) -> None:
    """For the last Δ: SGD at the smaller ε, and the flow of its own units."""
    delta, run, black = s.deltas[-1], found.finer, {"color": "#000000"}
    late, begun = run.times >= s.epsilon, found.own_times > 2.0
    at = sgd_time(0.5 * found.own_times[begun]) / s.epsilon
    for j, ax in enumerate(axes):
        ax.plot(run.times[late] / s.epsilon, run.statistics["values"][late, j], "x", markersize=4,
                label=f"SGD at ε/{s.finer:g}, Δ = {delta:g}", **black)  # fmt: skip
        ax.plot(at, found.own[begun, j], linewidth=0.7,
                label=f"flow of SGD's own units, Δ = {delta:g}", **black)  # fmt: skip


def caption(s: Settings) -> str:
    """What the figure shows, with its settings, convention and clocks."""
    return (
        f"Two Gaussian classes in R^{s.dim} whose standard deviations differ, 1 ± Δ (convention "
        f"std), on s0 = {s.active} coordinates; N = {s.neurons} ReLU units aσ(⟨w, x⟩ + b) from "
        f"a = b = 1, w ~ N(0, {s.kappa:g}²/d I). Step sizes s_k = εξ(kε), ε = {s.epsilon:g}, "
        f"ξ(t) = t^(−1/4) (recalled); R is the network's exact population risk. Curves: JKO flow "
        f"of {s.particles} particles (a, b, r1, r2), r1 and r2 the lengths of w on the two "
        f"blocks, at JKO time T = 2∫ξ dt. Three things part SGD from them, each measured: the "
        f"step size, by order ε (crosses are SGD at ε/{s.finer:g}, up to ∫ξ dt = "
        f"{s.finer_until:g}); the sample of N units that it starts from, by N^−½ (thin line: the "
        "flow from SGD's own units, which the crosses follow); and the units' own directions, "
        "which the flow averages over, by 1/N."
    )
