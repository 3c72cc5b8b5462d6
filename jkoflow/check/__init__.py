"""The judge: ACCEPTED, REJECTED or UNDECIDED, by arithmetic on what a run wrote down.

It sees measures, functionals and records; no stepper, no solver and no run. What is accepted,
and what that does not say, is docs/acceptance.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .fixed_point import check_fixed_point
from .functional import check_functional
from .run import check_run
from .second_order import check_second_order
from .step import check_step
from .verdict import ExitCode, Finding, Report, Verdict

__all__ = [
    "ExitCode",
    "Finding",
    "Report",
    "Verdict",
    "check_fixed_point",
    "check_functional",
    "check_run",
    "check_samples",
    "check_second_order",
    "check_step",
]

if TYPE_CHECKING:
    from .samples.judged import check_samples


def __getattr__(name: str) -> Any:
    """The statistical tests, which the arithmetic does not need, when they are first used."""
    if name == "check_samples":
        return import_module(".samples", __name__).check_samples
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
