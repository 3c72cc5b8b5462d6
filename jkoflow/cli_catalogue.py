"""What there is to choose from: demos, steppers, measures, functionals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One line of the catalogue."""

    kind: str
    name: str
    about: str


def entries() -> Iterator[Entry]:
    """All demos, steppers, measures and functionals, each with its sentence."""
    from . import functionals, measures, steppers
    from .demos.registry import demos

    for demo in demos():
        yield Entry("demo", demo.name, demo.title)
    yield from _of("stepper", steppers, steppers.Stepper)
    yield from _of("measure", measures, measures.Measure)
    yield from _of("functional", functionals, functionals.Functional, functionals.Smooth)
    yield from _of("functional", steppers, functionals.Functional)
    for name in ("free_energy", "functional"):
        yield Entry("functional", name, first_sentence(getattr(functionals, name)))


def _of(kind: str, module: Any, base: type, *also: type) -> Iterator[Entry]:
    """The classes of a module that are of a kind, but not what the kind is defined by."""
    for name in sorted(module.__all__):
        thing = getattr(module, name)
        if isinstance(thing, type) and issubclass(thing, base) and thing not in (base, *also):
            yield Entry(kind, name, first_sentence(thing))


def first_sentence(thing: object) -> str:
    """The first line of the documentation.

    Examples
    --------
    >>> first_sentence(first_sentence)
    'The first line of the documentation.'
    """
    lines = (thing.__doc__ or "").strip().splitlines()
    return lines[0] if lines else ""


def table(rows: list[Entry], width: int) -> str:
    """Aligned lines; what does not fit is cut and ends in an ellipsis.

    Examples
    --------
    >>> print(table([Entry("demo", "digits", "Images"), Entry("measure", "Grid", "Cells")], 80))
    demo     digits  Images
    measure  Grid    Cells
    """
    first = max(len(row.kind) for row in rows)
    second = max(len(row.name) for row in rows)
    lines = (f"{row.kind:<{first}}  {row.name:<{second}}  {row.about}" for row in rows)
    return "\n".join(line if len(line) <= width else line[: width - 1] + "…" for line in lines)
