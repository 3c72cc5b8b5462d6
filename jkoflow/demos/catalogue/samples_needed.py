"""How many samples SGD needs: like the dimension, and no more for wider networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...check import Finding
from ...dynamics.sgd.record import Recording
from ...dynamics.sgd.run import sgd
from ...measures.base import Array
from ...networks import GaussianClasses, SimpleUnit, truncated_relu
from ...rates import Rate, fit_rate
from ...report.style import COLOURS, DASHES, new_figure
from ..common import close, finish
from ..registry import Demo, DemoResult
from ..session import Session

UNIT = SimpleUnit(truncated_relu)


@dataclass(frozen=True)
class Settings:
    """The scaling s0 = γd, ε = c/d is the paper's; the numbers are ours."""

    dims: tuple[int, ...] = (20, 40, 80, 160, 320)
    gamma: float = 0.5
    delta: float = 0.6
    kappa: float = 0.8  # w ~ N(0, κ²/d I)
    c: float = 1e-3
    eta: float = 0.2
    width: float = 2.0  # N = 2 d log d where d varies
    dim: int = 80  # where N varies, in units of d log d:
    widths: tuple[float, ...] = (0.02, 0.05, 0.15, 0.5, 1.0, 2.0, 4.0, 8.0)
    t_end: float = 0.6  # SGD clock
    t_long: float = 5.0  # where the risk has stopped falling, for inf R
    test: int = 5000  # samples that measure the risk
    records: int = 61
    seeds: int = 4

    def neurons(self, dim: int, width: float) -> int:
        """N = width · d log d."""
        return max(1, round(width * dim * np.log(dim)))


QUICK = Settings(
    dims=(20, 40, 80), dim=40, widths=(0.02, 0.2, 1.0, 2.0, 4.0), c=2e-3, seeds=5, t_end=0.4,
    t_long=2.0, test=2500, records=31,
)


def learning_curve(
    dim: int, neurons: int, seed: int, t_end: float, scale: float, records: int,
    problem: tuple[float, ...], rng: np.random.Generator,
) -> dict[str, Array]:  # fmt: skip
    """Risk on fresh samples against SGD time, with one new sample a step: a cell of the sweep."""
    gamma, delta, kappa, test = problem
    classes = GaussianClasses.std(dim, delta, active=round(gamma * dim))
    theta = kappa / np.sqrt(dim) * rng.standard_normal((neurons, dim))
    x, y = classes.sample(int(test), np.random.default_rng([dim, 5]), dtype=np.float32)

    def risk(points: Array) -> float:
        answers = UNIT.value(points.astype(np.float32), x).mean(axis=1)
        return float(np.mean((y - answers) ** 2))

    epsilon = scale / dim
    run = sgd(
        UNIT, classes, theta, steps=round(t_end / epsilon), epsilon=epsilon, rng=rng,
        dtype=np.float32, record=Recording(np.linspace(0.0, t_end, records), {"risk": risk}),
    )  # fmt: skip
    return {"times": run.times, "risk": run.statistics["risk"]}


def run(session: Session) -> DemoResult:
    """The demo ``samples-needed``: compute, judge, draw."""
    s = QUICK if session.quick else Settings()
    problem = (s.gamma, s.delta, s.kappa, s.test)
    widest = [{"dim": d, "neurons": s.neurons(d, s.width)} for d in s.dims]
    across = [{"dim": s.dim, "neurons": s.neurons(s.dim, w)} for w in s.widths]
    grid = {(p["dim"], p["neurons"]): p for p in (*widest, *across)}
    seeds = range(s.seeds)
    session.echo(f"SGD to t = {s.t_long:g} for inf R, d = {', '.join(map(str, s.dims))}")
    both = {"records": s.records, "problem": problem}
    long = {**both, "t_end": s.t_long, "scale": 2.0 * s.c, "seed": 0}
    lowest = session.sweep(
        learning_curve, [{**p, **long} for p in widest], "lowest-risks", rng=1
    ).array("risk").min(axis=1)  # fmt: skip
    session.echo(f"SGD to t = {s.t_end:g}: {len(grid)} sizes, {s.seeds} seeds each")
    short = {**both, "t_end": s.t_end, "scale": s.c}
    cells = session.sweep(
        learning_curve, [{**p, **short, "seed": k} for p in grid.values() for k in seeds],
        "learning-curves", rng=0,
    )  # fmt: skip
    curves = {
        size: (cells.results[i * s.seeds]["times"], rows)  # type: ignore[index]
        for i, (size, rows) in enumerate(
            zip(grid, cells.array("risk").reshape(len(grid), s.seeds, -1), strict=True)
        )
    }
    targets = dict(zip(s.dims, (float(r) + s.eta for r in lowest), strict=True))
    by_dim = np.array([
        samples(s, p["dim"], curves[p["dim"], p["neurons"]], targets[p["dim"]]) for p in widest
    ]).T  # fmt: skip
    by_width = np.array([
        samples(s, s.dim, curves[s.dim, p["neurons"]], targets[s.dim]) for p in across
    ]).T  # fmt: skip
    in_dim = fit_rate(np.array(s.dims), by_dim)
    return finish(
        session.out, "Samples needed: against the dimension and the width",
        findings(s, by_dim, by_width),
        draw(s, curves, targets, by_dim, by_width, in_dim), caption(s),
        facts(s, lowest, by_dim, by_width, in_dim), [],
        {"dims": np.array(s.dims), "lowest_risk": lowest, "samples_by_dim": by_dim,
         "neurons": np.array([p["neurons"] for p in across]), "samples_by_width": by_width},
    )  # fmt: skip


def samples(s: Settings, dim: int, curve: tuple[Array, Array], target: float) -> Array:
    """For each seed the number of samples, t·d/c, until the risk is at the target; or infinity."""
    times, rows = curve
    found = []
    for row in rows:
        below = np.flatnonzero(row <= target)
        if not below.size:
            found.append(np.inf)
            continue
        k = max(int(below[0]), 1)
        part = (row[k - 1] - target) / (row[k - 1] - row[k])
        found.append(float(times[k - 1] + part * (times[k] - times[k - 1])) * dim / s.c)
    return np.array(found)


def findings(s: Settings, by_dim: Array, by_width: Array) -> list[Finding]:
    """The two statements of the theorem where they should hold best, and their condition."""
    wide = np.flatnonzero(np.array(s.widths) >= 1.0)
    mean = by_dim.mean(axis=0)
    missing = 2.0 - mean[1:] / mean[:-1]  # the dimensions double from each to the next
    return [
        close(
            "samples to inf R + η: what the last doubling of d lacks of twice, over the first's",
            float(abs(missing[-1] / missing[0])), 0.75, f"d = {', '.join(map(str, s.dims))}",
            "1 for any power of d but the first; lacking: "
            + ", ".join(f"{v:.3f}" for v in missing),
        ),
        doubling(
            "samples to inf R + η: twice as many for twice the dimension", by_dim[:, -2:], 2.0,
            0.2, f"d = {s.dims[-2]}, {s.dims[-1]}; N = {s.width:g} d log d",
            "√d would give 1.4, d^1.5 2.8; t at inf R + η itself still depends on a finite d",
        ),
        doubling(
            "samples to inf R + η: as many for twice the neurons", by_width[:, -2:], 1.0, 0.1,
            f"d = {s.dim}, N = {s.widths[-2]:g}, {s.widths[-1]:g} d log d",
            "N^½ would give 1.4 and N^-½ .71; N particles start with a risk of O(1/N) more",
        ),
        close(
            "samples to inf R + η, d log d neurons against the widest: less than a third more",
            float(np.mean(by_width[:, wide[0]] / by_width[:, -1])) - 1.0, 1.0 / 3.0,
            f"d = {s.dim}", "N^-½ would give twice as many for a quarter of the neurons",
        ),
        close(
            "few neurons do not get there at all: seeds that did", float(
                np.isfinite(by_width[:, 0]).sum()), 0.0, f"d = {s.dim}, N = "
            f"{s.neurons(s.dim, s.widths[0])}", "the condition on N is needed for something",
        ),
    ]  # fmt: skip


def doubling(
    claim: str, pair: Array, factor: float, margin: float, where: str, reason: str
) -> Finding:
    """Whether the second column's mean is ``factor`` times the first's: 3 standard errors + margin.

    Only the last doubling is judged: a slope over all sizes mixes the law, which is for large d
    and N, with what is not one yet.
    """
    first, second = pair.mean(axis=0)
    ratio = second / first
    errors = pair.std(axis=0, ddof=1) / np.sqrt(len(pair))
    bound = 3.0 * ratio * float(np.hypot(errors[0] / first, errors[1] / second)) + margin
    told = f"measured {ratio:.3f}; 3 standard errors of {len(pair)} seeds + {margin:g}; {reason}"
    return close(claim, abs(ratio - factor), bound, where, told)


def draw(
    s: Settings, curves: dict[Any, Any], targets: dict[int, float], by_dim: Array,
    by_width: Array, in_dim: Rate,
) -> Any:  # fmt: skip
    """Learning curves on SGD's clock; samples against d; samples against N."""
    figure, (risks, dims, widths) = new_figure(3, width=4.5)
    for k, d in enumerate(s.dims):
        times, rows = curves[d, s.neurons(d, s.width)]
        risks.plot(times, rows.mean(axis=0), color=COLOURS[k], linestyle=DASHES[k],
                   label=f"d = {d}")  # fmt: skip
    risks.set_xlabel("SGD time t = kε = (samples)·c/d")
    risks.set_ylabel("risk on fresh samples")
    risks.set_yscale("log")
    risks.set_title("learning curves, mean over seeds")
    risks.legend(frameon=False)
    spread(dims, np.array(s.dims), by_dim, "SGD")
    fine = np.geomspace(s.dims[0], s.dims[-1], 50)
    dims.plot(fine, in_dim(fine), color=COLOURS[1], linestyle="--", label=f"all: {in_dim}")
    dims.plot(fine, by_dim[:, -1].mean() * fine / fine[-1], color="#888888", linewidth=0.9,
              label="like d, through the last")  # fmt: skip
    dims.set_xlabel("dimension d")
    dims.set_title(f"N = {s.width:g} d log d")
    reached = np.isfinite(by_width).all(axis=0)
    neurons = np.array([s.neurons(s.dim, w) for w in s.widths])
    spread(widths, neurons[reached], by_width[:, reached], "SGD")
    for k, n in enumerate(neurons[~reached]):
        label = "_again" if k else f"not reached by t = {s.t_end:g}"
        widths.axvline(n, color="#888888", linestyle=":", label=label)
    widths.axvline(s.neurons(s.dim, 1.0), color=COLOURS[1], linestyle="--", label="N = d log d")
    widths.set_xlabel("number of neurons N")
    widths.set_title(f"d = {s.dim}")
    widths.set_ylim(0.3 * by_dim.min(), 3 * by_dim.max())
    for ax in (dims, widths):
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylabel(f"samples until R ≤ inf R + {s.eta:g}")
    dims.set_xticks(s.dims, [f"{d}" for d in s.dims], minor=False)
    dims.set_xticks([], minor=True)
    dims.legend(frameon=False, fontsize=8)
    widths.legend(loc="lower left", fontsize=8, framealpha=1.0, edgecolor="white")
    return figure


def spread(ax: Any, x: Array, rows: Array, label: str) -> None:
    """Means over the seeds with the smallest and largest."""
    mean = rows.mean(axis=0)
    bars = np.stack([mean - rows.min(axis=0), rows.max(axis=0) - mean])
    ax.errorbar(x, mean, yerr=bars, fmt="o", color=COLOURS[0], markersize=4, capsize=3,
                label=f"{label}, mean and range of {len(rows)} seeds")  # fmt: skip


def caption(s: Settings) -> str:
    """What the figure shows, with its settings, convention and clock."""
    return (
        f"Two Gaussian classes, standard deviations 1 ± {s.delta:g} (convention std) on s0 = "
        f"{s.gamma:g}d coordinates; truncated ReLU, w ~ N(0, {s.kappa:g}²/d I), ε = c/d with "
        f"c = {s.c:g}, one new sample a step, so that time t takes t·d/c samples. inf R is taken "
        f"to be what the network of {s.width:g} d log d neurons reaches by t = {s.t_long:g}, an "
        f"upper bound of it. Between the smallest dimensions the number grows more slowly than d, "
        f"because the smaller network nears its infimum more slowly (left); the last doubling is "
        f"judged. The {s.test} samples that measure the risk are the same for all seeds of a d, "
        f"which adds a few per cent to the seeds' range. In N it still falls by a few per cent, "
        f"like 1/N. The scaling is the theorem's; the numbers are ours."
    )


def facts(
    s: Settings, lowest: Array, by_dim: Array, by_width: Array, in_dim: Rate
) -> dict[str, Any]:
    """Numbers worth a line at the top of the page."""
    rows: dict[str, Any] = {
        f"d = {d}: lowest risk; samples": f"{low:.4f}; {n.mean():.3g}"
        for d, low, n in zip(s.dims, lowest, by_dim.T, strict=True)
    }
    for w, n in zip(s.widths, by_width.T, strict=True):
        reached = "not reached" if not np.isfinite(n).all() else f"{n.mean():.3g}"
        rows[f"d = {s.dim}, N = {s.neurons(s.dim, w)}: samples"] = reached
    local = np.diff(np.log(by_dim.mean(axis=0))) / np.diff(np.log(s.dims))
    rows["against d, slope from each to the next"] = ", ".join(f"{p:.3f}" for p in local)
    wide = np.array(s.widths) >= 1.0
    more = by_width[:, wide].mean(axis=0) / by_width[:, -1].mean() - 1.0
    rows["more samples than for the widest, N ≥ d log d"] = ", ".join(f"{v:.1%}" for v in more)
    return {**rows, "against all d": str(in_dim)}


DEMO = Demo(
    "samples-needed",
    "How many samples SGD needs: like d, and no more for wider networks",
    240, 8,
    "anisotropic classes with s0=γd, truncated ReLU, ε=c/d: Mei, Montanari and Nguyen 2018; "
    "γ=.5, Δ=.6 (std), c=1e-3, η=.2 and all sizes are ours",
    run, "A9",
)  # fmt: skip
