"""The lines of steps.jsonl: found, verified, and turned into steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..measures.base import Measure
from ..record import StepRecord, Witness
from ..status import Status, StoreError
from .checked import DEFECTS, measure_of, status_named, whole
from .files import opened
from .layout import CORE, chained, part
from .segment import Segments
from .text import Altered, Impossible, compact, decode, read_number, unseal

LINE_LIMIT = 2**20
"""Longest line of steps.jsonl that is read, in bytes."""


@dataclass(frozen=True)
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


def step_of(
    line: bytes, where: str, link: str, index: int, end: int, segments: Segments
) -> StoredStep:
    """Step ``index`` from its line, if it continues the hash chain from ``link``."""
    data = unseal(line, where)
    try:
        if whole(data["step"], f"{where}: step") != index:
            raise Impossible(f"{where} holds step {data['step']!r:.40} instead of {index}")
        if chained(link, compact({k: data[k] for k in CORE})) != data["link"]:
            raise Altered(f"{where}: the hash chain breaks here, a step was changed or replaced")
        return _stored_step(data, where, end, segments.arrays(data, where))
    except DEFECTS as error:
        raise Impossible(f"{where} lacks or garbles {error}") from error


def _stored_step(
    data: Mapping[str, Any], where: str, end: int, arrays: Mapping[str, NDArray[Any]]
) -> StoredStep:
    kind, witness = data["kind"], data["witness"]
    return StoredStep(
        index=data["step"],
        time=read_number(data["time"], f"{where}: time"),
        tau=read_number(data["tau"], f"{where}: tau"),
        energy=read_number(data["energy"], f"{where}: energy"),
        distance_squared=read_number(data["distance_squared"], f"{where}: distance_squared"),
        status=status_named(data["status"], where),
        measure=None if kind is None else measure_of(kind, part(arrays, "measure"), where),
        witness=None if witness is None else Witness(str(witness), part(arrays, "witness")),
        stats=decode(data["stats"]),
        link=data["link"],
        end=end,
        segment=data["segment"],
    )
