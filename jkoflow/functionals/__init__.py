"""What decreases along a flow: functionals of a measure, and their algebra."""

from .base import Functional, Smooth
from .blob import BlobEntropy, BlobPower
from .custom import functional
from .divergence import MMD, EnergyKernel, GaussianKernel, KullbackLeibler
from .free_energy import free_energy
from .interaction import Interaction, QuadraticInteraction
from .internal import Congestion, Entropy, PowerEnergy
from .potential import Potential, QuadraticPotential
from .risk import Risk

__all__ = [
    "MMD",
    "BlobEntropy",
    "BlobPower",
    "Congestion",
    "EnergyKernel",
    "Entropy",
    "Functional",
    "GaussianKernel",
    "Interaction",
    "KullbackLeibler",
    "Potential",
    "PowerEnergy",
    "QuadraticInteraction",
    "QuadraticPotential",
    "Risk",
    "Smooth",
    "free_energy",
    "functional",
]
