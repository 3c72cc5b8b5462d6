"""What run.json says."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ..status import Status
from .format import StoredRun
from .layout import NAME, VERSION
from .text import encode, number, seal


@dataclass(frozen=True)
class Header:
    """The question, who answers it, and how far they are."""

    spec: Mapping[str, Any]
    digest: str
    initial_energy: float
    status: Status
    steps: int
    head: str
    created: Mapping[str, Any]
    steppers: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def new(cls, problem: Any) -> Header:
        """The header of a run that has not begun; its energy is set by `Book.restore`."""
        return cls(problem.spec(), problem.digest(), math.nan, Status.RUNNING, 0, "", _creation())

    @classmethod
    def of(cls, run: StoredRun) -> Header:
        """The header that was read."""
        return cls(
            run.problem.spec(), run.problem.digest(), run.initial_energy, run.status, run.length,
            run.head, run.created, run.steppers,
        )  # fmt: skip

    def bytes(self) -> bytes:
        """The text of run.json."""
        value = {
            "format": NAME,
            "version": VERSION,
            "status": self.status.name,
            "steps": self.steps,
            "head": self.head,
            "initial_energy": number(self.initial_energy),
            "digest": self.digest,
            "problem": encode(self.spec),
            "steppers": list(self.steppers),
            "created": dict(self.created),
        }
        return seal(json.dumps(value, indent=1, allow_nan=False)) + b"\n"


def _creation() -> dict[str, str]:
    from .. import __version__

    return {
        "by": f"jkoflow {__version__}",
        "numpy": np.__version__,
        "python": platform.python_version(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
