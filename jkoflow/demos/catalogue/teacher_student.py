"""ReLU students of a ReLU teacher: the excess loss against the number of particles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...check import Finding, Verdict
from ...dynamics.particle_flow import particle_flow
from ...dynamics.stationary import stationary_point
from ...flows.sweep import Sweep
from ...measures.base import Array
from ...networks.teacher import TeacherRisk
from ...report.style import COLOURS, DASHES, new_figure
from ..common import finish
from ..registry import Demo, DemoResult
from ..session import Session


@dataclass(frozen=True)
class Settings:
    """All sizes are ours: smaller than the paper's, with many seeds, and an exact risk."""

    dim: int = 10
    teacher: int = 10
    widths: tuple[int, ...] = (5, 7, 8, 9, 10, 11, 12, 13, 14, 16, 20, 30)
    seeds: int = 40
    flow_time: float = 20.0  # JKO clock, explicit steps, before quasi-Newton takes over
    dt: float = 0.05
    success: float = 1e-6  # excess risk, relative to E y²: between 1e-4 and 1e-12 nothing ends


def settings(quick: bool) -> Settings:
    """The full experiment, or one of a few seconds."""
    if quick:
        return Settings(widths=(6, 8, 9, 10, 12, 16, 20), seeds=8, flow_time=5.0)
    return Settings()


def student(
    width: int, seed: int, teacher: int, dim: int, flow_time: float, dt: float, rng: Any
) -> dict[str, Any]:
    """Excess risk, relative to E y², at the start, after some flow, and where descent ends.

    The teacher depends on the seed alone, so that all widths learn the same one.
    """
    R = TeacherRisk.draw(teacher, dim, rng=seed)
    w = rng.standard_normal((width, dim)) / np.sqrt(dim)
    signs = np.where(np.arange(width) % 2 == 0, 1.0, -1.0)
    theta = np.column_stack([signs * np.linalg.norm(w, axis=1), w])
    flow = particle_flow(0.5 * R, theta, dt=dt, steps=round(flow_time / dt), record=[0.0])
    end = stationary_point(R, flow.theta)
    values = np.array([*flow.values(R), end.value]) / R.second_moment
    return {"excess": values, "slope": end.slope}


def run(session: Session) -> DemoResult:
    """The demo ``teacher-student``: compute, judge, draw."""
    s = settings(session.quick)
    session.echo(f"{len(s.widths)} widths × {s.seeds} seeds, a teacher of {s.teacher} units")
    fixed = {"teacher": [s.teacher], "dim": [s.dim], "flow_time": [s.flow_time], "dt": [s.dt]}
    done = session.sweep(
        student, {"width": s.widths, "seed": range(s.seeds), **fixed}, "students", rng=0
    )
    excess = done.array("excess").reshape(len(s.widths), s.seeds, 3)
    return finish(
        session.out, "Teacher and student: how many particles are enough",
        judged(s, excess), draw(s, excess), caption(s), facts(s, excess, done), [],
        {"width": np.array(s.widths), "excess_start_flow_end": excess},
    )  # fmt: skip


def wilson(successes: Array, trials: int) -> tuple[Array, Array]:
    """Wilson's 95% interval for a proportion."""
    z, p = 1.96, successes / trials
    centre = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2))
    return centre - half, centre + half


def judged(s: Settings, excess: Array) -> list[Finding]:
    """Narrower than the teacher never succeeds, twice as wide (almost) always; how sharp it is."""
    succeeded = (excess[:, :, 2] < s.success).sum(axis=1)
    widths = np.array(s.widths)
    below, above = widths < s.teacher, widths >= 1.6 * s.teacher
    _, narrow = wilson(succeeded[below].sum(), s.seeds * int(below.sum()))
    wide, _ = wilson(succeeded[above].sum(), s.seeds * int(above.sum()))
    half = first_width(widths, succeeded / s.seeds)
    gap = np.median(excess[:, :, 2], axis=1)
    return [
        finding("narrower than the teacher: part of runs that succeed, upper end of 95%",
                float(narrow), 0.2, True, f"{s.seeds} seeds a width"),
        finding("at 1.6 times the teacher's width and more: the same, lower end of 95%",
                float(wide), 0.7, False, f"{s.seeds} seeds a width"),
        finding("least width at which half of the runs succeed, over the teacher's",
                half / s.teacher, 1.5, True, "interpolated"),
        finding("the same, from below", half / s.teacher, 0.9, False, "interpolated"),
        finding("median excess just below the teacher's width over that at the largest width",
                float(gap[below][-1] / max(gap[-1], 1e-16)), 1e6, False,
                f"widths {widths[below][-1]} and {widths[-1]}"),
    ]  # fmt: skip


def first_width(widths: Array, part: Array) -> float:
    """Where the part of successes first rises through ½, linearly between widths."""
    k = int(np.argmax(part >= 0.5))
    if part[k] < 0.5:
        return float("inf")
    if k == 0:
        return float(widths[0])
    weight = (0.5 - part[k - 1]) / (part[k] - part[k - 1])
    return float(widths[k - 1] + weight * (widths[k] - widths[k - 1]))


def finding(claim: str, measured: float, bound: float, at_most: bool, where: str) -> Finding:
    """Judge a number against an upper or a lower bound."""
    fine = measured <= bound if at_most else measured >= bound
    note = "to be at most the bound" if at_most else "to be at least the bound"
    verdict = Verdict.ACCEPTED if fine else Verdict.REJECTED
    return Finding(claim, verdict, measured, bound, (note,), where)


def draw(s: Settings, excess: Array) -> Any:
    """Every run's excess risk, and the part that succeeded, against the width."""
    figure, (left, right) = new_figure(2, width=5.4, height=3.8)
    widths = np.array(s.widths)
    jitter = np.linspace(-0.15, 0.15, s.seeds)
    floor = np.maximum(excess, 1e-17)
    left.plot((widths[:, None] + jitter).ravel(), floor[:, :, 2].ravel(), ".", color="#999999",
              markersize=3, label="where descent ended, each run")  # fmt: skip
    names = ("at the start", f"flow, T = {s.flow_time:g}", "where descent ended")
    for k, name in enumerate(names):
        left.plot(widths, np.median(floor[:, :, k], axis=1), color=COLOURS[k],
                  linestyle=DASHES[k], marker="os^"[k], markersize=4, label=f"{name}, median")
    left.set_yscale("log")
    left.set_ylabel("excess risk R / E y²")
    left.set_title("excess risk of the students")
    part = (excess[:, :, 2] < s.success).mean(axis=1)
    low, high = wilson(part * s.seeds, s.seeds)
    bars = np.maximum([part - low, high - part], 0.0)
    right.errorbar(widths, part, yerr=bars, fmt="o-", color=COLOURS[0], capsize=3, markersize=4,
                   label="runs, 95% interval")  # fmt: skip
    right.set_ylabel(f"part of runs below {s.success:g}")
    right.set_title("probability of success")
    for ax in (left, right):
        ax.axvline(s.teacher, color="black", linestyle=":", label=f"teacher's width, {s.teacher}")
        ax.set_xlabel("number N of particles of the student")
        ax.legend(frameon=False, fontsize="small", ncol=2, loc="upper center",
                  bbox_to_anchor=(0.5, -0.17))  # fmt: skip
    return figure


def caption(s: Settings) -> str:
    """What the figure shows, and what is whose."""
    return (
        f"A teacher of {s.teacher} ReLU units with uniform unit directions in R^{s.dim}, all with "
        f"charge +1; students of N units a·(⟨w, x⟩)_+ averaged, w ~ N(0, I/d), |a| = |w| with "
        f"alternating signs; x ~ N(0, I) and the exact population risk. {s.seeds} seeds a width: "
        f"the flow of ½R (explicit, dt = {s.dt:g}) to T = {s.flow_time:g} on the JKO clock, then "
        f"quasi-Newton descent to a stationary point, since the flow itself crawls. Teacher and "
        f"student: Chizat and Bach 2018 (recalled: ReLU, d = 100, 20 units, SGD); all sizes are "
        f"ours. R is not convex in the positions, hence runs that end elsewhere."
    )


def facts(s: Settings, excess: Array, done: Sweep) -> dict[str, Any]:
    """Numbers worth a line at the top of the page."""
    part = (excess[:, :, 2] < s.success).mean(axis=1)
    rows = {f"part of successes at N = {n}": f"{p:.2f}"
            for n, p in zip(s.widths, part, strict=True)}  # fmt: skip
    slopes = done.array("slope")
    return rows | {"largest metric slope where descent ended": f"{slopes.max():.1e}"}


DEMO = Demo(
    "teacher-student",
    "Teacher and student: the loss vanishes once there are a few more particles than teachers",
    90, 5,
    "ReLU teacher and student: Chizat and Bach 2018 (recalled: d=100, 20 units); sizes are ours",
    run, "C2",
)  # fmt: skip
