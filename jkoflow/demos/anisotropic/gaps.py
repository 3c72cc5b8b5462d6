"""What parts SGD of ReLU units from the flow: ε, the units' directions, the sample of the start.

SGD of N units differs from the flow of the initial law by three things, each with its own rate:

- the step size: of order ε, against the gradient flow of the same units;
- the directions: N units are not a rotation-invariant law. Each acts on itself in its own
  direction, and all of them on a mean that is not quite isotropic: of order 1/N, against the flow
  of the same (a, b, r1, r2) with directions averaged over;
- the sample: N draws of the initial law are another law, by N^-½, and the flow carries that on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...check import Finding, Verdict
from ...measures.base import Array
from ...networks import reduced_relu_risk
from ...networks.four_parameters import normal_four_parameters
from ...networks.relu_population import ReluPopulation
from ...rates import Rate, fit_rate
from ..common import pseudo_runs, three_sigma
from ..session import Session
from .runs import (
    NAMES,
    Settings,
    explicit_flow,
    initial_units,
    of_reduced,
    of_units,
    own_flow,
    run_sgd,
    sgd_time,
)

JUDGED = NAMES[:4]  # r2 → 0 is judged through R


def times_of(s: Settings) -> Array:
    """JKO times T = 2∫ξ."""
    return 2.0 * np.array(s.at)


def steps_cell(s: Settings, seed: int, rng: Any) -> dict[str, Array]:
    """SGD at each ε, (ε, time, value), and the flow of its own units."""
    delta, rows = s.deltas[-1], []
    for epsilon in s.smaller:
        record = epsilon * np.rint(sgd_time(np.array(s.at)) / epsilon)
        run = run_sgd(replace(s, epsilon=epsilon), delta, record, seed + 100)
        rows.append(run.statistics["values"])
    own = own_flow(s, delta, initial_units(s, s.neurons, seed + 100), times_of(s), s.dt)
    return {"sgd": np.array(rows), "own": own}


def directions_cell(s: Settings, neurons: int, seed: int, rng: Any) -> dict[str, Array]:
    """The exact gradient flow of N units less the flow with directions averaged over."""
    delta, theta = s.deltas[-1], initial_units(s, neurons, seed + 200)
    population = ReluPopulation(s.classes(delta), terms=4)  # E c⁵ of the pairs is 1e-5 here
    units = explicit_flow(
        population.velocity, theta, of_units(s, delta), s.dt, times_of(s)
    )
    return {"gap": units - own_flow(s, delta, theta, times_of(s), s.dt)}


def sample_cell(s: Settings, neurons: int, seed: int, rng: Any) -> dict[str, Array]:
    """The flow from N draws of the initial law."""
    theta = initial_units(s, neurons, seed + 300)
    return {"values": own_flow(s, s.deltas[-1], theta, times_of(s), s.dt)}


def compute(session: Session, s: Settings) -> dict[str, Array]:
    """All that the findings need, with axes (…, time, value)."""
    delta = s.deltas[-1]
    half_risk = 0.5 * reduced_relu_risk(s.classes(delta), terms=2)
    start = normal_four_parameters(s.particles, s.dim, s.active, s.kappa)
    law = explicit_flow(half_risk, start.points, of_reduced(s, delta), s.dt, times_of(s))
    session.echo(f"SGD at ε = {s.smaller}, {s.seeds} seeds, and the flows of its units")
    steps = session.sweep(
        steps_cell, [{"s": s, "seed": k} for k in range(s.seeds)], "smaller-epsilon", rng=0
    )
    session.echo(f"exact flows of N = {s.sizes} units with their directions")
    cells = [{"s": s, "neurons": n, "seed": k} for k in range(s.size_seeds) for n in s.sizes]
    directions = session.sweep(directions_cell, cells, "directions", rng=0).array("gap")
    session.echo(f"flows from samples of N = {s.samples}")
    cells = [{"s": s, "neurons": n, "seed": k} for k in range(s.sample_seeds) for n in s.samples]
    samples = session.sweep(sample_cell, cells, "samples", rng=0).array("values")
    shape = (len(s.at), len(NAMES))
    return {
        "law": law, "sgd": steps.array("sgd"), "own": steps.array("own"),
        "directions": directions.reshape(s.size_seeds, len(s.sizes), *shape),
        "samples": samples.reshape(s.sample_seeds, len(s.samples), *shape) - law,
    }  # fmt: skip


def at_no_step(epsilons: tuple[float, ...]) -> Array:
    """Weights that take values at these ε to ε = 0, exact for polynomials of so many terms.

    Examples
    --------
    >>> at_no_step((4.0, 2.0, 1.0)).round(6)
    array([ 0.333333, -2.      ,  2.666667])
    """
    powers = np.vander(np.array(epsilons) / epsilons[-1], increasing=True)
    return np.asarray(np.linalg.inv(powers)[0])


def rates(s: Settings, found: Mapping[str, Array]) -> dict[str, Rate]:
    """The powers of ε, N and N, at the middle of the times: of mean b, of R and of R.

    For ε and the directions the power of the mean gap, for samples that of its square's root. At
    the last time the transient bends the first: 1.10 ± .03 in mean b, 1.16 ± .03 in mean r1.
    """
    k = len(s.at) // 2
    by_step = found["sgd"] - found["own"][:, None]
    square = found["samples"][:, :, k, 0] ** 2
    return {
        "ε": fit_rate(s.smaller, pseudo_runs(by_step[:, :, k, 2])),
        "directions": fit_rate(s.sizes, pseudo_runs(found["directions"][:, :, k, 0])),
        "samples": fit_rate(s.samples, np.sqrt(pseudo_runs(square))),
    }


def per_unit(s: Settings, found: Mapping[str, Array]) -> Array:
    """N times what the directions do, from the largest networks: (time, value)."""
    return np.asarray(s.sizes[-1] * found["directions"][:, -1].mean(axis=0))


def findings(s: Settings, found: Mapping[str, Array]) -> list[Finding]:
    """The three rates; and SGD, without them, is on the flow within three standard errors."""
    where = f"Δ = {s.deltas[-1]:g}, intrinsic time {s.at[len(s.at) // 2]:g}"
    rate = rates(s, found)
    judged = [
        rate["ε"].finding("SGD less the flow of its own units, mean of b: like ε", 1.0,
                          (0.0, 0.5), where=where),
        rate["directions"].finding("what the units' own directions do to R: like 1/N", -1.0,
                                   (0.0, -0.5), where=where),
        rate["samples"].finding("what the sample of the start does to R: like N^-½", -0.5,
                                (0.0, -1.0), where=where),
    ]  # fmt: skip
    free = np.einsum("e,setv->stv", at_no_step(s.smaller), found["sgd"])
    free = free - per_unit(s, found) / s.neurons
    compared = (("the flow of its own units", free - found["own"]),
                ("the flow of the initial law", free - found["law"]))  # fmt: skip
    return judged + [standard_errors(s, f"{name}: SGD at ε → 0, less what directions do, is on "
                                     f"{what}", gap[:, :, j])
                     for what, gap in compared for j, name in enumerate(JUDGED)]  # fmt: skip


def standard_errors(s: Settings, claim: str, gap: Array) -> Finding:
    """The mean of (seeds, times) in its standard errors, where that is largest."""
    error = gap.std(axis=0, ddof=1) / np.sqrt(len(gap))
    ratio = np.abs(gap.mean(axis=0)) / error
    k, bound = int(ratio.argmax()), three_sigma(len(gap))
    return Finding(
        claim, Verdict.ACCEPTED if ratio[k] <= bound else Verdict.REJECTED, float(ratio[k]), bound,
        (f"standard errors of {len(gap)} runs; the bound is as improbable as three of a Gaussian "
         "law; extrapolated by a parabola in ε",),
        f"intrinsic times {', '.join(f'{u:g}' for u in s.at)}",
        f"{gap.mean(axis=0)[k]:.4f} ± {error[k]:.4f} at {s.at[k]:g}",
    )  # fmt: skip


def facts(s: Settings, found: Mapping[str, Array]) -> dict[str, Any]:
    """The sizes of the three parts, at the last of the times."""
    order = found["sgd"] - found["own"][:, None]
    slope = (order[:, -1] / s.smaller[-1]).mean(axis=0)[-1]
    c, scatter = per_unit(s, found)[-1], found["samples"][:, -1, -1].std(axis=0, ddof=1)
    told = {
        f"SGD less the flow of its units, over ε (at {s.smaller[-1]:g})": slope,
        "N times what directions do": c,
        "√N times the standard deviation over samples of the start":
            np.sqrt(s.samples[-1]) * scatter,
    }  # fmt: skip
    rows = {f"{what}, intrinsic time {s.at[-1]:g}: R, a, b, r1": ", ".join(
        f"{v:.3g}" for v in values[:4]) for what, values in told.items()}  # fmt: skip
    return rows | {f"rate in {what}": str(rate) for what, rate in rates(s, found).items()}
