"""What the flow is compared with: stochastic gradient descent of particles."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# `sgd` itself is jkoflow.sgd, or jkoflow.dynamics.sgd.sgd: the name is taken by its folder here.
# So it is with jkoflow.finite_volume.
_ORIGIN = {
    "SGDRun": "sgd",
    "Recording": "sgd.record",
    "means": "sgd.record",
    "radii": "sgd.record",
    "radius_quantiles": "sgd.record",
    "of_radii": "sgd.record",
    "test_risk": "sgd.record",
    "jko_time": "sgd.schedule",
    "NOISE": "sgd.schedule",
    "MultilayerRun": "multilayer",
    "multilayer_sgd": "multilayer",
    "LayerRecording": "multilayer_record",
    "FiniteVolumeRun": "finite_volume",
    "curve_spread": "multilayer_curves",
    "curve_gap": "multilayer_curves",
}

__all__ = list(_ORIGIN)


def __getattr__(name: str) -> Any:
    if name in _ORIGIN:  # when first used, since compiling is not for everyone
        return getattr(import_module(f".{_ORIGIN[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
