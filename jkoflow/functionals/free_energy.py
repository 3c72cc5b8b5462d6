"""The free energy of a network with weight decay and noise."""

from __future__ import annotations

from ..arguments import is_finite, is_real
from ..status import InvalidFunctional
from .base import Functional
from .internal import Entropy
from .potential import QuadraticPotential


def free_energy(risk: Functional, lam: float, beta: float) -> Functional:
    """F_{β,λ}(ρ) = ½R(ρ) + (λ/2)∫|θ|² dρ + H(ρ)/β.

    Parameters
    ----------
    risk : Functional
        R, without the ½.
    lam : float
        Weight decay λ ≥ 0.
    beta : float
        Inverse temperature β > 0; infinite for no noise, which leaves the entropy out.

    Raises
    ------
    InvalidFunctional
        If λ < 0 or β ≤ 0.

    Examples
    --------
    >>> from jkoflow import Risk
    >>> R = Risk(lambda theta: theta.T, targets=[1.0])
    >>> [c for c, _ in free_energy(R, lam=0.1, beta=4.0).terms]
    [0.5, 1.0, 0.25]
    """
    if not isinstance(risk, Functional):
        raise InvalidFunctional(f"risk must be a functional, not {type(risk).__name__}")
    if not (is_finite(lam) and lam >= 0):
        raise InvalidFunctional(f"lam must be finite and not negative, but is {lam!r}")
    if not (is_real(beta) and beta > 0):
        raise InvalidFunctional(f"beta must be positive, but is {beta!r}")
    return 0.5 * risk + (0.0 if lam == 0 else 1.0) * QuadraticPotential(lam) + Entropy() / beta
