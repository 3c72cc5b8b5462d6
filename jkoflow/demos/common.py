"""What demos share: findings about computations, and the page at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import __version__
from ..check import Finding, Report, Verdict
from ..measures.base import Array
from ..rates import fit_rate
from ..report.html import Image, write_page
from ..report.style import png
from ..verdict import at_most, undecided
from .registry import DemoResult


def about(subject: str, report: Report) -> tuple[Finding, ...]:
    """The findings of a report, each said to be about ``subject``."""
    return tuple(replace(f, claim=f"{subject}: {f.claim}") for f in report.findings)


def close(claim: str, measured: float, bound: float, where: str, reason: str) -> Finding:
    """A comparison of two computations: accepted if they differ by no more than the bound."""
    verdict = Verdict.ACCEPTED if measured <= bound else Verdict.REJECTED
    return Finding(claim, verdict, float(measured), float(bound), (reason,), where)


def within_sampling_error(
    claim: str, samples: ArrayLike, expected: float, where: str, neurons: int, errors: float = 5.0
) -> Finding:
    """Whether the mean of independent runs of N neurons is ``expected``: 5 standard errors + 1/N.

    Or ``errors`` of them, for which `three_sigma` is the choice where SGD's own bias is removed.

    With eight runs Student's t exceeds 5 in one of 600 cases where nothing is wrong. The 1/N is
    for the neurons' interaction, which makes them not quite an independent sample of the law.
    """
    x = np.asarray(samples, dtype=float)
    bound = errors * float(x.std(ddof=1) / np.sqrt(len(x))) + 1.0 / neurons
    reason = (
        f"{len(x)} independent runs; the bound is {errors:.3g} standard errors of their mean, "
        "plus 1/N"
    )
    return close(claim, abs(float(x.mean()) - expected), bound, where, reason)


def three_sigma(runs: int) -> float:
    """The standard errors of so many runs that are as improbable as three of a Gaussian law."""
    from scipy.special import ndtr, stdtrit

    return float(stdtrit(runs - 1, ndtr(3.0)))


def pseudo_runs(values: Array) -> Array:
    """Rows whose logarithms are the jackknife's pseudo-values of log(mean of the rows).

    A single run's difference of risks may be negative where its mean is not, and a rate fitted to
    these rows is that of the mean, with the scatter of the runs.
    """
    runs, total = len(values), values.sum(axis=0)
    log_mean, log_others = np.log(total / runs), np.log((total - values) / (runs - 1))
    return np.exp(runs * log_mean - (runs - 1) * log_others)


def has_a_limit(claim: str, sizes: ArrayLike, values: ArrayLike, where: str) -> Finding:
    """Whether T(n) (runs, sizes), each size twice the one before, tends to a limit as n grows.

    It does, from above, where T(n) − T(2n) falls like any negative power of n, since the sum of
    these over n, 2n, 4n, … is finite then; power 0 is growth or decay like log n. What is judged is
    the upper end of that power's interval; where T(n) = T + C/n the power is −1, and terms of
    higher order make it lower at small n.
    """
    n, rows = np.asarray(sizes, dtype=float), np.asarray(values, dtype=float)
    steps = rows[:, :-1] - rows[:, 1:]
    claim = f"{claim}: has a limit, upper end of the power of n in T(n) − T(2n)"
    if not (np.isfinite(steps).all() and (steps.sum(axis=0) - steps > 0).all()):
        return undecided(claim, "T(n) − T(2n) is not clearly positive at every n", where)
    rate = fit_rate(n[:-1], pseudo_runs(steps))
    last = 2.0 * rows[:, -1] - rows[:, -2]
    error = float(last.std(ddof=1)) / np.sqrt(len(last))
    return at_most(
        claim, rate.high, 0.0, ("that the power goes on",),
        otherwise=Verdict.UNDECIDED if rate.low <= 0.0 else Verdict.REJECTED, reason=str(rate),
        where=f"{where}; {rate}; by C/n from the last two {last.mean():.3g} ± {error:.1g}",
    )  # fmt: skip


def finish(
    out: Path,
    subject: str,
    findings: Iterable[Finding],
    figure: Any,
    caption: str,
    facts: Mapping[str, Any],
    files: Iterable[Path],
    data: Mapping[str, ArrayLike] | None = None,
) -> DemoResult:
    """Write the figure, the arrays drawn in it, the report as text, JSON and page.

    ``data`` becomes ``data.npz``, with names that say what the arrays are and on which clock.
    """
    report = Report(subject, tuple(findings))
    image = png(figure)
    paths = {name: out / name for name in ("figure.png", "report.txt", "report.json")}
    paths["figure.png"].write_bytes(image)
    paths["report.txt"].write_text(report.text(), encoding="utf-8")
    paths["report.json"].write_text(report.to_json(), encoding="utf-8")
    if data is not None:
        paths["data.npz"] = out / "data.npz"
        arrays: dict[str, Any] = {name: np.asarray(values) for name, values in data.items()}
        np.savez_compressed(paths["data.npz"], **arrays)
    page = write_page(
        out / "report.html",
        report,
        title=subject,
        figures=[Image(image, caption)],
        facts=facts,
        footer=f"jkoflow {__version__}",
    )
    return DemoResult(report, [page, *paths.values(), *files])
