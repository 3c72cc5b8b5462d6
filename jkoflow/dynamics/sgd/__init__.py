"""Stochastic gradient descent on a two-layer network, one pass or noisy, on the flow's clock."""

from __future__ import annotations

from typing import Any

__all__ = ["SGDRun", "sgd"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # when first used: what is recorded needs no compiled engine
        from . import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
