"""A two-layer network on digit images: the particle JKO flow of ½R against SGD on its clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...check import Finding, check_run
from ...dynamics.sgd.record import Recording
from ...dynamics.sgd.run import SGDRun, sgd
from ...flows.trajectory import Trajectory
from ...measures.base import Array
from ...measures.particles import Particles
from ...networks import EmpiricalData, SimpleUnit, data_risk, images, smooth_truncated_relu
from ...problem import Problem
from ...report.plots import SGD_CLOCK, plot_energy
from ...report.style import COLOURS, new_figure
from ..common import about, close, finish
from ..registry import Demo, DemoResult
from ..session import Session

UNIT = SimpleUnit(smooth_truncated_relu)


@dataclass(frozen=True)
class Settings:
    """All of them ours."""

    neurons: int = 200
    kappa: float = 0.3  # θ ~ N(0, κ² I)
    # numbers of steps and their sizes: as large as lets each step be certified as minimal
    steps: tuple[tuple[int, float], ...] = ((50, 0.03), (30, 0.06), (67, 0.1))
    epsilon: float = 5e-4
    seed: int = 0

    @property
    def taus(self) -> Array:
        """Sizes of the JKO steps."""
        return np.concatenate([np.full(count, tau) for count, tau in self.steps])

    @property
    def end(self) -> float:
        """End of the run on SGD's clock, T/2."""
        return 0.5 * float(self.taus.sum())


def run(session: Session) -> DemoResult:
    """The demo ``digits``: compute, judge, draw."""
    s = Settings()
    if session.quick:
        s = Settings(neurons=120, steps=((50, 0.03), (25, 0.06)))
    data = images.digits(bias=False)
    rng = np.random.default_rng(s.seed)
    theta = s.kappa * rng.standard_normal((s.neurons, data.x.shape[1]))
    risk = data_risk(UNIT, data.x, data.y)

    dim = data.x.shape[1]
    session.echo(f"JKO flow of ½R, {s.neurons} particles in R^{dim}, {len(s.taus)} steps")
    problem = Problem(0.5 * risk, Particles(theta), s.taus)
    flow = session.flow(problem, "flow-of-risk")
    session.echo(f"SGD from the same particles to t = {s.end:g}, ε = {s.epsilon:g}")
    of_sgd = sgd_run(s, data, theta)

    session.echo("judging every step, minimality included")
    findings = [
        *about("flow of ½R", check_run(problem, session.out / "flow-of-risk")),
        *comparison(s, data, flow, of_sgd),
    ]
    return finish(
        session.out, "Digits: SGD and the JKO flow of its risk", findings,
        draw(s, data, flow, of_sgd), caption(s, data), facts(data, flow, of_sgd),
        [session.out / "flow-of-risk"], curves(flow, of_sgd),
    )  # fmt: skip


def curves(flow: Trajectory, of_sgd: SGDRun) -> dict[str, Array]:
    """The curves, each with its clock: T of the flow, t = T/2 of SGD."""
    return {"T_flow": flow.times, "half_risk": flow.energies, "t_sgd": of_sgd.times,
            "risk_sgd": of_sgd.statistics["train risk"]}  # fmt: skip


def sgd_run(s: Settings, data: images.Images, theta: Array) -> SGDRun:
    """SGD that draws one image a step, with replacement, from the training images."""
    statistics = {
        "train risk": lambda th: square_loss(th, data.x, data.y),
        "test accuracy": lambda th: accuracy(th, data.x_test, data.y_test),
    }
    return sgd(
        UNIT, EmpiricalData(data.x, data.y), theta, steps=round(s.end / s.epsilon),
        epsilon=s.epsilon, rng=s.seed + 1,
        record=Recording(np.linspace(0.0, s.end, 41), statistics),
    )  # fmt: skip


def outputs(theta: Array, x: Array) -> Array:
    """ŷ(x; θ), the mean over the neurons."""
    return UNIT.value(theta, x).mean(axis=1)


def square_loss(theta: Array, x: Array, y: Array) -> float:
    """Mean of (y − ŷ)²."""
    return float(np.mean((y - outputs(theta, x)) ** 2))


def accuracy(theta: Array, x: Array, y: Array) -> float:
    """Part of the images whose sign is right."""
    return float(np.mean(np.sign(outputs(theta, x)) == y))


def comparison(
    s: Settings, data: images.Images, flow: Trajectory, of_sgd: SGDRun
) -> list[Finding]:
    """SGD against the flow: the training risk along the way, and the accuracy at the end."""
    of_flow = np.interp(2.0 * of_sgd.times, flow.times, 2.0 * flow.energies)
    risks = of_sgd.statistics["train risk"]
    gap = np.abs(risks - of_flow) / of_flow
    worst = int(np.argmax(gap))
    final = accuracy(flow.final.points, data.x_test, data.y_test)
    other = float(of_sgd.statistics["test accuracy"][-1])
    n = len(data.y_test)
    spread = 3.0 * float(np.sqrt(2.0 * max(final * (1 - final), 1.0 / n) / n))
    chance = max(float(np.mean(data.y_test > 0)), float(np.mean(data.y_test < 0)))
    return [
        close(
            "SGD and flow: training risk, relative", float(gap[worst]), 0.1,
            f"t = {of_sgd.times[worst]:g}",
            "10%: SGD's noise at this ε, and the time error of the steps, are a few percent",
        ),
        close(
            "SGD and flow: test accuracy at the end", abs(final - other), spread,
            f"{n} test images", "three standard deviations of the difference of two proportions",
        ),
        close(
            "the network has learned: test error", 1.0 - final, 0.5 * (1.0 - chance),
            f"{n} test images", "half the error of always naming the larger class",
        ),
    ]  # fmt: skip


def draw(s: Settings, data: images.Images, flow: Trajectory, of_sgd: SGDRun) -> Any:
    """Training risk and test accuracy on SGD's clock; what some neurons look for."""
    figure, (risks, accuracies, last) = new_figure(3, width=4.4)
    plot_energy(0.5 * flow.times, 2.0 * flow.energies, label="JKO flow of ½R", ax=risks,
                clock=f"{SGD_CLOCK} = T/2")  # fmt: skip
    risks.plot(of_sgd.times, of_sgd.statistics["train risk"], "o", color="black", markersize=3.5,
               label=f"SGD, ε = {s.epsilon:g}")  # fmt: skip
    risks.set_yscale("log")
    risks.set_ylabel("training risk R")
    risks.set_title("risk")
    risks.legend(frameon=False)
    shown = flow.saved
    values = [accuracy(m.points, data.x_test, data.y_test) for m in flow.measures]
    accuracies.plot(0.5 * flow.times[shown], values, color=COLOURS[0], label="JKO flow of ½R")
    accuracies.plot(of_sgd.times, of_sgd.statistics["test accuracy"], "o", color="black",
                    markersize=3.5, label=f"SGD, ε = {s.epsilon:g}")  # fmt: skip
    accuracies.set_xlabel(f"{SGD_CLOCK} = T/2")
    accuracies.set_ylabel("test accuracy")
    accuracies.set_title("even against odd digits")
    accuracies.legend(frameon=False, loc="lower right")
    _draw_neurons(last, flow.final.points)
    return figure


def _draw_neurons(ax: Any, theta: Array) -> None:
    """Twelve weight vectors as images of 8 × 8 pixels, one tile for each."""
    rows, columns, side = 3, 4, 8
    order = np.argsort(-np.linalg.norm(theta, axis=1))[: rows * columns]
    sheet = np.full((rows * (side + 1) - 1, columns * (side + 1) - 1), np.nan)
    for k, neuron in enumerate(order):
        i, j = divmod(k, columns)
        tile = theta[neuron, : side * side].reshape(side, side)
        sheet[i * (side + 1) : i * (side + 1) + side, j * (side + 1) : j * (side + 1) + side] = tile
    bound = float(np.nanmax(np.abs(sheet)))
    picture = ax.imshow(sheet, cmap="gray", vmin=-bound, vmax=bound)
    ax.figure.colorbar(picture, ax=ax, shrink=0.7, label="weight")
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title("the twelve longest θ of the flow")


def caption(s: Settings, data: images.Images) -> str:
    """What the figure shows, with its settings and clocks."""
    return (
        f"{len(data.y)} training and {len(data.y_test)} test images of 8 × 8 pixels, even (−1) "
        f"against odd (+1) digits; ŷ is the mean of N = {s.neurons} smoothed truncated ReLU units, "
        f"θ ~ N(0, {s.kappa:g}² I) at first, the same θ for both. The time axis is SGD's, "
        f"t = kε, ε = {s.epsilon:g}; the flow's clock is T = 2t. Right: θ as images, of the units "
        f"with the largest |θ| at the end of the flow. All settings are ours."
    )


def facts(data: images.Images, flow: Trajectory, of_sgd: SGDRun) -> dict[str, Any]:
    """Numbers worth a line at the top of the page."""
    theta = flow.final.points
    train = accuracy(theta, data.x, data.y)
    test = accuracy(theta, data.x_test, data.y_test)
    return {
        "training risk, flow and SGD": f"{2 * flow.energies[-1]:.4f}, "
        f"{of_sgd.statistics['train risk'][-1]:.4f}",
        "accuracy of the flow, training and test": f"{train:.4f}, {test:.4f}",
        "test accuracy of SGD": f"{of_sgd.statistics['test accuracy'][-1]:.4f}",
    }


DEMO = Demo(
    "digits",
    "A two-layer network on digit images: the particle JKO flow against SGD",
    40, 15,
    "scikit-learn's 1797 digits, even against odd, 65 inputs, smooth unit; settings ours",
    run, "C0",
)  # fmt: skip
