"""What can be asked in the laboratory: free energies on the line, from a normal law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..arguments import is_among
from ..functionals.base import Functional
from ..functionals.interaction import QuadraticInteraction
from ..functionals.internal import Entropy, PowerEnergy
from ..functionals.potential import Potential, QuadraticPotential
from ..measures.quantiles import Quantiles
from ..problem import Problem
from ..status import InvalidProblem


def double_well(tilt: float = 0.0) -> Potential:
    """V(x) = x⁴/4 − x²/2 + tilt·x: wells near ±1, V'' ≥ −1."""
    return Potential(
        lambda x: 0.25 * x[:, 0] ** 4 - 0.5 * x[:, 0] ** 2 + tilt * x[:, 0],
        gradient=lambda x: x**3 - x + tilt,
        hessian=lambda x: (3.0 * x**2 - 1.0)[:, :, None],
        convexity=-1.0,
        lower_bound=-0.25 - abs(tilt) - tilt**2,  # V + ¼ ≥ (|x| − 1)²/4 − |tilt||x|
    )


POTENTIALS: dict[str, Functional | None] = {
    "bowl, x²/2": QuadraticPotential(1.0),
    "two wells, x⁴/4 − x²/2": double_well(),
    "two wells, tilted by x/5": double_well(0.2),
    "none": None,
}
SPREADING: dict[str, Functional] = {"entropy": Entropy(), "porous medium, m = 2": PowerEnergy(2.0)}


@dataclass(frozen=True)
class Settings:
    """One question: F = ∫V dρ + strength · spreading + attraction · ¼∬|x − y|² dρdρ.

    The start is N(mean, std²) on ``cells`` cells; ``steps`` steps of size ``tau``.

    Examples
    --------
    >>> Settings(potential="none", strength=1.0, tau=0.1, steps=5).problem().functional
    1*Entropy()
    """

    potential: str = "two wells, x⁴/4 − x²/2"
    spreading: str = "entropy"
    strength: float = 0.2
    attraction: float = 0.0
    mean: float = -1.0
    std: float = 0.3
    tau: float = 0.1
    steps: int = 50
    cells: int = 200

    def functional(self) -> Functional:
        """F; `InvalidProblem` where nothing is left of it."""
        _choose("potential", self.potential, POTENTIALS)
        _choose("spreading", self.spreading, SPREADING)
        V, parts = POTENTIALS[self.potential], list[Functional]()
        if V is not None:
            parts.append(V)
        if self.strength:
            parts.append(self.strength * SPREADING[self.spreading])
        if self.attraction:
            parts.append(QuadraticInteraction(self.attraction))
        if not parts:
            raise InvalidProblem("nothing would happen: choose a potential, or a strength above 0")
        return sum(parts[1:], parts[0])

    def problem(self) -> Problem:
        """The question for `flow` and `check_run`."""
        start = Quantiles.normal(self.mean, self.std, self.cells)
        return Problem(self.functional(), start, tau=self.tau, steps=self.steps)


def _choose(name: str, chosen: str, choices: Mapping[str, object]) -> None:
    if not is_among(chosen, choices):
        raise InvalidProblem(f"{name} must be one of {', '.join(choices)}, not {chosen!r:.100}")
