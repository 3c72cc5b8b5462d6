"""Two-layer networks of 100 to 10 000 units on images: the laws of their parameters are one law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

from ...check import Finding, Verdict
from ...dynamics.sgd.run import sgd
from ...measures.base import Array
from ...networks import EmpiricalData, ScaledUnit, images, tanh
from ...rates import fit_rate
from ...report.style import COLOURS, DASHES, new_figure
from ..common import close, finish
from ..registry import Demo, DemoResult
from ..session import Session

LAWS = {"a": "output weight a", "b": "bias b", "along": "⟨w, m₊ − m₋⟩/|m₊ − m₋|"}
"""Real functions of a unit's parameters whose laws are compared."""


@dataclass(frozen=True)
class Settings:
    """The times and numbers of units are published; the rest is ours."""

    neurons: tuple[int, ...] = (100, 300, 1000, 3000, 10_000)
    seeds: int = 6
    references: int = 3  # independent runs of the largest N, pooled
    alpha: float = 6.0  # ε = α/N, and N steps: to k/N = 1 on the publication's clock


QUICK = Settings(neurons=(100, 400, 1600), seeds=6)


def parameters(
    neurons: int, seed: int, alpha: float, rng: Any
) -> Mapping[str, Array]:
    """The parameters' laws at t = 0 and at the end, sorted."""
    data = digits()
    start = rng.standard_normal((neurons, data.x.shape[1] + 2))
    run = sgd(ScaledUnit(tanh), EmpiricalData(data.x, data.y), start, steps=neurons,
              epsilon=alpha / neurons, rng=rng)  # fmt: skip
    before = {f"{name}_at_0": values for name, values in _laws(start, data).items()}
    accuracy = np.mean(np.sign(_outputs(run.theta, data)) == data.y_test)
    return {**_laws(run.theta, data), **before, "accuracy": np.asarray(accuracy)}


@lru_cache(maxsize=1)
def digits() -> images.Images:
    """Even (−1) against odd (+1) digits, scaled so that |x|² is 4 on average."""
    found = images.digits(bias=False)
    return found._replace(x=2.0 * found.x, x_test=2.0 * found.x_test)


def _laws(theta: Array, data: images.Images) -> dict[str, Array]:
    difference = data.x[data.y > 0].mean(axis=0) - data.x[data.y < 0].mean(axis=0)
    along = theta[:, 2:] @ (difference / np.linalg.norm(difference))
    return {"a": np.sort(theta[:, 0]), "b": np.sort(theta[:, 1]), "along": np.sort(along)}


def _outputs(theta: Array, data: images.Images) -> Array:
    return np.asarray(ScaledUnit(tanh).value(theta, data.x_test).mean(axis=1))


def run(session: Session) -> DemoResult:
    """The demo ``images-law``: compute, judge, draw."""
    s = QUICK if session.quick else Settings()
    fixed = {"alpha": s.alpha}
    session.echo(f"N = {s.neurons}, {s.seeds} seeds, and {s.references} for the reference")
    grid = [{"neurons": n, "seed": k, **fixed} for n in s.neurons for k in range(s.seeds)]
    grid += [{"neurons": s.neurons[-1], "seed": -1 - k, **fixed} for k in range(s.references)]
    results = session.sweep(parameters, grid, "runs", rng=7).results
    assert all(r is not None for r in results)  # a failed cell has raised
    found: list[Mapping[str, Array]] = [r for r in results if r is not None]
    count = len(s.neurons) * s.seeds
    runs = [found[i : i + s.seeds] for i in range(0, count, s.seeds)]
    names = [*LAWS, *(f"{name}_at_0" for name in LAWS)]
    pool = {name: np.sort(np.concatenate([r[name] for r in found[count:]])) for name in names}
    distances = {name: distances_to(pool[name], runs, name) for name in LAWS}
    return finish(
        session.out, "Laws of the parameters of two-layer networks on digits",
        judged(s, pool, distances), draw(s, runs, pool, distances), caption(s),
        facts(s, runs, distances), [session.out / "runs"],
        {"N": np.array(s.neurons), **{f"distance_{k}": d for k, d in distances.items()},
         **{f"law_{k}_N{s.neurons[-1]}": pool[k][:: s.references] for k in LAWS}},
    )  # fmt: skip


def distances_to(reference: Array, runs: list[list[Mapping[str, Array]]], name: str) -> Array:
    """Kolmogorov distances sup|F_N − F| to the reference, shape (seeds, numbers of units)."""
    rows = [[ks_2samp(r[name], reference).statistic for r in group] for group in runs]
    return np.array(rows, dtype=float).T


def floor(s: Settings) -> Array:
    """Mean Kolmogorov distance of two independent samples of these sizes: √(π/2) log 2 · √(…)."""
    return np.asarray(np.sqrt(np.pi / 2) * np.log(2) / np.sqrt(effective(s)))


def effective(s: Settings) -> Array:
    """Sizes of one sample as good as two: 1/(1/N + 1/M), M the size of the reference."""
    n, m = np.array(s.neurons, dtype=float), s.references * s.neurons[-1]
    return np.asarray(n * m / (n + m))


def judged(
    s: Settings, pool: Mapping[str, Array], distances: Mapping[str, Array]
) -> list[Finding]:
    """Each law is the reference's up to sampling; and it is not the law at the start."""
    findings = []
    for name, what in LAWS.items():
        ratio = distances[name].mean(axis=0) / floor(s)
        worst = int(np.argmax(ratio))
        findings.append(close(
            f"law of {what}: one law at all N", float(ratio[worst]), 2.0, f"N = {s.neurons[worst]}",
            "mean Kolmogorov distance to the reference, in units of that of independent samples; "
            "2, since SGD's noise, of order √ε = N^-½ too, is common to all units of a run",
        ))  # fmt: skip
        rate = fit_rate(effective(s), distances[name])
        findings.append(rate.finding(
            f"law of {what}: distance like N^-½", -0.5, (0.0, -1.0), margin=0.05,
            where="N less what the finite reference takes",
        ))  # fmt: skip
    moved = max(ks_2samp(pool[name], pool[f"{name}_at_0"]).statistic for name in LAWS)
    bound = 5.0 * floor(s)[-1]
    findings.append(Finding(
        "a law has moved since t = 0", Verdict.ACCEPTED if moved >= bound else
        Verdict.REJECTED, bound / moved, 1.0,
        (f"five times what sampling gives, {bound:.2g}, over the distance {moved:.2g}",),
    ))  # fmt: skip
    return findings


def draw(
    s: Settings,
    runs: list[list[Mapping[str, Array]]],
    pool: Mapping[str, Array],
    distances: Mapping[str, Array],
) -> Any:
    """Distribution functions of one run for each N; distances against N."""
    figure, axes = new_figure(4, width=4.0)
    for ax, (name, what) in zip(axes, LAWS.items(), strict=False):
        for k, (n, group) in enumerate(zip(s.neurons, runs, strict=True)):
            values = group[0][name]
            ax.step(values, (np.arange(len(values)) + 1) / len(values), where="post",
                    color=COLOURS[k % 7], linestyle=DASHES[k % 7], linewidth=1.4,
                    label=f"N = {n}")  # fmt: skip
        start = pool[f"{name}_at_0"]
        ax.plot(start, np.linspace(0, 1, len(start)), color="#999999", linewidth=1, label="t = 0")
        ax.set_xlabel(what)
        ax.set_ylabel("distribution function")
        ax.set_title("after N steps")
        ax.legend(frameon=False, fontsize=8)
    for k, name in enumerate(LAWS):
        axes[3].errorbar(
            s.neurons, distances[name].mean(axis=0), distances[name].std(axis=0, ddof=1),
            marker="osv"[k], color=COLOURS[k], linestyle=DASHES[k], capsize=2, label=LAWS[name],
        )  # fmt: skip
    axes[3].plot(s.neurons, floor(s), color="black", linewidth=1, label="independent samples")
    axes[3].set_xscale("log")
    axes[3].set_yscale("log")
    axes[3].set_xlabel("number of units N")
    axes[3].set_ylabel("Kolmogorov distance to the reference")
    axes[3].legend(frameon=False, fontsize=8)
    return figure


def caption(s: Settings) -> str:
    """Settings, and what is recalled."""
    return (
        "Even (−1) against odd (+1) digits of 8 × 8 pixels; ŷ is the mean of N units "
        f"a tanh(⟨w, x⟩ + b), (a, b, w) ~ N(0, I) at first; one image a step, N steps "
        f"of ε = {s.alpha:g}/N: to k/N = 1, which is t = kε = {s.alpha:g}, JKO time "
        f"{2 * s.alpha:g}. Distribution functions are of the "
        f"first of {s.seeds} runs; the reference pools {s.references} further runs of N = "
        f"{s.neurons[-1]}; m± are the mean images. Error bars are one standard deviation over "
        "runs. Published are k/N = 1 and N = 100 … 10 000, on MNIST; the digits at hand, α, unit "
        "and start are ours."
    )


def facts(
    s: Settings, runs: list[list[Mapping[str, Array]]], distances: Mapping[str, Array]
) -> dict[str, Any]:
    """Numbers worth a line at the top of the page."""
    lines = {
        f"distance of the law of {LAWS[name]}, each N": ", ".join(f"{v:.4f}" for v in
                                                                 d.mean(axis=0))
        for name, d in distances.items()
    }  # fmt: skip
    accuracy = ", ".join(f"{np.mean([r['accuracy'] for r in group]):.3f}" for group in runs)
    return {**lines, "test accuracy, each N": accuracy}


DEMO = Demo(
    "images-law",
    "Two-layer networks of N = 100 … 10 000 units on images: one law of the parameters",
    40, 5,
    "Sirignano, Spiliopoulos 2018: N and k/N = 1 known, on MNIST; digits here, the rest ours",
    run, "C3",
)  # fmt: skip
