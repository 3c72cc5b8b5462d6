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
"""From this size on, in bytes of lines and arrays, steps are not gathered any further."""


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
    """A line whose checksum, link and arrays are as they should be; what they mean is not known."""

    data: Mapping[str, Any]
    where: str
    end: int
    arrays: dict[str, NDArray[Any]]
    stats: Any
    size: int

    @property
    def segment(self) -> Any:
        """The file of its arrays."""
        return self.data["segment"]


def line_of(
    line: bytes, where: str, link: str, index: int, end: int, segments: Segments
) -> Line:
    """Step ``index`` as its line has it, if it continues the hash chain from ``link``."""
    data = unseal(line, where)
    try:
        if whole(data["step"], where) != index:
            raise Impossible(f"{where} holds step {data['step']!r:.40} instead of {index}")
        if chained(link, compact({k: data[k] for k in CORE})) != data["link"]:
            raise Altered(f"{where}: the hash chain breaks here, a step was changed or replaced")
        arrays = segments.arrays(data, where)
        plain = b"$" not in line and b"\\" not in line  # nothing that `decode` would change
        stats = data["stats"] if plain else decode(data["stats"])
        size = len(line) + sum([array.nbytes for array in arrays.values()])
        return Line(data, where, end, arrays, stats, size)
    except DEFECTS as error:
        raise Impossible(f"{where} lacks or garbles {error}") from error


def gathered(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Consecutive lines of one segment, few enough to be at hand together; an error comes last."""
    block: list[Line] = []
    size = 0
    trouble: StoreError | None = None
    while trouble is None:
        try:
            line = next(lines, None)
        except StoreError as error:
            line, trouble = None, error
        if block and (line is None or size > BLOCK or line.segment != block[0].segment):
            yield block
            block, size = [], 0
        if line is None:
            break
        block.append(line)
        size += line.size
    if trouble is not None:
        raise trouble


def steps_of(lines: Sequence[Line]) -> Iterator[StoredStep]:
    """What the lines mean; measures that are alike are made together."""
    for group in alike(lines):
        measures: Sequence[Measure | None] = together(group) or [None] * len(group)
        for line, measure in zip(group, measures, strict=True):
            yield step_of(line, measure)


def alike(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Consecutive lines of one kind."""
    for _, group in groupby(lines, key=lambda line: str(line.data["kind"])):
        yield list(group)


def together(lines: Sequence[Line]) -> Sequence[Measure] | None:
    """The measures of lines of one kind, or None where each is to be made by itself."""
    kind = lines[0].data["kind"]
    if kind is None or len(lines) == 1:
        return None
    try:
        return measures_of(kind, [part(line.arrays, "measure") for line in lines], lines[0].where)
    except (Impossible, *DEFECTS):
        return None


def step_of(line: Line, measure: Measure | None) -> StoredStep:
    """The step of a line, and its measure if that is known already."""
    try:
        return _stored_step(line, measure)
    except DEFECTS as error:
        raise Impossible(f"{line.where} lacks or garbles {error}") from error


def _stored_step(line: Line, measure: Measure | None) -> StoredStep:
    data, where, arrays = line.data, line.where, line.arrays
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
        data["segment"],
    )


def _number(data: Mapping[str, Any], name: str, where: str) -> float:
    value = data[name]
    return value if type(value) is float else read_number(value, f"{where}: {name}")
