"""A report as lines of text for a terminal, and as JSON for a script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_ORDER = {"REJECTED": 0, "UNDECIDED": 1, "ACCEPTED": 2}


def number(value: Any) -> str:
    """A measured value or a bound in few characters; an em dash where there is none.

    Examples
    --------
    >>> number(0.000123456), number(None), number(3), number("monotone")
    ('0.000123456', '—', '3', 'monotone')
    """
    if value is None:
        return "—"
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return str(value)
    return f"{float(value):.6g}"


def findings_text(report: Any, *, everything: bool = False) -> str:
    """The findings, the worst first, then what they rest on.

    Parameters
    ----------
    report : Report
    everything : bool
        List accepted findings one by one too, where there are many.
    """
    findings = sorted(report.findings, key=lambda f: _ORDER.get(f.verdict.name, 0))
    shown = findings if everything or len(findings) <= 20 else _condensed(findings)
    lines = [
        f"{f.verdict.name:<9}  {_where(f.where)}{f.claim}: "
        f"{number(f.measured)} against {number(f.bound)}"
        for f in shown
    ]
    if len(shown) < len(findings):
        lines.append(f"{len(findings) - len(shown)} more accepted findings (--json lists all)")
    if report.assumptions:
        lines += ["", "This rests on:", *(f"  - {assumption}" for assumption in report.assumptions)]
    if not findings:
        lines.append("There are no findings, so nothing is decided.")
    return "\n".join(lines)


def as_json(report: Any) -> dict[str, Any]:
    """The report as JSON values; numbers JSON lacks are written as the words nan, inf, -inf."""
    return {
        "verdict": report.verdict.name,
        "exit_code": int(report.exit_code),
        "findings": [
            {
                "claim": f.claim,
                "verdict": f.verdict.name,
                "measured": plain(f.measured),
                "bound": plain(f.bound),
                "assumptions": plain(f.assumptions),
                "where": plain(f.where),
            }
            for f in report.findings
        ],
        "assumptions": plain(report.assumptions),
    }


def plain(value: Any) -> Any:
    """``value`` in the types of JSON.

    Examples
    --------
    >>> plain((1, float("nan"), None, {"a": float("inf")}))
    [1, 'nan', None, {'a': 'inf'}]
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)


def _condensed(findings: Sequence[Any]) -> list[Any]:
    """All that was not accepted, and of the accepted ones the first of each claim."""
    seen: set[str] = set()
    kept = []
    for finding in findings:
        if finding.verdict.name != "ACCEPTED" or finding.claim not in seen:
            kept.append(finding)
        if finding.verdict.name == "ACCEPTED":
            seen.add(finding.claim)
    return kept


def _where(where: Any) -> str:
    return f"{where}: " if where not in (None, "") else ""
