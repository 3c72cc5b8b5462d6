"""What a judge says: findings, and the one verdict that follows from them."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class ExitCode(IntEnum):
    """Exit codes of ``jkoflow check``."""

    ACCEPTED = 0
    REJECTED = 1
    UNDECIDED = 2
    UNREADABLE = 3
    INTERNAL_ERROR = 4


class Verdict(Enum):
    """The judge's three words; the printed word and the exit code come from the member.

    Examples
    --------
    >>> print(Verdict.UNDECIDED, int(Verdict.UNDECIDED.exit_code))
    UNDECIDED 2
    """

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    UNDECIDED = "UNDECIDED"

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode[self.name]

    def __str__(self) -> str:
        return self.value

    @staticmethod
    def of(findings: Sequence[Finding]) -> Verdict:
        """REJECTED if any finding is; else UNDECIDED if any is or there are none; else ACCEPTED."""
        found = {finding.verdict for finding in findings}
        if Verdict.REJECTED in found:
            return Verdict.REJECTED
        return Verdict.ACCEPTED if found == {Verdict.ACCEPTED} else Verdict.UNDECIDED


@dataclass(frozen=True)
class Finding:
    """One claim, what was measured for it, and the bound it was held against.

    ``assumptions`` are what the verdict rests on and the judge did not prove; ``where`` says at
    which step or direction the measurement was the worst; ``reason`` is a sentence.
    """

    claim: str
    verdict: Verdict
    measured: float = math.nan
    bound: float = math.nan
    assumptions: tuple[str, ...] = ()
    where: str = ""
    reason: str = ""

    def at(self, where: str) -> Finding:
        """The same finding, said to be at ``where``."""
        return replace(self, where=f"{where}, {self.where}" if self.where else where)

    @property
    def severity(self) -> tuple[int, float]:
        """Order by verdict, then by how much of the bound is used."""
        ratio = self.measured / self.bound if self.bound > 0 else self.measured
        return (_RANK[self.verdict], math.inf if math.isnan(ratio) else ratio)


_RANK = {Verdict.ACCEPTED: 0, Verdict.UNDECIDED: 1, Verdict.REJECTED: 2}


def at_most(
    claim: str,
    measured: float,
    bound: float,
    assumptions: Iterable[str] = (),
    reason: str = "",
    otherwise: Verdict = Verdict.REJECTED,
    where: str = "",
) -> Finding:
    """ACCEPTED if measured ≤ bound, which NaN never is; a bound that is not finite is no bound.

    Examples
    --------
    >>> at_most("mass", 0.5, 1.0).verdict.name, at_most("mass", math.nan, 1.0).verdict.name
    ('ACCEPTED', 'REJECTED')
    """
    verdict = Verdict.ACCEPTED if measured <= bound else otherwise
    if not math.isfinite(bound):
        verdict = Verdict.UNDECIDED
    reason = "" if verdict is Verdict.ACCEPTED else reason
    return Finding(claim, verdict, float(measured), float(bound), tuple(assumptions), where, reason)


def rejected(claim: str, reason: str, where: str = "") -> Finding:
    """A finding that something is wrong in kind rather than in degree."""
    return Finding(claim, Verdict.REJECTED, where=where, reason=reason)


def undecided(claim: str, reason: str, where: str = "") -> Finding:
    """A finding that there is no evidence either way, and why."""
    return Finding(claim, Verdict.UNDECIDED, where=where, reason=reason)


def worst(
    claim: str,
    measured: Array,
    bound: Array,
    assumptions: Iterable[str] = (),
    reason: str | Callable[[int], str] = "",
    otherwise: Verdict | Callable[[int], Verdict] = Verdict.REJECTED,
    first: int = 0,
) -> Finding:
    """`at_most` for several steps: the finding of the one that uses the most of its bound.

    Steps are numbered from ``first`` on, unless that is 0; reason and verdict of a step that fails
    may be functions of its place in the arrays.

    Examples
    --------
    >>> worst("mass", np.array([0.5, 3.0, 0.0]), np.array([1.0, 2.0, 0.0]), first=7).where
    'step 8'
    """
    kept, some = (measured <= bound) & (bound < np.inf), (bound > 0) & (bound < np.inf)
    with np.errstate(all="ignore"):
        use = np.where(some, measured / bound, np.where(kept, measured, np.inf))
    k = int(np.argmax(np.where(np.isnan(use), np.inf, use)))
    why, doubt = "", Verdict.REJECTED
    if not measured[k] <= bound[k] < np.inf:
        why = reason if isinstance(reason, str) else reason(k)
        doubt = otherwise if isinstance(otherwise, Verdict) else otherwise(k)
    where = f"step {first + k}" if first else ""
    return at_most(claim, measured[k], bound[k], assumptions, why, doubt, where)


class Decided(Exception):
    """Raised where nothing more can be judged, with the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.reason)
        self.finding = finding


@dataclass(frozen=True)
class Report:
    """Findings and what follows from them.

    Examples
    --------
    >>> Report("step", ()).verdict.name, int(Report("step", ()).exit_code)
    ('UNDECIDED', 2)
    """

    subject: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        return Verdict.of(self.findings)

    @property
    def exit_code(self) -> int:
        return int(self.verdict.exit_code)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Everything that the verdict rests on, each once."""
        return tuple(dict.fromkeys(a for f in self.findings for a in f.assumptions))

    def __getitem__(self, claim: str) -> Finding:
        """The worst finding of a claim; `KeyError` if there is none."""
        found = [f for f in self.findings if f.claim == claim]
        if not found:
            raise KeyError(f"no finding about {claim!r}; there are {self.claims}")
        return max(found, key=lambda f: f.severity)

    @property
    def claims(self) -> list[str]:
        """The claims that were looked at, each once."""
        return list(dict.fromkeys(f.claim for f in self.findings))

    def text(self) -> str:
        """The report for a terminal, verdict first."""
        lines = [f"{self.verdict}: {self.subject}"]
        numbers = ["" if math.isnan(f.measured) else f"{f.measured:.3g} (bound {f.bound:.3g})"
                   for f in self.findings]  # fmt: skip
        wide = [max([20, *map(len, column)]) for column in (self.claims, numbers)]
        for f, said in zip(self.findings, numbers, strict=True):
            tail = "  ".join(part for part in (f.where, f.reason) if part)
            row = f"  {f.verdict!s:9}  {f.claim:{wide[0]}}  {said:{wide[1]}}  {tail}"
            lines.append(row.rstrip())
        lines += [f"  assuming: {a}" for a in self.assumptions]
        return "\n".join(lines) + "\n" + ("" if self.findings else "  there is no evidence\n")

    def to_json(self) -> str:
        """The report as JSON; NaN and infinities are strings, since JSON has neither."""
        rows = [{key: _plain(value) for key, value in vars(f).items()} for f in self.findings]
        return json.dumps(
            {
                "subject": self.subject,
                "verdict": str(self.verdict),
                "exit_code": self.exit_code,
                "findings": rows,
                "assumptions": list(self.assumptions),
            },
            allow_nan=False,
            ensure_ascii=False,
            indent=1,
        )

    def to_html(self, path: str | Path) -> None:
        """Write the report as one page that needs nothing else, in a folder that may be new."""
        number = {a: f'<a href="#a{k}">{k}</a>' for k, a in enumerate(self.assumptions, 1)}
        rows = "\n".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(f))
            + f"<td>{', '.join(number[a] for a in f.assumptions)}</td></tr>"
            for f in self.findings
        )  # fmt: skip
        items = "\n".join(
            f'<li id="a{k}">{html.escape(a)}</li>' for k, a in enumerate(self.assumptions, 1)
        )
        page = _PAGE.substitute(
            subject=html.escape(self.subject), verdict=self.verdict, rows=rows, assumptions=items
        )
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8")

    def __str__(self) -> str:
        return self.text()


def _plain(value: Any) -> Any:
    if isinstance(value, Verdict):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _cells(f: Finding) -> list[str]:
    return [str(f.verdict), f.claim, f"{f.measured:.6g}", f"{f.bound:.6g}", f.where, f.reason]


_PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>$verdict: $subject</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}
td,th{padding:.2em .6em;text-align:left;vertical-align:top;border-bottom:1px solid #ccc}</style>
<h1>$verdict</h1><p>$subject</p>
<table><tr><th>verdict<th>claim<th>measured<th>bound<th>where<th>reason<th>assuming</tr>
$rows
</table>
<h2>Assumptions</h2><ol>
$assumptions
</ol></html>
""")
