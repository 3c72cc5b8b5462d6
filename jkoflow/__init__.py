"""Gradient flows in the space of probability measures, computed by the JKO scheme and judged.

Every name is imported when it is first used, so that ``import jkoflow`` is quick and loads no
optimal transport, convex programming, plotting or compiling library.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_NAMES = {
    "measures": ["Particles", "Quantiles", "Radial", "Gaussian", "Grid", "Mesh"],
    "measures.conversion": ["sample"],
    "functionals": [
        "Potential", "QuadraticPotential", "Interaction", "QuadraticInteraction", "Entropy",
        "PowerEnergy", "Congestion", "KullbackLeibler", "MMD", "Risk", "free_energy", "functional",
    ],
    "problem": ["Problem"],
    "status": ["Status"],
    "flows.driver": ["flow", "iterate"],
    "flows.adaptive": ["flow_adaptive"],
    "flows.interpolation": ["interpolate"],
    "flows.schedule": ["every", "at_times", "only_last"],
    "flows.observers": ["observe", "Recorder"],
    "flows.trajectory": ["Trajectory"],
    "flows.stored": ["load", "save"],
    "flows.complete": ["complete"],
    "flows.export": ["to_xarray"],
    "flows.sweep": ["sweep"],
    "store.directory": ["Directory"],
    "dynamics.sgd": ["sgd"],
    "dynamics.finite_volume": ["finite_volume"],
    "dynamics.langevin": ["langevin"],
    "equilibrium.gibbs": ["solve_gibbs"],
    "equilibrium.box": ["solve_gibbs_density"],
    "equilibrium.convex_programme": ["minimise_risk", "risk_gap"],
    "rates": ["fit_rate"],
    "check": [
        "check_functional", "check_step", "check_run", "check_fixed_point", "check_samples",
        "check_second_order",
        "Verdict", "Report", "Finding",
    ],
}  # fmt: skip
_ORIGIN = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = ("measures", "functionals", "networks", "transport", "steppers", "dynamics",
            "equilibrium", "flows", "store", "check", "report", "status")  # fmt: skip

__all__ = [*_ORIGIN, "networks", "steppers"]


def __getattr__(name: str) -> Any:
    if name in _ORIGIN:
        value = getattr(import_module(f".{_ORIGIN[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ORIGIN, *_MODULES})
