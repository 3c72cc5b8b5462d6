"""Where a probability measure lives: points, quantiles, radial laws, Gaussians, grids, meshes."""

from .base import Measure, measure_from_arrays
from .conversion import (
    lossy_gaussian,
    lossy_points,
    lossy_radial,
    quantised_samples,
    sample,
    to_quantiles,
)
from .gaussian import Gaussian
from .grid import Grid
from .mesh import Mesh
from .particles import Particles
from .quantiles import Quantiles
from .radial import Radial
from .remeshing import Remeshed, remesh

__all__ = [
    "Gaussian",
    "Grid",
    "Measure",
    "Mesh",
    "Particles",
    "Quantiles",
    "Radial",
    "Remeshed",
    "lossy_gaussian",
    "lossy_points",
    "lossy_radial",
    "measure_from_arrays",
    "quantised_samples",
    "remesh",
    "sample",
    "to_quantiles",
]
