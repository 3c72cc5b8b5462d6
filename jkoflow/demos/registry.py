"""Which demos there are; each one's module is imported when it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..check import Report

Echo = Callable[[str], object]


@dataclass(frozen=True)
class DemoResult:
    """What a demo leaves behind: the judge's report, and the files it wrote."""

    report: Report
    files: list[Path]


@dataclass(frozen=True)
class Demo:
    """An experiment: ``seconds`` is about what it takes on two cores, after installation.

    ``settings`` says where its parameters come from.
    """

    name: str
    title: str
    seconds: float
    settings: str
    module: str

    def run(self, out: Path, quick: bool, echo: Echo) -> DemoResult:
        """Compute, draw and judge into the folder ``out``; ``quick`` is a smaller version."""
        result = import_module(f".{self.module}", __package__).run(out, quick, echo)
        assert isinstance(result, DemoResult)
        return result


DEMOS = {
    demo.name: demo
    for demo in (
        Demo(
            "radial",
            "SGD on a two-layer network against the JKO flow of its risk and free energy",
            30,
            "isotropic Gaussian classes, d=40, N=800, Δ=.8 (std), truncated ReLU: Mei, Montanari "
            "and Nguyen 2018; ε=1e-6 is recalled, λ and β are ours",
            "radial",
        ),
        Demo(
            "digits",
            "A two-layer network on digit images: the particle JKO flow against SGD",
            40,
            "scikit-learn's 1797 digits, even against odd, 65 inputs, smooth unit; settings ours",
            "digits",
        ),
    )
}
"""Name → demo, in the order of the catalogue."""
