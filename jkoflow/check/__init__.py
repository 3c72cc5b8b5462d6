"""The judge: ACCEPTED, REJECTED or UNDECIDED, by arithmetic on what a run wrote down.

It sees measures, functionals and records; no stepper, no solver and no run. What is accepted,
and what that does not say, is docs/acceptance.md.
"""

from .fixed_point import check_fixed_point
from .functional import check_functional
from .run import check_run
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
    "check_step",
]
