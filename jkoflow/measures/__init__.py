"""Where a probability measure lives: points, quantiles, radial laws, Gaussians."""

from .base import Measure, measure_from_arrays
from .gaussian import Gaussian
from .particles import Particles
from .quantiles import Quantiles
from .radial import Radial

__all__ = ["Gaussian", "Measure", "Particles", "Quantiles", "Radial", "measure_from_arrays"]
