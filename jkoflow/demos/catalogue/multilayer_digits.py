"""Four-layer networks of five widths on handwritten digits: one learning curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ...networks import images
from ...networks.multilayer import MultilayerNetwork, equal_widths
from ...networks.populations import EmpiricalData
from ..registry import Demo, DemoResult
from ..session import Session
from ..widths import learned_at_widths, learning_curve


@dataclass(frozen=True)
class Settings:
    """The widths are published; the rest is ours."""

    widths: tuple[int, ...] = (100, 200, 400, 800, 1600)
    seeds: int = 5
    alpha: float = 3e-3
    end: float = 2.4
    batch: int = 10
    law: tuple[float, float] = (1.0, 1.0)  # (μ, τ) of both middle layers and of the output


QUICK = Settings(widths=(50, 100, 200), seeds=4, end=1.2)


@lru_cache(maxsize=1)
def data() -> images.Images:
    """Even (−1) against odd (+1) digits, scaled so that |x|² is 64 on average."""
    found = images.digits(bias=False)
    return found._replace(x=8.0 * found.x, x_test=8.0 * found.x_test)


def digits_curve(
    width: int, seed: int, fixed_at: int, rng: Any, **settings: Any
) -> Mapping[str, Any]:
    """One run; with ``fixed_at``, at the rates that are right for that width."""
    s, d = Settings(**settings), data()
    return learning_curve(
        four_layers(s, width), EmpiricalData(d.x, d.y), (d.x_test, d.y_test), end=s.end,
        alpha=s.alpha, seed=seed, batch=s.batch, rates=four_layers(s, fixed_at or width).rates,
    )  # fmt: skip


def four_layers(s: Settings, width: int) -> MultilayerNetwork:
    """64 → n → n → n → 1, ReLU, with biases."""
    law = (float(s.law[0]), float(s.law[1]))
    return MultilayerNetwork(64, equal_widths(4, width, middle=law, last=law, bias=True))


def run(session: Session) -> DemoResult:
    """The demo ``multilayer-digits``: compute, judge, draw."""
    s = QUICK if session.quick else Settings()
    return learned_at_widths(session, s, digits_curve, data().y_test, 0.2,
                             "Four-layer networks on digits", caption(s))  # fmt: skip


def caption(s: Settings) -> str:
    """Settings, and what is recalled."""
    d = data()
    mean, std = s.law
    return (
        f"Four layers of weights, ReLU, biases that start at 0; even (−1) against odd (+1) digits "
        f"of 8 × 8 pixels, {len(d.y)} for training, {len(d.y_test)} for testing; square loss, "
        f"batches of {s.batch}, α = {s.alpha:g}, t = kα. First layer N(0, 2/64), middle layers and "
        f"outputs N({mean:g}, {std:g}²). Lines are means, bands one standard deviation, over "
        f"{s.seeds} seeds; equal seeds have equal samples. Right: what becomes of it "
        "if all widths take the rates of the narrowest. Published are the depth and the widths "
        "100 … 1600, on a larger set of digits (recalled: MNIST in ten classes); the rest is ours."
    )


DEMO = Demo(
    "multilayer-digits",
    "Four-layer networks of widths 100 … 1600 on handwritten digits: one learning curve",
    100, 5,
    "Nguyen 2019: depth and widths known; scikit-learn's digits, even against odd; the rest ours",
    run, "D2",
)  # fmt: skip
