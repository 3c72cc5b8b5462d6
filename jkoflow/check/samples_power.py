"""What the battery would notice: the power measured by ``benchmarks/samples.py``."""

from __future__ import annotations


def power_of(effective: float, dim: int, with_reference: bool) -> str:
    return "power: to be measured"
