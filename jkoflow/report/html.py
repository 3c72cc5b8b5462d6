"""One HTML page with the verdict, the findings and the figures inside; it loads nothing."""

from __future__ import annotations

import json
import math
import os
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Image(NamedTuple):
    """A figure of the page: PNG bytes and what they show, which is also the text for ears."""

    png: bytes
    caption: str

    @property
    def source(self) -> str:
        """The figure as a data: address."""
        return "data:image/png;base64," + b64encode(self.png).decode("ascii")


def page(
    report: Any,
    *,
    title: str = "jkoflow report",
    figures: Iterable[Image] = (),
    facts: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
    footer: str = "",
) -> str:
    """The page as text.

    Parameters
    ----------
    report : Report or None
        What the judge found; None where nobody has judged, and the page then says so.
    title : str
    figures : iterable of Image
    facts : mapping, optional
        Name → value, shown as a short table under the verdict.
    spec : mapping, optional
        The problem's identity, shown as JSON.
    footer : str
        Last line of the page.

    Examples
    --------
    >>> "not judged" in page(None, title="A run")
    True
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("jkoflow.report"),
        autoescape=True,  # whatever a user's functional is called, it stays text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template("page.html").render(
        title=title,
        report=report,
        tallies=_tallies(report),
        figures=list(figures),
        facts=dict(facts or {}),
        spec=json.dumps(spec, indent=2, ensure_ascii=False, default=str) if spec else "",
        footer=footer,
    )


def write_page(path: str | os.PathLike[str], report: Any, **parts: Any) -> Path:
    """Write `page` to a file (replacing it as a whole) and return its path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".tmp")
    temporary.write_text(page(report, **parts), encoding="utf-8")
    os.replace(temporary, target)
    return target


def number(value: Any) -> str:
    """A value in few characters; an em dash where nothing was measured.

    Examples
    --------
    >>> number(0.000123456), number(float("nan")), number(3), number("monotone")
    ('0.000123456', '—', '3', 'monotone')
    """
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return "—" if value is None else str(value)
    return "—" if math.isnan(value) else f"{float(value):.6g}"


def _tallies(report: Any) -> dict[str, int]:
    """How many findings there are of each verdict, the worst first."""
    names = [finding.verdict.name for finding in report.findings] if report is not None else []
    return {n: names.count(n) for n in ("REJECTED", "UNDECIDED", "ACCEPTED") if n in names}
