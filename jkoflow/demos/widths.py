"""Learning curves of one network at several widths: computed, judged to be one curve, drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..check import Finding, Verdict
from ..dynamics.multilayer import multilayer_sgd
from ..dynamics.multilayer_curves import curve_spread
from ..dynamics.multilayer_record import LayerRecording
from ..measures.base import Array
from ..networks.multilayer import MultilayerNetwork
from ..networks.populations import Population
from ..report.style import COLOURS, DASHES, new_figure
from .common import close, finish
from .registry import DemoResult
from .session import Session

CLOCK = "SGD time t = kα"


def learning_curve(
    network: MultilayerNetwork,
    population: Population,
    test: tuple[Array, Array],
    *,
    end: float,
    alpha: float,
    seed: int,
    batch: int = 1,
    points: int = 26,
    rates: str | Sequence[float] = "mean-field",
) -> dict[str, Array]:
    """Loss and accuracy on test data along SGD in single precision, and the times.

    Equal seeds draw equal samples at every width, so that widths differ by their units alone.
    """
    statistics = {
        "loss": lambda w: network.loss_value(w, *test),
        "accuracy": lambda w: network.accuracy(w, *test),
    }
    run = multilayer_sgd(
        network, population, steps=round(end / alpha), epsilon=alpha, batch=batch, rng=seed,
        rates=rates, dtype=np.float32,
        record=LayerRecording(np.linspace(0.0, end, points), statistics),
    )  # fmt: skip
    return {"t": run.times, **run.statistics}


def at_widths(
    session: Session,
    function: Callable[..., Any],
    name: str,
    widths: Sequence[int],
    seeds: int,
    **fixed: Any,
) -> dict[str, Array]:
    """``function`` at every width and seed: arrays with the axes (width, seed, time)."""
    grid = {"width": widths, "seed": range(seeds), **{key: [value] for key, value in fixed.items()}}
    done = session.sweep(function, grid, name, rng=0)
    arrays = {key: done.array(key) for key in ("t", "loss", "accuracy")}
    return {key: a.reshape(len(widths), seeds, -1) for key, a in arrays.items()}


def learned_at_widths(
    session: Session, s: Any, curve: Callable[..., Any], labels: Array, part: float, title: str,
    caption: str,
) -> DemoResult:  # fmt: skip
    """A demo of images in two classes: the test ``curve`` at all widths of the settings ``s``.

    The control gives the rates of the narrowest network to wider ones. An error of less than
    ``part`` of that of always naming the larger class counts as having learned.
    """
    numbers = {key: value for key, value in asdict(s).items() if key not in ("widths", "seeds")}
    session.echo(f"widths {s.widths}, {s.seeds} seeds")
    found = at_widths(session, curve, "curves", s.widths, s.seeds, fixed_at=0, **numbers)
    session.echo("the control: one set of rates for all widths")
    narrow = s.widths[:3]
    control = at_widths(session, curve, "control", narrow, s.seeds, fixed_at=narrow[0],
                        **numbers)["loss"]  # fmt: skip
    findings = [
        one_curve("mean-field rates, test risk", found["loss"], s.widths),
        not_one_curve(f"rates of n = {s.widths[0]} at all widths", control, s.widths),
        has_learned(found["accuracy"], labels, part),
    ]
    t = found["t"][0, 0]
    return finish(
        session.out, title, findings, draw_learned(s.widths, t, found, control), caption,
        ends_of_widths(found), [session.out / "curves", session.out / "control"],
        {"t": t, "widths": np.array(s.widths), "test_risk": found["loss"],
         "test_accuracy": found["accuracy"], "test_risk_control": control},
    )  # fmt: skip


def has_learned(accuracy: Array, labels: Array, part: float) -> Finding:
    """Whether the worst run's error is a part of that of always naming the larger class."""
    chance = float(max(np.mean(labels > 0), np.mean(labels < 0)))
    return close(
        "the worst run has learned: test error", 1.0 - float(accuracy[:, :, -1].min()),
        part * (1.0 - chance), f"{len(labels)} test images",
        f"{part:g} of the error of always naming the larger class",
    )  # fmt: skip


def one_curve(what: str, curves: Array, widths: Sequence[int]) -> Finding:
    """Whether widths' mean curves scatter less than single runs of one width do."""
    spread = curve_spread(curves)
    runs = curves.shape[1]
    return close(
        f"{what}: one curve at all widths", spread.ratio, 1.0, f"n = {widths[0]} … {widths[-1]}",
        f"standard deviation of the {len(widths)} widths' mean curves ({spread.between:.2g}) over "
        f"that of runs about their width's mean ({spread.within:.2g}), {runs} runs each; equal "
        "seeds have equal samples",
    )  # fmt: skip


def not_one_curve(what: str, curves: Array, widths: Sequence[int]) -> Finding:
    """The control: at other rates the same comparison must come out the other way."""
    ratio = curve_spread(curves).ratio
    verdict = Verdict.ACCEPTED if ratio >= 2.0 else Verdict.REJECTED
    return Finding(
        f"{what}: not one curve", verdict, 1.0 / ratio, 0.5,
        ("a control: the measured number is the inverse of the ratio that is judged above",),
        f"n = {widths[0]} … {widths[-1]}",
    )  # fmt: skip


def draw_widths(ax: Any, t: Array, curves: Array, widths: Sequence[int], what: str) -> None:
    """The mean curve of every width, with the standard deviation over seeds as a band."""
    for k, (width, runs) in enumerate(zip(widths, curves, strict=True)):
        mean, deviation = runs.mean(axis=0), runs.std(axis=0, ddof=1)
        look = {"color": COLOURS[k % 7], "linestyle": DASHES[k % 7]}
        ax.plot(t, mean, label=f"n = {width}", linewidth=1.6, **look)
        ax.fill_between(t, mean - deviation, mean + deviation, color=COLOURS[k % 7], alpha=0.15,
                        linewidth=0)  # fmt: skip
    ax.set_xlabel(CLOCK)
    ax.set_ylabel(what)
    ax.legend(frameon=False, fontsize=8)


def draw_learned(
    widths: Sequence[int], t: Array, found: Mapping[str, Array], control: Array
) -> Any:
    """Risk, accuracy, control."""
    figure, (risk, accuracy, last) = new_figure(3, width=4.4)
    draw_widths(risk, t, found["loss"], widths, "test risk R")
    risk.set_title("risk")
    draw_widths(accuracy, t, found["accuracy"], widths, "test accuracy")
    accuracy.set_title("accuracy")
    draw_widths(last, t, control, widths[:3], "test risk R")
    last.set_title(f"control: rates of n = {widths[0]} for all")
    return figure


def ends_of_widths(found: Mapping[str, Array]) -> dict[str, Any]:
    """Numbers worth a line at the top of the page."""
    return {
        "test accuracy at the end, each width": ", ".join(
            f"{a:.3f}" for a in found["accuracy"][:, :, -1].mean(axis=1)
        ),
        "test risk at the end, each width": ", ".join(
            f"{a:.4f}" for a in found["loss"][:, :, -1].mean(axis=1)
        ),
    }
