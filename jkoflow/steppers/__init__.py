"""How one JKO step is taken, a file or a folder for each method."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .base import StepOutput, Stepper

_ORIGIN = {
    "QuantileNewton": "quantile",
    "ParticleProximal": "particle",
    "Splitting": "splitting",
    "BuresProximal": "bures",
    "ConvexProgram": "convex",
    "BackAndForth": "back_and_forth",
    "EntropicScaling": "scaling",
    "MeshNewton": "mesh",
    "SecondOrder": "second_order",
    "Exact": "exact",
    "ConvexExpression": "convex.expression",
}

__all__ = ["StepOutput", "Stepper", *_ORIGIN]


def __getattr__(name: str) -> Any:
    if name in _ORIGIN:
        return getattr(import_module(f".{_ORIGIN[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
