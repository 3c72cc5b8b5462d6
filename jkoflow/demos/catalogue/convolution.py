"""Convolution-like networks of several widths on images: one learning curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...networks import images
from ...networks.multilayer import MultilayerNetwork
from ...networks.multilayer_layers import Convolution, Dense
from ...networks.populations import EmpiricalData
from ..registry import Demo, DemoResult
from ..session import Session
from ..widths import learned_at_widths, learning_curve


@dataclass(frozen=True)
class Settings:
    """All of them ours. ``source`` is "digits" or "fashion", of ``side`` × ``side`` pixels."""

    source: str = "digits"
    side: int = 8
    first: int = 3  # size of the first filters; the second are 3 × 3
    widths: tuple[int, ...] = (25, 50, 100, 200)
    seeds: int = 6
    alpha: float = 3e-3
    end: float = 2.4
    batch: int = 10
    test: int = 500
    law: tuple[float, float] = (1.0, 1.0)  # (μ, τ) of all layers but the first


QUICK = Settings(widths=(16, 32, 64), seeds=4, alpha=1e-2, end=2.5, test=300)
FASHION = Settings("fashion", 28, 5, widths=(20, 40, 80, 160), seeds=5)


@lru_cache(maxsize=1)
def data(source: str) -> images.Images:
    """Two groups of images, scaled so that |x|² is the number of pixels on average."""
    if source == "fashion":
        found = images.fashion_mnist(((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)), rows=10_000, bias=False)
    else:
        found = images.digits(bias=False)
    scale = float(np.sqrt(found.x.shape[1]))
    return found._replace(x=scale * found.x, x_test=scale * found.x_test)


def convolutional(s: Settings, width: int) -> MultilayerNetwork:
    """Two convolutions of stride 2 with ``width`` channels, a dense layer, one output."""
    mean, std = float(s.law[0]), float(s.law[1])
    return MultilayerNetwork(
        (s.side, s.side),
        [
            Convolution(width, s.first, stride=2, padding=1, std=2**0.5, bias=True),
            Convolution(width, 3, stride=2, mean=mean, std=std, bias=True, padding=1),
            Dense(width, mean, std, bias=True),
            Dense(1, mean, std, bias=True),
        ],
    )


def image_curve(
    width: int, seed: int, fixed_at: int, rng: Any, **settings: Any
) -> Mapping[str, Any]:
    """One run; with ``fixed_at``, at the rates that are right for that width."""
    s = Settings(**settings)
    d = data(s.source)
    return learning_curve(
        convolutional(s, width), EmpiricalData(d.x, d.y), (d.x_test[: s.test], d.y_test[: s.test]),
        end=s.end, alpha=s.alpha, seed=seed, batch=s.batch,
        rates=convolutional(s, fixed_at or width).rates,
    )  # fmt: skip


def run(session: Session) -> DemoResult:
    """The demo ``convolution``: compute, judge, draw."""
    s = QUICK if session.quick else FASHION if images.found_fashion_mnist() else Settings()
    if s.source == "digits" and not session.quick:
        session.echo("Fashion-MNIST is not installed (Debian: dataset-fashion-mnist): digits")
    return learned_at_widths(session, s, image_curve, data(s.source).y_test[: s.test], 0.3,
                             "Convolution-like networks on images", caption(s))  # fmt: skip


def caption(s: Settings) -> str:
    """Settings, and what is recalled."""
    what = {"digits": "even (−1) against odd (+1) digits", "fashion": "Fashion-MNIST, classes 0–4 "
            "(−1) against 5–9 (+1)"}[s.source]  # fmt: skip
    mean, std = s.law
    return (
        f"{what}, {s.side} × {s.side} pixels; two convolutions of stride 2 with n channels and "
        f"filters of {s.first} × {s.first} and 3 × 3, a dense layer of n units, one output; ReLU, "
        f"biases that start at 0. Averages and rates count channels, while filters and images keep "
        f"their sizes. Square loss, batches of {s.batch}, α = {s.alpha:g}, t = kα; first layer "
        f"N(0, 2/m), then N({mean:g}/m, {std:g}²/m), m the inputs of a unit that do not grow with "
        f"n. Lines are means, bands one standard deviation, over {s.seeds} seeds; equal seeds have "
        "equal samples. Right: what becomes of it if all widths take the rates of the narrowest. "
        "The publication's set is CIFAR-10, whose loader reads a local copy; these "
        "images and settings are ours."
    )


DEMO = Demo(
    "convolution",
    "Convolution-like networks of several widths on images: one learning curve",
    180, 9,
    "Nguyen 2019, with images at hand instead of CIFAR-10 (Fashion-MNIST if installed); all ours",
    run, "D3",
)  # fmt: skip
