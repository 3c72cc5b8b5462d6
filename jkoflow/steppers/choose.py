"""Which stepper goes with which measure, where the user names none."""

from __future__ import annotations

from ..functionals.base import Functional
from ..functionals.internal import WITH_DENSITY
from ..measures.base import Measure
from ..status import NotDefined
from .base import Stepper

TABLE: dict[str, tuple[str, str]] = {
    "quantiles": ("quantile", "QuantileNewton"),
    "radial": ("quantile", "QuantileNewton"),
    "particles": ("particle", "ParticleProximal"),
    "gaussian": ("bures", "BuresProximal"),
    "grid": ("back_and_forth", "BackAndForth"),
    "mesh": ("mesh", "MeshNewton"),
}
"""Kind of measure → (module, class). docs/choosing-a-stepper.md shows the same table."""


def default_stepper(F: Functional, mu: Measure) -> Stepper:
    """The documented default for the kind of ``mu``; an internal energy on points is an error."""
    from importlib import import_module

    if mu.kind == "particles" and F.internal.terms:
        names = ", ".join(type(f).__name__ for _, f in F.internal.terms)
        raise NotDefined(
            f"{names} needs a density, but an empirical measure has none: {WITH_DENSITY}"
        )
    if mu.kind not in TABLE:
        raise NotDefined(f"no default stepper for a {mu.kind} measure: pass stepper=")
    module, name = TABLE[mu.kind]
    stepper = getattr(import_module(f".{module}", __package__), name)()
    assert isinstance(stepper, Stepper)
    return stepper
