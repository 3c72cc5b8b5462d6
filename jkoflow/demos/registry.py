"""Which demos there are: every module of the catalogue that defines ``DEMO``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from . import catalogue

if TYPE_CHECKING:
    from ..check import Report
    from .session import Session


@dataclass(frozen=True)
class DemoResult:
    """What a demo leaves behind: the judge's report, and the files it wrote."""

    report: Report
    files: list[Path]


@dataclass(frozen=True)
class Demo:
    """An experiment: ``seconds`` and ``quick_seconds`` are about what it takes on two cores.

    ``title`` says what it shows, ``settings`` where its parameters come from: published and known
    for certain, recalled, or ours. ``compute`` does it all. ``order`` is the place in the list.
    """

    name: str
    title: str
    seconds: float
    quick_seconds: float
    settings: str
    compute: Callable[[Session], DemoResult]
    order: str = ""

    def about(self, quick: bool) -> str:
        """How long it takes, in words."""
        seconds = self.quick_seconds if quick else self.seconds
        return f"about {seconds:g} s" if seconds < 120 else f"about {seconds / 60:.0f} min"


def names() -> list[str]:
    """All demos' names, without importing them: their modules', with hyphens."""
    return [module.name.replace("_", "-") for module in iter_modules(catalogue.__path__)]


def demo(name: str) -> Demo:
    """The demo of that name."""
    found = import_module(f".{name.replace('-', '_')}", catalogue.__name__).DEMO
    assert isinstance(found, Demo)
    return found


def demos() -> list[Demo]:
    """All of them, in the order of the list."""
    return sorted((demo(name) for name in names()), key=lambda d: (d.order, d.name))
