"""The law of large numbers: means over the neurons of SGD against the flow, in N, ε and D."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import networks
from ...check import check_run
from ...dynamics.sgd.record import Recording
from ...dynamics.sgd.run import sgd
from ...measures.base import Array
from ...measures.radial import Radial
from ...problem import Problem
from ...rates import Rate, fit_rate
from ...report.style import COLOURS, DASHES, new_figure
from ...verdict import at_most
from ..common import about, close, finish
from ..registry import Demo, DemoResult
from ..session import Session

# Bounded by 1, with slopes of at most 1, as in the theorem. None at the last: by symmetry its
# mean under ρ_t is 0, and it sees the directions of the weights.
OBSERVABLES: dict[str, Callable[[Array], Array] | None] = {
    "tanh |w|": np.tanh,
    "½ sin 2|w|": lambda r: 0.5 * np.sin(2 * r),
    "exp(−|w|²)": lambda r: np.exp(-(r**2)),
    "tanh w₁": None,
}


@dataclass(frozen=True)
class Settings:
    """Isotropic classes and truncated ReLU are the paper's; the numbers are ours."""

    delta: float = 0.8
    kappa: float = 0.8
    end: float = 0.5  # SGD clock; the error is the largest over the times
    times: int = 11
    seeds: int = 20
    neurons: tuple[int, ...] = (50, 100, 200, 400, 800, 1600)
    tiny: float = 1e-6  # ε of the sweep in N: what is left of ε's share is a few percent
    epsilons: tuple[float, ...] = (1e-5, 2e-5, 4e-5, 8e-5, 1.6e-4)
    many: int = 50_000  # N of the sweep in ε
    dims: tuple[int, ...] = (5, 10, 20, 40, 80)
    dim: int = 10
    middle: tuple[int, float] = (400, 2e-5)  # N and ε of the sweep in D
    cells: int = 1000
    tau: float = 0.002


def settings(quick: bool) -> Settings:
    """The full experiment, or one of a few seconds."""
    if quick:
        return Settings(end=0.2, times=6, seeds=12, neurons=(50, 150, 450, 1350), tiny=2e-6,
                        epsilons=(2e-5, 6e-5, 1.8e-4, 5.4e-4), many=20_000, dims=(5, 10, 20),
                        cells=300, tau=0.004)  # fmt: skip
    return Settings()


def means(dim: int, neurons: int, epsilon: float, seed: int, delta: float, kappa: float,
          end: float, times: int, rng: Any) -> dict[str, Array]:  # fmt: skip
    """Means of the observables over the neurons along SGD, (observables, times)."""
    theta = kappa / np.sqrt(dim) * rng.standard_normal((neurons, dim))
    run = sgd(
        networks.SimpleUnit(networks.truncated_relu), networks.GaussianClasses.std(dim, delta),
        theta, steps=round(end / epsilon), epsilon=epsilon, rng=rng, dtype=np.float32,
        record=Recording(np.linspace(0.0, end, times), {"means": _means}),
    )  # fmt: skip
    return {"means": run.statistics["means"].T}


def _means(theta: Array) -> Array:
    r = np.linalg.norm(theta, axis=1)
    return np.array([np.tanh(theta[:, 0]).mean() if f is None else f(r).mean()
                     for f in OBSERVABLES.values()])  # fmt: skip


def run(session: Session) -> DemoResult:
    """The demo ``large-numbers``: compute, judge, draw."""
    s = settings(session.quick)
    session.echo(f"the limit: JKO flows of ½R for d in {s.dims}, each with two sizes of steps")
    limits, uncertain, findings = {}, {}, []
    for d in s.dims:
        limits[d], uncertain[d], checked = limit(s, d, session)
        findings += list(about(f"flow of ½R, d = {d}", checked)) if d == s.dim else []
    sweeps = {}
    for name, grid in grids(s).items():
        session.echo(f"SGD: {len(grid)} runs, sweep in {name}")
        done = session.sweep(means, [cell | fixed(s) for cell in grid], f"sweep-{name}", rng=7)
        exact = np.array([limits[cell["dim"]] for cell in grid])
        errors = np.abs(done.array("means") - exact).max(axis=2)  # sup over the times
        sweeps[name] = errors.reshape(-1, s.seeds, len(OBSERVABLES)).transpose(2, 1, 0)
    worst = {name: errors.max(axis=0) for name, errors in sweeps.items()}  # sup over f
    axes = {"N": s.neurons, "ε": s.epsilons, "D": s.dims}
    rates = {name: fit_rate(axes[name], worst[name], level=0.99) for name in axes}
    shares, constant = bands(s, worst)
    findings += [
        rates["N"].finding("error against N", -0.5, (0.0, -1.0), margin=0.05,
                           where=f"ε = {s.tiny:g}"),
        rates["ε"].finding("error against ε", 0.5, (0.0, 1.0), margin=0.1,
                           where=f"N = {s.many}"),
        at_most("error against D grows no faster than √D", rates["D"].high, 0.5,
                ("the theorem bounds the error from above; upper end of the 99% interval",),
                where=f"slope {rates['D'].slope:.3f}"),
        at_most("all errors are below the theorem's band", max(v.max() for v in shares.values()),
                1.0, ("one constant, three times what the smallest N, ε and D need",)),
        close("the limit's own error", max(uncertain.values()),
              0.2 * min(e.mean(axis=0).min() for e in worst.values()), "all d",
              "a fifth of the difference that halving τ makes, since extrapolation takes its "
              "first order away; at most a fifth of the smallest mean error"),
    ]  # fmt: skip
    data = {"N": s.neurons, "epsilon": s.epsilons, "D": s.dims,
            **{f"errors_{k}": sweeps[n] for k, n in (("N", "N"), ("epsilon", "ε"), ("D", "D"))}}
    return finish(
        session.out, "The law of large numbers of SGD", findings,
        draw(s, axes, sweeps, rates, constant), caption(s), facts(rates, axes, sweeps),
        [session.out / f"sweep-{name}" for name in sweeps], data,
    )  # fmt: skip


def fixed(s: Settings) -> dict[str, Any]:
    """The parameters that are the same in all cells."""
    return {"delta": s.delta, "kappa": s.kappa, "end": s.end, "times": s.times}


def grids(s: Settings) -> dict[str, list[dict[str, Any]]]:
    """One parameter varies, seeds run fastest."""
    N, epsilon = s.middle
    rows = {
        "N": [(s.dim, n, s.tiny) for n in s.neurons],
        "ε": [(s.dim, s.many, e) for e in s.epsilons],
        "D": [(d, N, epsilon) for d in s.dims],
    }
    return {
        name: [{"dim": d, "neurons": n, "epsilon": e, "seed": k} for d, n, e in row
               for k in range(s.seeds)]
        for name, row in rows.items()
    }  # fmt: skip


def limit(s: Settings, dim: int, session: Session) -> tuple[Array, float, Any]:
    """∫f dρ_t (observables, times), its uncertainty, and the judge's report on the finer flow."""
    risk = networks.radial_risk(networks.GaussianClasses.std(dim, s.delta), networks.truncated_relu)
    start = Radial.normal(s.kappa / np.sqrt(dim), dim, s.cells)
    found = []
    for tau in (2 * s.tau, s.tau):
        problem = Problem(0.5 * risk, start, tau=tau, t_end=2 * s.end)
        name = f"flow-{dim}-{tau:g}"
        flow = session.flow(problem, name)
        at = np.rint(2 * np.linspace(0.0, s.end, s.times) / tau).astype(int)
        found.append(np.array([
            [0.0 if f is None else flow.measures[k].weights @ f(flow.measures[k].points[:, 0])
             for k in at] for f in OBSERVABLES.values()
        ]))  # fmt: skip
    report = check_run(problem, session.out / name) if dim == s.dim else None
    coarse, fine = found
    return 2 * fine - coarse, float(np.abs(fine - coarse).max()) * 0.2, report


def band(N: Any, epsilon: Any, D: Any) -> Any:
    """The theorem's √(1/N ∨ ε)·(√(D + log(N/ε)) + z) without its constant, z = 1."""
    return np.sqrt(np.maximum(1.0 / N, epsilon)) * (np.sqrt(D + np.log(N / epsilon)) + 1.0)


def bands(s: Settings, worst: dict[str, Array]) -> tuple[dict[str, Array], float]:
    """Errors as parts of the band; its constant is thrice what the sweeps' first cells need."""
    N, epsilon = s.middle
    shapes = {
        "N": band(np.array(s.neurons), s.tiny, s.dim),
        "ε": band(s.many, np.array(s.epsilons), s.dim),
        "D": band(N, epsilon, np.array(s.dims)),
    }
    constant = 3.0 * max(float((worst[k][:, 0] / shapes[k][0]).max()) for k in shapes)
    return {k: worst[k] / (constant * shapes[k]) for k in shapes}, constant


def draw(
    s: Settings, axes: dict[str, Any], sweeps: dict[str, Array], rates: dict[str, Rate],
    constant: float,
) -> Any:
    """Errors against N, ε and D, with fitted powers and the band."""
    figure, panels = new_figure(3, width=4.6, height=3.9)
    N, epsilon = s.middle
    fixed_at = {"N": f"ε = {s.tiny:g}, d = {s.dim}", "ε": f"N = {s.many}, d = {s.dim}",
                "D": f"N = {N}, ε = {epsilon:g}"}  # fmt: skip
    for ax, (name, errors) in zip(panels, sweeps.items(), strict=True):
        x = np.array(axes[name], dtype=float)
        for i, f in enumerate(OBSERVABLES):
            mean = np.exp(np.log(errors[i]).mean(axis=0))
            ax.loglog(x, mean, color=COLOURS[i], linestyle=DASHES[i], marker="osv^"[i],
                      markersize=4, linewidth=1.2, label=f)  # fmt: skip
        rate = rates[name]
        ax.loglog(x, rate(x), color="black", linewidth=2.0, label="power of the largest")
        shape = {"N": lambda v: band(v, s.tiny, s.dim), "ε": lambda v: band(s.many, v, s.dim),
                 "D": lambda v: band(N, epsilon, v)}[name](x)  # fmt: skip
        top = 4.0 * constant * shape
        ax.fill_between(x, constant * shape, top, facecolor="#bbbbbb", alpha=0.4, hatch="///",
                        edgecolor="white", linewidth=0, label="above the band")  # fmt: skip
        ax.set_xlabel({"N": "neurons N", "ε": "step size ε", "D": "dimension D = d"}[name])
        ax.set_ylabel("sup over t of |mean of f − ∫f dρ_t|")
        told = f"slope {rate.slope:.2f} ± {rate.half_width:.2f} (99%)"
        ax.set_title(f"{fixed_at[name]}: {told}", fontsize=10)
        ax.set_xticks(x, [f"{v:g}" for v in x], fontsize=7)
        ax.minorticks_off()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncol=6,
                  frameon=False, fontsize=9)  # fmt: skip
    return figure


def caption(s: Settings) -> str:
    """What the figure shows, with its settings."""
    return (
        f"Two isotropic Gaussian classes, standard deviations 1 ± {s.delta:g} (convention std), "
        f"truncated ReLU, w ~ N(0, {s.kappa:g}²/d I), SGD to t = {s.end:g} (JKO time {2 * s.end:g})"
        f". Errors are the largest over {s.times} times, geometric means of {s.seeds} runs; four "
        "functions f bounded by 1 with slopes of at most 1. The limit ∫f dρ_t is the JKO flow of "
        "½R for the law of |w|, extrapolated in τ. Black: a power fitted to the largest of the "
        "four. Hatched: C·√(1/N ∨ ε)·(√(D + log(N/ε)) + 1), the form of Theorem 3 of Mei, "
        "Montanari and Nguyen (2018); its constant C e^{CT} is not known, and one is taken for all "
        "three panels. Parameters are ours."
    )


def facts(rates: dict[str, Rate], axes: dict[str, Any], sweeps: dict[str, Array]) -> dict[str, Any]:
    """Slopes of the largest error and of each function's."""
    rows: dict[str, Any] = {}
    for name, rate in rates.items():
        rows[f"against {name}: largest"] = str(rate)
        for f, errors in zip(OBSERVABLES, sweeps[name], strict=True):
            rows[f"against {name}: {f}"] = str(fit_rate(axes[name], errors, level=0.99))
    return rows


DEMO = Demo(
    "large-numbers",
    "Errors of SGD against the flow: N^-½, ε^½, and how they depend on the dimension",
    120, 9,
    "isotropic Gaussian classes (std) and truncated ReLU as in Mei, Montanari and Nguyen 2018, "
    "whose Theorem 3 gives the band up to its constant; N, ε, d, times and functions are ours",
    run, "A6",
)  # fmt: skip
