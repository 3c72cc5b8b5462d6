"""The lines of steps.jsonl: found, verified, and turned into steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ..measures.base import Measure
from ..record import StepRecord, Witness
from ..status import Status, StoreError
from .checked import DEFECTS, measure_of, measures_of, status_named, whole
from .files import opened
from .layout import CORE, chained, part
from .segment import Segments
from .text import Altered, Impossible, compact, decode, read_number, unseal

LINE_LIMIT = 2**20
"""Longest line of steps.jsonl that is read, in bytes."""


BLOCK = 2**20
"""From this size on, in bytes of parsed lines and arrays, steps are not gathered any further."""

PARSED = 8
"""How many times a line's bytes it takes when it is parsed, about."""


@dataclass(slots=True)  # not frozen, which would take longer to make than the rest of a step
class StoredStep:
    """One line of a stored run; ``measure`` is None where the step was not saved.

    ``link`` is the hash chain's value after this step; ``end`` the length of steps.jsonl up to
    and with its line; ``segment`` the file of its arrays.
    """

    index: int
    time: float
    tau: float
    energy: float
    distance_squared: float
    status: Status
    measure: Measure | None
    witness: Witness | None
    stats: Mapping[str, Any]
    link: str
    end: int
    segment: str | None

    def record(self) -> StepRecord | None:
        """The step as a record, without a state to go on from; None where it was not saved."""
        if self.measure is None:
            return None
        return StepRecord(
            self.index, self.time, self.tau, self.measure, self.energy, self.distance_squared,
            self.witness, self.stats, self.status, {}, {},
        )  # fmt: skip


def whole_lines(file: Path, torn: bool) -> Iterator[tuple[str, bytes, int]]:
    """Where it is, its bytes, and the offset after it, of each whole line.

    A last line that is cut off is an error, or the end where ``torn`` allows for it.
    """
    with opened(file, limit=2**62) as stream:
        end = 0
        for count in range(1, 2**62):
            line = stream.readline(LINE_LIMIT + 1)
            where, end = f"{file}, line {count}", end + len(line)
            if len(line) > LINE_LIMIT:
                raise StoreError(f"{where} is longer than {LINE_LIMIT} bytes")
            if not line or (torn and not line.endswith(b"\n")):
                return
            if not line.endswith(b"\n"):
                raise StoreError(f"{where} is cut off")
            yield where, line[:-1], end


class Line(NamedTuple):
    """A line whose checksum and link are as they should be; what it means is not known."""

    data: Mapping[str, Any]
    segment: Any
    stats: Any
    where: str
    end: int
    size: int


class Filled(NamedTuple):
    """A line with its arrays, which have the digests that it says."""

    line: Line
    arrays: dict[str, NDArray[Any]]


def line_of(line: bytes, where: str, link: str, index: int, end: int) -> Line:
    """Step ``index`` as its line has it, if it continues the hash chain from ``link``."""
    data = unseal(line, where)
    try:
        if whole(data["step"], where) != index:
            raise Impossible(f"{where} holds step {data['step']!r:.40} instead of {index}")
        if chained(link, compact({k: data[k] for k in CORE})) != data["link"]:
            raise Altered(f"{where}: the hash chain breaks here, a step was changed or replaced")
        plain = b"$" not in line and b"\\" not in line  # nothing that `decode` would change
        stats = data["stats"] if plain else decode(data["stats"])
        return Line(data, data["segment"], stats, where, end, len(line))
    except DEFECTS as error:
        raise Impossible(f"{where} lacks or garbles {error}") from error


def gathered(lines: Iterator[Line], segments: Segments) -> Iterator[list[Filled]]:
    """Consecutive lines of one segment, with their arrays; an error comes after what is before it.

    The list is emptied when the next is asked for, so that no two segments are in memory.
    """
    block: list[Filled] = []
    size, trouble = 0, None
    while True:
        try:
            line = next(lines, None)
            if line is None:
                break
            if block and (size > BLOCK or line.segment not in (None, segments.name)):
                yield block
                block.clear()
                size = 0
            block.append(Filled(line, filled(line, segments)))
        except StoreError as error:
            trouble = error
            break
        size += PARSED * line.size + sum([a.nbytes for a in block[-1].arrays.values()])
    if block:
        yield block
    if trouble is not None:
        raise trouble


def filled(line: Line, segments: Segments) -> dict[str, NDArray[Any]]:
    """The arrays of a line."""
    try:
        return segments.arrays(line.data, line.where)
    except DEFECTS as error:
        raise Impossible(f"{line.where} lacks or garbles {error}") from error


def steps_of(lines: Sequence[Filled]) -> Iterator[StoredStep]:
    """What the lines mean; measures that are alike are made together."""
    for kind, same in groupby(lines, key=_kind):
        group = list(same)
        measures: Sequence[Measure | None] = together(kind, group) or [None] * len(group)
        for filled, measure in zip(group, measures, strict=True):
            yield step_of(filled, measure)


def _kind(filled: Filled) -> str | None:
    kind = filled.line.data["kind"]
    return None if kind is None else str(kind)


def together(kind: str | None, lines: Sequence[Filled]) -> Sequence[Measure] | None:
    """The measures of lines of one kind, or None where each is to be made by itself."""
    if kind is None or len(lines) == 1:
        return None
    try:
        arrays = [part(filled.arrays, "measure") for filled in lines]
        return measures_of(kind, arrays, lines[0].line.where)
    except (Impossible, *DEFECTS):
        return None


def step_of(filled: Filled, measure: Measure | None) -> StoredStep:
    """The step of a line, and its measure if that is known already."""
    try:
        return _stored_step(*filled, measure)
    except DEFECTS as error:
        raise Impossible(f"{filled.line.where} lacks or garbles {error}") from error


def _stored_step(
    line: Line, arrays: Mapping[str, NDArray[Any]], measure: Measure | None
) -> StoredStep:
    data, where = line.data, line.where
    kind, witness = data["kind"], data["witness"]
    if measure is None and kind is not None:
        measure = measure_of(kind, part(arrays, "measure"), where)
    proof = None
    if witness is not None:
        proof = Witness(str(witness), part(arrays, "witness"))
    return StoredStep(
        data["step"],
        _number(data, "time", where),
        _number(data, "tau", where),
        _number(data, "energy", where),
        _number(data, "distance_squared", where),
        status_named(data["status"], where),
        measure,
        proof,
        line.stats,
        data["link"],
        line.end,
        line.segment,
    )


def _number(data: Mapping[str, Any], name: str, where: str) -> float:
    value = data[name]
    return value if type(value) is float else read_number(value, f"{where}: {name}")
