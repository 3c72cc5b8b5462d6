"""The judge's words, from `jkoflow.verdict`."""

from ..verdict import ExitCode, Finding, Report, Verdict, at_most, rejected, undecided

__all__ = ["ExitCode", "Finding", "Report", "Verdict", "at_most", "rejected", "undecided"]
