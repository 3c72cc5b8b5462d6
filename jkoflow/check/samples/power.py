"""What the battery would notice: the power measured by ``benchmarks/samples.py``."""

from __future__ import annotations

ALTERNATIVES = (
    "mean off by 0.2σ in one coordinate",
    "scale off by 10%",
    "modes 80/20 for 50/50",
    "one of two modes missing",
    "tails of t(5)",
    "correlation .6 between two coordinates",
)

POWER = {
    (2, True): {
        100: (25, 21, 100, 100, 15, 100),
        400: (90, 85, 100, 100, 73, 100),
        1600: (100,) * 6,
    },
    (40, True): {
        100: (13, 100, 88, 100, 59, 92),
        400: (59, 100, 100, 100, 100, 100),
        1600: (100,) * 6,
    },
    (40, False): {
        100: (14, 100, 73, 5, 17, 98),
        400: (64, 100, 100, 5, 80, 100),
        1600: (100, 100, 100, 5, 100, 100),
    },
}
"""Per cent of samples rejected at 5%, by dimension, whether there are points of ρ*, and n. Where
these say 5, the alternative cannot be seen."""


def power_of(effective: float, dim: int, with_reference: bool) -> str:
    """The sentence for a sample, from the nearest case that is not easier.

    Examples
    --------
    >>> power_of(500.0, 3, True)[:66]
    'power at 5% measured for normal laws with n = 400, D = 2: mean off'
    """
    case = 40 if dim > 10 or not with_reference else 2
    table = POWER[case, with_reference]
    size = max([n for n in table if n <= effective], default=min(table))
    said = ", ".join(f"{a} {p}%" for a, p in zip(ALTERNATIVES, table[size], strict=True))
    less = " (this sample is smaller: less)" if effective < size else ""
    return f"power at 5% measured for normal laws with n = {size}, D = {case}{less}: {said}"
