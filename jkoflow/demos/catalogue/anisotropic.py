"""SGD of ReLU units on two anisotropic Gaussian classes, and the JKO flow in four parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...check import Finding, check_run
from ...dynamics.sgd.run import SGDRun
from ...flows.driver import flow
from ...flows.trajectory import Trajectory
from ...measures.base import Array
from ...networks import reduced_relu_risk
from ...networks.four_parameters import normal_four_parameters
from ...problem import Problem
from ..anisotropic import gaps
from ..anisotropic.figure import Found, caption, curves_of, data, draw
from ..anisotropic.runs import (
    NAMES,
    QUICK,
    Settings,
    initial_units,
    intrinsic,
    own_flow,
    run_sgd,
)
from ..common import about, close, finish
from ..registry import Demo, DemoResult
from ..session import Session

# (Δ, intrinsic time, risk) of the std convention at the full size: known values
REFERENCES = (
    (0.2, 2.0, 1.007), (0.2, 40.0, 0.273), (0.4, 20.0, 0.077), (0.6, 10.0, 0.510),
    (0.6, 20.0, 0.0319),
)  # fmt: skip


def run(session: Session) -> DemoResult:
    """The demo ``anisotropic``: compute, judge, draw."""
    s = QUICK if session.quick else Settings()
    findings: list[Finding] = []
    flows, limits, runs = {}, {}, {}
    for delta in s.deltas:
        session.echo(f"Δ = {delta:g}: flow of ½R, {s.particles} particles, {len(s.taus())} steps")
        flows[delta], limits[delta], judged = flow_of_law(session, s, delta)
        findings += judged
        session.echo(f"Δ = {delta:g}: SGD, {s.steps} iterations in R^{s.dim}, N = {s.neurons}")
        runs[delta] = session_sgd(session, s, delta, f"sgd-{delta:g}")
        findings.append(ending(s, delta, flows[delta], runs[delta]))
    finer, delta = s.with_finer_steps(), s.deltas[-1]
    session.echo(f"Δ = {delta:g}: SGD at ε = {finer.epsilon:g}, {finer.steps} iterations")
    fine_run = session_sgd(session, finer, delta, f"sgd-{delta:g}-finer")
    times = np.linspace(0.0, 2.0 * s.finer_until, round(40 * s.finer_until) + 1)
    own = own_flow(s, delta, initial_units(s, s.neurons, 0), times, dt=0.05)
    found = Found(flows, runs, fine_run, times, own)
    findings += nearer(s, found)
    parts = gaps.compute(session, s)
    findings += gaps.findings(s, parts) + references(s, limits)
    return finish(
        session.out, "Anisotropic classes: SGD and the flow in (a, b, r1, r2)", findings,
        draw(s, found), caption(s), facts(s, found, limits) | gaps.facts(s, parts),
        [session.out / f"flow-{delta:g}" for delta in s.deltas], data(s, found, parts),
    )  # fmt: skip


def flow_of_law(
    session: Session, s: Settings, delta: float
) -> tuple[Trajectory, Array, list[Finding]]:
    """The JKO flow; its curves at every other step, extrapolated to τ = 0; what the judge says."""
    half_risk = 0.5 * reduced_relu_risk(s.classes(delta), terms=2)
    start, taus = normal_four_parameters(s.particles, s.dim, s.active, s.kappa), s.taus()
    problem, name = Problem(half_risk, start, taus), f"flow-{delta:g}"
    found = session.flow(problem, name)
    twice = flow(Problem(half_risk, start, taus[::2] + taus[1::2]))
    limit = 2.0 * curves_of(found)[::2] - curves_of(twice)
    judged = about(f"flow of ½R, Δ = {delta:g}", check_run(problem, session.out / name))
    return (
        found, np.column_stack([twice.times, limit]),
        [f for f in judged if not f.claim.endswith("minimality")],
    )  # fmt: skip


def session_sgd(session: Session, s: Settings, delta: float, name: str) -> SGDRun:
    """A long run, kept in the session's folder and gone on with if it was broken off."""
    iterations = np.unique(np.geomspace(1, s.steps, 70).round())
    record = s.epsilon * np.concatenate([[0.0], iterations])
    run = run_sgd(s, delta, record, 0, store=session.folder(name), progress=session.progress)
    if run.steps < s.steps:
        raise KeyboardInterrupt
    return run


def ending(s: Settings, delta: float, flow: Trajectory, of_sgd: SGDRun) -> Finding:
    """Both learn the same: the risk at the end against what there was at the start."""
    last = float(of_sgd.statistics["values"][-1, 0])
    expected = 2.0 * float(flow.energies[-1])
    return close(
        "SGD and flow: risk at the end, as part of the initial risk",
        abs(last - expected) / (2.0 * float(flow.energies[0])), 0.02,
        f"Δ = {delta:g}, k = {s.steps}",
        "2%: SGD passes the transient earlier or later by its ε, then both have the same R",
    )  # fmt: skip


def distances(s: Settings, found: Found, of_sgd: SGDRun) -> Array:
    """Largest distance of SGD from the flow of its own units: of R, means of a, b, r1, r2.

    From intrinsic time 1 on: before, R falls fast, and SGD's noise of order √ε is most of it.
    """
    T = 2.0 * intrinsic(of_sgd.times)
    looked = (2.0 <= T) & (T <= found.own_times[-1])
    at = np.column_stack([np.interp(T[looked], found.own_times, c) for c in found.own.T])
    return np.asarray(np.abs(of_sgd.statistics["values"][looked] - at).max(axis=0))


def nearer(s: Settings, found: Found) -> list[Finding]:
    """What keeps SGD from the flow of its units at the published ε is ε: a tenth removes most."""
    ratios = distances(s, found, found.finer) / distances(s, found, found.runs[s.deltas[-1]])
    return [
        close(
            f"distance of SGD from the flow of its own units, {name}: at ε/{s.finer:g} as part "
            "of that at ε", float(ratios[j]), 0.4,
            f"Δ = {s.deltas[-1]:g}, intrinsic times 1 to {s.finer_until:g}",
            f"1/{s.finer:g} if of first order in ε, 1 if not of ε, 1/√{s.finer:g} = .32 if noise",
        )
        for j, name in enumerate(NAMES[:4])
    ]  # fmt: skip


def at_intrinsic(limit: Array, u: float) -> Array:
    """(T, R, a, b, r1, r2) of the extrapolated flow nearest to intrinsic time u, JKO time 2u."""
    return np.asarray(limit[int(np.argmin(np.abs(limit[:, 0] - 2.0 * u)))])


def references(s: Settings, limits: dict[float, Array]) -> list[Finding]:
    """The known values, at the full size."""
    if s.dim != 320 or s.active != 60:
        return []
    found = []
    for delta, u, value in REFERENCES:
        got = float(at_intrinsic(limits[delta], u)[1])
        found.append(close(
            f"flow (τ → 0): known risk {value:g}, relative", abs(got - value) / value, 0.015,
            f"Δ = {delta:g}, intrinsic time {u:g}",
            "1.5%: the known values are of another sample of the initial law. By cubature of that "
            "law they are 1.0069, .2752, .0781, .5075 and .0320",
        ))  # fmt: skip
    lowest = float(limits[0.6][:, 3].min())
    found.append(close(
        "flow: known lowest mean of b, −.47", abs(lowest + 0.47), 0.015, "Δ = .6",
        "the known value is given to two digits; by cubature of the initial law it is −.477",
    ))  # fmt: skip
    return found


def facts(s: Settings, found: Found, limits: dict[float, Array]) -> dict[str, Any]:
    """Numbers worth a line at the top of the page."""
    rows: dict[str, Any] = {}
    for delta in s.deltas:
        for u in (2.0, 10.0, 20.0, 40.0):
            told = f"{at_intrinsic(limits[delta], u)[1]:.4f}"
            rows[f"Δ = {delta:g}: R of the flow (τ → 0) at intrinsic time {u:g}"] = told
        rows[f"Δ = {delta:g}: R at the end, flow and SGD"] = (
            f"{2 * found.flows[delta].energies[-1]:.4g}, "
            f"{found.runs[delta].statistics['values'][-1, 0]:.4g}"
        )
    delta = s.deltas[-1]
    for told, run in ((f"ε = {s.epsilon:g}", found.runs[delta]),
                      (f"ε = {s.epsilon / s.finer:g}", found.finer)):  # fmt: skip
        away = ", ".join(f"{v:.3f}" for v in distances(s, found, run))
        rows[f"Δ = {delta:g}, {told}: largest distance from the flow of SGD's own units, "
             "R, a, b, r1, r2"] = away  # fmt: skip
    rows["minimality of the steps"] = (
        "not judged: the slope of a ReLU unit's features bends without bound as its weights "
        "vanish, so that no modulus of convexity holds everywhere; stationarity is judged"
    )
    return rows


DEMO = Demo(
    "anisotropic",
    "ReLU units on anisotropic classes: SGD against the flow in four parameters",
    1200, 8,
    "d=320, s0=60, N=800, Δ=.2, .4, .6 (std), a=b=1, κ=.8: Mei, Montanari and Nguyen 2018; "
    "ε=2e-4 and ξ(t)=t^(-1/4) are recalled; smaller ε and numbers of particles are ours",
    run, "A3",
)  # fmt: skip
